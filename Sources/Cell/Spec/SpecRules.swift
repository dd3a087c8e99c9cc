/// A rule between fields of a cell.yaml, each of which is right by itself.
struct SpecRule: Sendable {
    /// Where it is reported, then what else it looks at.
    let paths: [String]
    /// For the reference.
    let about: String
    let check: @Sendable (CellSpec) -> (problem: String, remedy: String)?

    init(_ paths: String..., about: String, check: @escaping @Sendable (CellSpec) -> (problem: String, remedy: String)?) {
        self.paths = paths.map { "spec." + $0 }
        self.about = about
        self.check = check
    }

    static let all = counts + timing + places + pairs

    private static let counts = [
        SpecRule("messaging.standbys", "messaging.servers", about: "standbys are at most as many as servers") { spec in
            let (standbys, servers) = (spec.messaging.standbys, spec.messaging.servers)
            return standbys > servers ? ("is \(standbys), more than the \(servers) servers they stand by for", "Write at most \(servers)") : nil
        },
        SpecRule("messaging.autoscale.min", "messaging.autoscale.max", about: "autoscale.min is at most autoscale.max") { spec in
            guard let scale = spec.messaging.autoscale, scale.min > scale.max else { return nil }
            return ("is \(scale.min), above max, which is \(scale.max)", "Write at most \(scale.max)")
        },
        SpecRule("messaging.servers", "messaging.autoscale", about: "servers lie within autoscale's min and max") { spec in
            guard let scale = spec.messaging.autoscale, scale.min <= scale.max, !(scale.min...scale.max).contains(spec.messaging.servers) else { return nil }
            return ("is \(spec.messaging.servers), outside of autoscale's \(scale.min) to \(scale.max)", "Write \(scale.min) to \(scale.max)")
        },
        SpecRule("messaging.autoscale", about: "autoscale has a target") { spec in
            guard let scale = spec.messaging.autoscale, scale.targetConnections == nil, scale.targetMessagesPerSecond == nil else { return nil }
            return ("has nothing to aim at", "Write targetConnections or targetMessagesPerSecond")
        },
        SpecRule("messaging.autoscale.targetConnections", "messaging.maxConnections", about: "targetConnections is at most maxConnections") { spec in
            guard let target = spec.messaging.autoscale?.targetConnections, target > spec.messaging.maxConnections else { return nil }
            return (
                "is \(target), above maxConnections, which is \(spec.messaging.maxConnections)",
                "Write less than maxConnections, so that servers are added before they are full"
            )
        },
        SpecRule("messaging.limits.backlog", "messaging.limits.bodyBytes", about: "the backlog holds a message: bodyBytes and 1Ki") { spec in
            let (backlog, body) = (spec.messaging.limits.backlog, spec.messaging.limits.bodyBytes)
            guard backlog < body + 1_024 else { return nil }
            return ("is \(Quantity.text(bytes: backlog)), too little for one message of bodyBytes", "Write at least \(Quantity.text(bytes: body + 1_024))")
        },
        SpecRule("connect.port", "connect.servers", about: "the connect servers' ports end at 65,535") { spec in
            let last = Int(spec.connect.port) + spec.connect.servers - 1
            return last > 65_535
                ? (
                    "is \(spec.connect.port); the last of \(spec.connect.servers) servers would need port \(last)",
                    "Write at most \(65_536 - spec.connect.servers)"
                ) : nil
        },
    ]

    private static let timing = [
        SpecRule("failover.lease", "failover.heartbeat", about: "the lease is at least twice the heartbeat") { spec in
            guard spec.failover.lease < spec.failover.heartbeat * 2 else { return nil }
            let least = Quantity.text(spec.failover.heartbeat * 2)
            return ("is \(Quantity.text(spec.failover.lease)), less than two heartbeats: one that comes late would be a death", "Write at least \(least)")
        },
        SpecRule(
            "backplane.kafka.retention", "idWindow", "messaging.window.age",
            about: "Kafka keeps messages for longer than window.age, and than twice idWindow and 5s"
        ) { spec in
            guard case .kafka(let kafka) = spec.backplane else { return nil }
            let least = max(spec.messaging.window.age, spec.idWindow * 2 + .milliseconds(OnceRule.margin_ms))
            return kafka.retention < least
                ? ("is \(Quantity.text(kafka.retention)), shorter than what servers read back when they start", "Write at least \(Quantity.text(least))") : nil
        },
    ]

    private static let places = [
        SpecRule("backplane.embedded", "run", about: "the embedded backplane goes with run.process alone: it listens on loopback only") { spec in
            guard spec.backplane == .embedded, let place = spec.run.containers else { return nil }
            return ("listens on loopback only, where \(place) cannot reach it", "Write kafka: {brokers: [HOST:PORT]}, or run: {process: {}}")
        },
        SpecRule("store.sqlite", "run", about: "the sqlite store does not go with run.kubernetes: it is a file on one machine") { spec in
            guard spec.store == .sqlite, case .kubernetes = spec.run else { return nil }
            return ("is a file on one machine, and pods run on several", "Write cassandra: {contactPoints: [HOST:PORT], keyspace: NAME}, or run: {process: {}}")
        },
    ]

    private static let pairs = [
        SpecRule("store.cassandra", "store.cassandra.user", "store.cassandra.passwordFile", about: "cassandra.user and passwordFile go together") { spec in
            guard case .cassandra(let store) = spec.store, (store.user == nil) != (store.passwordFile == nil) else { return nil }
            return store.user == nil ? ("has a passwordFile and no user", "Write user: NAME") : ("has a user and no passwordFile", "Write passwordFile: /PATH")
        },
        SpecRule("run.docker.tls", about: "docker.tls.certificate and key go together") { spec in
            guard case .docker(let docker) = spec.run, let tls = docker.tls, (tls.certificate == nil) != (tls.key == nil) else { return nil }
            return ("has one of certificate and key", "Write both, or neither")
        },
        SpecRule("backplane.kafka.secretFiles", "backplane.kafka.properties", about: "a property is set once, in properties or in secretFiles") { spec in
            guard case .kafka(let kafka) = spec.backplane, let both = kafka.secretFiles.keys.filter({ kafka.properties[$0] != nil }).min() else { return nil }
            return ("sets \(both), which properties sets too", "Keep one of the two")
        },
    ]
}

extension CellSchema {
    /// The rules between fields, for the reference.
    public static let rules = SpecRule.all.map { rule in rule.about.prefix(1).uppercased() + rule.about.dropFirst() + "." }
}

extension RunSpec {
    /// What servers run in, where that is not this machine's own network; nil for processes.
    fileprivate var containers: String? {
        switch self {
        case .process: nil
        case .docker: "containers"
        case .kubernetes: "pods"
        }
    }
}
