/// What each kind of client sets, before the owner's own properties.
extension KafkaConfiguration {
    enum Role: Equatable {
        case producer
        case reader(LogReader.Pace)
        case member(group: String)
        case queries
    }

    /// Every property for `role`, sorted by name, the owner's over the defaults.
    func settings(for role: Role) -> [(name: String, value: String)] {
        var all = Self.connection
        all["bootstrap.servers"] = brokers.joined(separator: ",")
        all["client.id"] = clientID
        switch role {
        case .producer: all.merge(Self.producing) { $1 }
        case .reader(.prompt): all.merge(Self.reading) { $1 }
        case .reader(.relaxed): all.merge(Self.relaxedReading) { $1 }
        case .member(let group): all.merge(Self.membership) { $1 }; all["group.id"] = group
        case .queries: break
        }
        // A topic that a client makes by asking for it has the wrong partitions. The embedded broker makes none, and its protocol is too old to say so.
        if !embedded { all["allow.auto.create.topics"] = "false" }
        all.merge(properties.filter { role.understands($0.key) }) { $1 }
        return all.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    }

    /// A broker that returns is used within half a second; one that is silent is given up well before a minute.
    private static let connection: [String: String] = [
        "reconnect.backoff.ms": "50", "reconnect.backoff.max.ms": "500",
        "socket.timeout.ms": "10000", "socket.connection.setup.timeout.ms": "3000",
        "socket.keepalive.enable": "true", "socket.nagle.disable": "true", "broker.address.ttl": "1000",
        "topic.metadata.refresh.interval.ms": "10000", "topic.metadata.refresh.fast.interval.ms": "100",
        "metadata.max.age.ms": "30000",
        "log.connection.close": "false",
    ]

    /// Nothing is given up, nothing overtakes, everything is reported.
    private static let producing: [String: String] = [
        "acks": "all", "enable.idempotence": "true", "enable.gapless.guarantee": "true", "message.timeout.ms": "0",
        // Waiting only helps when messages of one partition come within it, and costs every message that time, twice on its way.
        "max.in.flight": "5", "linger.ms": "0", "request.timeout.ms": "8000", "retry.backoff.ms": "50",
        // How long a topic that does not exist yet is waited for. More overflows in the library, and then it is not waited for at all.
        "topic.metadata.propagation.max.ms": "2000000",
        // Every broker leads partitions of some receiver: connect before the first message.
        "enable.sparse.connections": "false",
        "compression.codec": "lz4", "queue.buffering.max.kbytes": "262144",
    ]

    private static let reading: [String: String] = [
        "topic.metadata.propagation.max.ms": "2000000",
        "auto.offset.reset": "error", "enable.auto.commit": "false", "enable.partition.eof": "true",
        "fetch.wait.max.ms": "100", "fetch.error.backoff.ms": "50",
        // The bound is the bytes; with this one a reader that is behind stops fetching for a second at a time.
        "queued.min.messages": "1000000", "queued.max.messages.kbytes": "65536",
        "check.crcs": "true",
    ]

    /// Fetches that carry much cost broker and library less; `fetch.wait.max.ms` is how far it may stay behind for that.
    private static let relaxedReading: [String: String] = reading.merging(["fetch.min.bytes": "65536", "fetch.wait.max.ms": "50"]) { $1 }

    private static let membership: [String: String] = reading.merging([
        "partition.assignment.strategy": "range", "enable.auto.offset.store": "false",
        // Nobody waits for a member of a group: large batches cost broker, library and store less.
        "fetch.min.bytes": "65536",
        "session.timeout.ms": "6000", "heartbeat.interval.ms": "1000", "max.poll.interval.ms": "60000",
    ]) { $1 }
}

extension KafkaConfiguration.Role {
    var fetches: Bool {
        switch self {
        case .reader, .member: true
        case .producer, .queries: false
        }
    }

    /// The library warns about a consumer's property on a producer and the other way round.
    func understands(_ property: String) -> Bool {
        switch property {
        case "linger.ms", "batch.num.messages", "batch.size", "compression.codec", "compression.type", "compression.level",
            "queue.buffering.max.messages", "queue.buffering.max.kbytes", "queue.buffering.max.ms":
            self == .producer
        case "fetch.wait.max.ms", "fetch.max.bytes", "fetch.min.bytes", "fetch.message.max.bytes", "max.partition.fetch.bytes",
            "queued.min.messages", "queued.max.messages.kbytes":
            fetches
        case "session.timeout.ms", "heartbeat.interval.ms":
            if case .member = self { true } else { false }
        default: true
        }
    }
}
