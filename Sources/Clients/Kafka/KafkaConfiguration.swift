/// How to reach the brokers, and with what rights.
public struct KafkaConfiguration: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// `host:port`, any of which leads to the whole cluster.
    public var brokers: [String]
    /// librdkafka's properties from `allowedProperties`; they win over this module's defaults.
    public var properties: [String: String]
    /// Names this client in the brokers' logs and quotas.
    public var clientID: String
    /// Whether the broker is the embedded one, whose times are constants and which has no long poll.
    public var embedded: Bool

    public init(brokers: [String], properties: [String: String] = [:], clientID: String = "cell", embedded: Bool = false) {
        self.brokers = brokers
        self.properties = properties
        self.clientID = clientID
        self.embedded = embedded
    }

    /// Without a value that could be a secret.
    public var description: String {
        let shown = properties.sorted { $0.key < $1.key }.map { "\($0.key)=\(Self.isSecret($0.key) ? "(hidden)" : $0.value)" }
        return "\(embedded ? "embedded " : "")Kafka at \(brokers.joined(separator: ",")) as \(clientID)"
            + (shown.isEmpty ? "" : " with " + shown.joined(separator: " "))
    }

    public var debugDescription: String { description }

    /// So that `dump` and the debugger show no secret either.
    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}

extension KafkaConfiguration {
    /// The properties of librdkafka that a cell's owner may set: how to connect and to prove who one is, and what only tunes.
    /// What the promises of delivery stand on (acks, idempotence, offsets, timeouts of messages) is not among them.
    public static let allowedProperties: Set<String> = [
        "security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password", "sasl.kerberos.service.name",
        "sasl.kerberos.principal", "sasl.kerberos.keytab", "sasl.kerberos.min.time.before.relogin",
        "sasl.oauthbearer.config", "sasl.oauthbearer.method", "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.scope", "sasl.oauthbearer.extensions", "sasl.oauthbearer.token.endpoint.url",
        "ssl.cipher.suites", "ssl.curves.list", "ssl.sigalgs.list", "ssl.key.location", "ssl.key.password", "ssl.key.pem",
        "ssl.certificate.location", "ssl.certificate.pem", "ssl.ca.location", "ssl.ca.pem", "ssl.crl.location", "ssl.keystore.location",
        "ssl.keystore.password", "enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm",
        "broker.address.family", "broker.address.ttl", "client.rack", "connections.max.idle.ms", "reconnect.backoff.ms",
        "reconnect.backoff.max.ms", "socket.connection.setup.timeout.ms", "socket.timeout.ms", "socket.keepalive.enable",
        "socket.nagle.disable", "socket.send.buffer.bytes", "socket.receive.buffer.bytes", "message.max.bytes",
        "receive.message.max.bytes", "topic.metadata.refresh.interval.ms", "metadata.max.age.ms", "linger.ms", "batch.num.messages",
        "batch.size", "compression.codec", "compression.type", "compression.level", "queue.buffering.max.messages",
        "queue.buffering.max.kbytes", "fetch.wait.max.ms", "fetch.max.bytes", "max.partition.fetch.bytes", "queued.max.messages.kbytes",
        "session.timeout.ms", "heartbeat.interval.ms", "client.id", "queue.buffering.max.ms", "fetch.min.bytes", "fetch.message.max.bytes",
        "queued.min.messages", "log_level", "debug",
    ]

    static func isSecret(_ property: String) -> Bool {
        ["password", "secret", ".pem", "oauthbearer.config", "extensions"].contains { property.hasSuffix($0) }
    }

    /// - Throws: `.configuration` for the first property that is not allowed, with the nearest that is, or when no broker is named.
    func validate() throws(KafkaError) {
        guard !brokers.isEmpty, brokers.allSatisfy({ !$0.isEmpty && !$0.contains(",") }) else {
            throw KafkaError(.configuration, "brokers is \(brokers)", remedy: "Name at least one broker as host:port, each on its own")
        }
        for property in properties.keys.sorted() where !Self.allowedProperties.contains(property) {
            throw KafkaError(.configuration, "property \(property) is not one that may be set", remedy: Self.suggestion(for: property))
        }
    }

    private static func suggestion(for property: String) -> String {
        func shared(_ other: String) -> Int { zip(property, other).prefix { $0 == $1 }.count }
        let near = allowedProperties.sorted { (-shared($0), $0) < (-shared($1), $1) }.prefix(3).filter { shared($0) > 3 }
        return near.isEmpty ? "Leave it out" : "Leave it out, or use one like \(near.joined(separator: ", "))"
    }
}
