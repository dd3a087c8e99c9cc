/// Which of librdkafka's properties a cell.yaml may set: how to reach and trust the brokers, and what costs or gains a little. What decides
/// whether messages are lost, doubled or reordered is the cell's own business.
public enum KafkaProperties {
    public static let allowed: Set<String> = [
        "security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.kerberos.service.name", "sasl.kerberos.principal",
        "sasl.kerberos.keytab", "ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.crl.location", "ssl.keystore.location",
        "ssl.cipher.suites", "ssl.curves.list", "ssl.sigalgs.list", "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification",
        "client.id", "client.rack", "broker.address.family", "broker.address.ttl", "socket.keepalive.enable", "socket.nagle.disable", "socket.timeout.ms",
        "socket.connection.setup.timeout.ms", "socket.send.buffer.bytes", "socket.receive.buffer.bytes", "connections.max.idle.ms",
        "reconnect.backoff.ms", "reconnect.backoff.max.ms", "metadata.max.age.ms", "topic.metadata.refresh.interval.ms", "compression.codec",
        "compression.type", "compression.level", "linger.ms", "queue.buffering.max.ms", "batch.size", "batch.num.messages", "fetch.wait.max.ms",
        "fetch.min.bytes",
        "fetch.message.max.bytes", "fetch.max.bytes", "queued.min.messages", "queued.max.messages.kbytes", "log_level", "debug",
    ]

    /// Those whose value is a secret, and comes from a file.
    public static let secrets: Set<String> = [
        "sasl.password", "sasl.username", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem", "ssl.certificate.pem",
    ]

    static func refusal(_ name: String) -> (problem: String, remedy: String)? {
        if allowed.contains(name) { return nil }
        if secrets.contains(name) {
            return ("is a secret, and everyone who sees the spec would see it", "Put it in a file, and write secretFiles: {\(name): /PATH}")
        }
        return ("is not among the properties that may be set", advice(name, allowed))
    }

    static func refusalOfSecret(_ name: String) -> (problem: String, remedy: String)? {
        secrets.contains(name) ? nil : ("is no property that is read from a file", advice(name, secrets))
    }

    private static func advice(_ name: String, _ names: Set<String>) -> String {
        if let near = nearest(to: name, among: names.sorted()) { return "Did you mean \(near)?" }
        return "Remove it: the cell sets what its promises rest on, and docs/cell-yaml.md lists what is free"
    }
}
