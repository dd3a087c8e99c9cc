/// A cell as its `cell.yaml` wishes it: every field with its value or default. `docs/cell-yaml.md` describes each.
public struct CellSpec: Equatable, Sendable {
    public var name: CellName
    public var labels: [String: String] = [:]
    /// Fixed for the cell's life: a user's partition never changes.
    public var partitions: Int
    /// W of the once-rule. Fixed.
    public var idWindow: Duration = .seconds(60)
    public var zones: [String] = []
    public var messaging = MessagingSpec()
    public var connect = ConnectSpec()
    public var history = HistorySpec()
    public var materialize = MaterializeSpec()
    public var backplane: BackplaneSpec
    public var store: StoreSpec
    public var auth: AuthSpec
    public var run: RunSpec
    public var failover = FailoverSpec()
    public var moves = MovesSpec()
    public var rollout = RolloutSpec()

    public init(name: CellName, partitions: Int, backplane: BackplaneSpec, store: StoreSpec, auth: AuthSpec, run: RunSpec) {
        self.name = name
        self.partitions = partitions
        self.backplane = backplane
        self.store = store
        self.auth = auth
        self.run = run
    }
}

public struct MessagingSpec: Equatable, Sendable {
    public var servers = 1
    public var standbys = 1
    public var maxConnections = 50_000
    public var autoscale: Autoscale?
    public var window = Window()
    public var limits = Limits()
    /// How long a client hears nothing before an Alive.
    public var alive: Duration = .seconds(10)
    public var tls: TLSFiles?
    /// The host that clients are told; nil: the address the server is reached at from where it runs.
    public var advertise: String?
    public init() {}

    public struct Autoscale: Equatable, Sendable {
        public var min: Int, max: Int
        public var targetConnections: Int?
        public var targetMessagesPerSecond: Int?
        public var up: Duration = .seconds(30), down: Duration = .seconds(600)
        public init(min: Int, max: Int) {
            self.min = min
            self.max = max
        }
    }

    /// What a resuming client gets without the history.
    public struct Window: Equatable, Sendable {
        public var age: Duration = .seconds(600)
        /// For a server's partitions together.
        public var bytes = 1 << 30
        public init() {}
    }

    public struct Limits: Equatable, Codable, Sendable {
        public var bodyBytes = 8 << 10
        /// Messages a second of one user.
        public var userRate = 50
        /// Messages a second towards one partition.
        public var partitionRate = 2_000
        public var unacknowledged = 64
        /// Bytes that wait for one slow client.
        public var backlog = 256 << 10
        public var streamsPerUser = 16
        public init() {}
    }
}

/// Paths of PEM files.
public struct TLSFiles: Equatable, Sendable {
    public var certificate: String, key: String
    public init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }
}

public struct ConnectSpec: Equatable, Sendable {
    public var servers = 1
    /// Several on one host take the ports that follow.
    public var port: UInt16 = 8080
    public var tls: TLSFiles?
    public init() {}
}

public struct HistorySpec: Equatable, Sendable {
    public var servers = 1
    public init() {}
}

public struct MaterializeSpec: Equatable, Sendable {
    public var servers = 1
    public init() {}
}

public enum BackplaneSpec: Equatable, Sendable {
    case kafka(Kafka)
    /// A broker in a server of the cell: loopback only, memory only.
    case embedded

    public struct Kafka: Equatable, Sendable {
        public var brokers: [String]
        public var topic: String
        public var replicationFactor = 3
        public var retention: Duration = .seconds(7 * 86_400)
        /// librdkafka's properties, from a list of those allowed.
        public var properties: [String: String] = [:]
        /// Property → file that holds its value.
        public var secretFiles: [String: String] = [:]
        public init(brokers: [String], topic: String) {
            self.brokers = brokers
            self.topic = topic
        }
        /// One less than the replication factor, at least 1.
        public var minInsyncReplicas: Int { max(1, replicationFactor - 1) }
    }
}

