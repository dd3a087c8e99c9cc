/// What the operator tells about a cell: conditions in Kubernetes' manner, and counts.
public struct CellStatus: Equatable, Codable, Sendable {
    public var observedGeneration: Int64 = 0
    public var conditions: [Condition] = []
    public var servers: [ServerStatus] = []
    public var epoch: Epoch = .none
    public var term: Term = .none
    public var log: LogID?
    /// The operator that leads, as it names itself.
    public var leader = ""
    /// Its build.
    public var operatorBuild: String?
    /// What servers are started as now.
    public var template: String?
    /// Nil when there is nothing to replace.
    public var rollout: Rollout?
    public var updated_ms: Int64 = 0

    public init() {}

    public func condition(_ type: Condition.Kind) -> Condition? { conditions.first { $0.type == type } }

    /// A rolling upgrade under way.
    public struct Rollout: Equatable, Codable, Sendable {
        /// RollingOut, RolloutPaused or RolloutStopped.
        public var reason: String
        public var text: String
        public var isStopped: Bool { reason == "RolloutStopped" }

        public init(reason: String, text: String) {
            self.reason = reason
            self.text = text
        }
    }

    public struct Condition: Equatable, Codable, Sendable {
        public enum Kind: String, Codable, Sendable, CaseIterable {
            /// Every partition has a ready owner, and every server the spec asks for is ready.
            case ready = "Ready"
            /// Every partition has an owner that serves.
            case available = "Available"
            /// Something is on its way: starting, moving, a rollout.
            case progressing = "Progressing"
            /// Something is wrong that people should know, while the cell works.
            case degraded = "Degraded"
            /// The topic is as the spec wants it.
            case backplane = "BackplaneReady"
            case store = "StoreReady"
        }
        public enum Value: String, Codable, Sendable { case yes = "True", no = "False", unknown = "Unknown" }

        public var type: Kind
        public var status: Value
        /// One CamelCase word.
        public var reason: String
        public var message: String
        public var observedGeneration: Int64
        /// Unix milliseconds of the last change of `status`.
        public var lastTransition_ms: Int64

        public init(_ type: Kind, _ status: Value, reason: String, message: String, observedGeneration: Int64, lastTransition_ms: Int64) {
            self.type = type
            self.status = status
            self.reason = reason
            self.message = message
            self.observedGeneration = observedGeneration
            self.lastTransition_ms = lastTransition_ms
        }
    }

    /// An item of `cellctl get servers -o json`; names as printed there.
    public struct ServerStatus: Equatable, Codable, Sendable {
        public enum State: String, Codable, Sendable { case starting, ready, cutOff, stopping, dead }

        public var name: ServerID
        public var kind: ServerKind
        /// owner, standby, idle, draining; empty for other kinds than messaging.
        public var role: String
        public var state: State
        public var incarnation: Incarnation
        public var address: String
        public var http: String
        public var zone: String
        public var pid: Int32?
        public var container: String?
        public var pod: String?
        public var partitions: [String]
        public var connections: Int
        public var epoch: Epoch
        public var build: String
        /// Why it is not ready, for people.
        public var waitsFor: String
        /// What it was started as, where its driver knows.
        public var template: String?

        public init(_ name: ServerID, _ incarnation: Incarnation, state: State) {
            self.name = name
            kind = name.kind
            self.state = state
            self.incarnation = incarnation
            role = ""
            address = ""
            http = ""
            zone = ""
            partitions = []
            connections = 0
            epoch = .none
            build = ""
            waitsFor = ""
        }
    }
}

/// Something that happened to a cell, and why.
public struct CellEvent: Equatable, Codable, Sendable {
    /// One CamelCase word, like `ServerDied`, `FailedOver`, `PartitionsMoved`, `SpecApplied`.
    public var kind: String
    public var time_ms: Int64
    public var server: ServerID?
    public var incarnation: Incarnation?
    public var text: String
    public var epoch: Epoch?

    public init(_ kind: String, time_ms: Int64, server: ServerID? = nil, incarnation: Incarnation? = nil, epoch: Epoch? = nil, text: String) {
        self.kind = kind
        self.time_ms = time_ms
        self.server = server
        self.incarnation = incarnation
        self.epoch = epoch
        self.text = text
    }
}