public enum StoreSpec: Equatable, Sendable {
    case cassandra(Cassandra)
    /// One file beside the servers.
    case sqlite

    public struct Cassandra: Equatable, Sendable {
        public var contactPoints: [String]
        public var keyspace: String
        public var replicationFactor = 3
        public var write = Consistency.localQuorum
        public var read = Consistency.localQuorum
        public var user: String?
        public var passwordFile: String?
        /// Path of the PEM of who signed the nodes' certificates.
        public var tlsCA: String?
        public init(contactPoints: [String], keyspace: String) {
            self.contactPoints = contactPoints
            self.keyspace = keyspace
        }
    }

    public enum Consistency: String, CaseIterable, Sendable {
        case one = "ONE", localOne = "LOCAL_ONE", two = "TWO", quorum = "QUORUM", localQuorum = "LOCAL_QUORUM", all = "ALL"
    }
}

public enum AuthSpec: Equatable, Sendable {
    case jwt(JWT)
    case none

    public struct JWT: Equatable, Sendable {
        public var keyFile: String
        public var algorithm: Algorithm
        public var leeway: Duration = .seconds(30)
        public init(keyFile: String, algorithm: Algorithm) {
            self.keyFile = keyFile
            self.algorithm = algorithm
        }
    }

    public enum Algorithm: String, CaseIterable, Sendable { case hs256 = "HS256", rs256 = "RS256", es256 = "ES256" }
}

public enum RunSpec: Equatable, Sendable {
    case process(Process)
    case docker(Docker)
    case kubernetes(Kubernetes)

    public struct Process: Equatable, Sendable {
        /// Nil: the `cell-server` beside `cell-operator`.
        public var executable: String?
        public var environment: [String: String] = [:]
        /// Where logs and the embedded history are kept.
        public var directory = "."
        public init() {}
    }

    public struct Docker: Equatable, Sendable {
        public var image: String
        /// Nil: `DOCKER_HOST`, else `unix:///var/run/docker.sock`.
        public var endpoint: String?
        public var network = "host"
        public var tls: ClientTLS?
        public var environment: [String: String] = [:]
        public var volumes: [String] = []
        public var resources = Resources()
        public init(image: String) { self.image = image }
    }

    public struct ClientTLS: Equatable, Sendable {
        public var ca: String?, certificate: String?, key: String?
        public init() {}
    }

    public struct Resources: Equatable, Sendable {
        /// Cores, in thousandths.
        public var cpus_milli: Int?
        public var memory_bytes: Int?
        public init() {}
    }

    public struct Kubernetes: Equatable, Sendable {
        public var image: String
        public var namespace = "default"
        public var hostNetwork = false
        public var serviceAccount: String?
        public var nodeSelector: [String: String] = [:]
        /// Handed to the pod template as they are, canonical JSON.
        public var tolerations: [String] = []
        public var volumes: [String] = []
        public var resources = Resources()
        public init(image: String) { self.image = image }
    }
}

public struct FailoverSpec: Equatable, Sendable {
    public var heartbeat: Duration = .milliseconds(500)
    public var lease: Duration = .milliseconds(1_500)
    /// The brake: of the fleet's servers, in percent, the deaths by lease alone that are repaired at once.
    public var maxSimultaneous_percent = 25
    public init() {}
}

public struct MovesSpec: Equatable, Sendable {
    /// Of the partitions, in percent.
    public var simultaneous_percent = 10
    /// The rate at which a server sends Moved.
    public var clientsPerSecond = 2_000
    /// After the last Moved, before the old owner ends the streams that are left.
    public var grace: Duration = .seconds(10)
    public init() {}
}

public struct RolloutSpec: Equatable, Sendable {
    /// Servers replaced at a time.
    public var batch = 1
    public var readyWithin: Duration = .seconds(60)
    public init() {}
}
