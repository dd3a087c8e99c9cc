import Cell

/// What to do next, in this order, and when to look again if nothing happens. At rest there is nothing to do.
public struct Plan: Equatable, Sendable {
    public var steps: [Step] = []
    public var lookAgain: Moment?
    /// What people should know, ordered by kind.
    public var findings: [Finding] = []

    public init() {}
}

public enum Step: Equatable, Sendable {
    /// A new epoch.
    case publish(Publication)
    /// Makes the topic on Kafka and verifies it.
    case makeTopic
    case start(StartOrder)
    case stop(ServerLife, why: String)
    /// Ends a server that hangs: its failover is published.
    case kill(ServerLife, why: String)
    /// Asks `/healthz` at HOST:PORT, with half a lease to answer.
    case probe(ServerLife, at: String)
    /// Nobody needs to know of this life any more: its report, lease and driver record go.
    case forget(ServerLife)
    /// Everything has stopped: the cell's keys go.
    case removeCell

    /// Why a rollout stops a server.
    package static let replaced = "another of the new template is in its place"
}

/// The members of the next epoch.
public struct Publication: Equatable, Sendable {
    public var members: [ServerID: Member]
    /// The log ended: the assignment names a new one, higher than all before.
    public var startsLog: Bool
    /// Of those it takes from the dead, how many died by lease alone.
    public var leaseRepairs: Int
    public var notes: [Note]

    public init(members: [ServerID: Member], startsLog: Bool = false, leaseRepairs: Int = 0, notes: [Note] = []) {
        self.members = members
        self.startsLog = startsLog
        self.leaseRepairs = leaseRepairs
        self.notes = notes
    }
}

/// A server to be born: the driver makes its incarnation.
public struct StartOrder: Equatable, Sendable {
    public var id: ServerID
    public var zone: String
    /// For connect servers.
    public var port: UInt16?
    /// Who listens on `port` until this one is ready.
    public var replaces: ServerID?
    public var why: String

    public init(_ id: ServerID, zone: String = "", port: UInt16? = nil, replaces: ServerID? = nil, why: String) {
        self.id = id
        self.zone = zone
        self.port = port
        self.replaces = replaces
        self.why = why
    }
}

/// An event to be: what happened, to whom, and why.
public struct Note: Equatable, Sendable {
    /// One CamelCase word.
    public var kind: String
    public var server: ServerID?
    public var incarnation: Incarnation?
    private var words: Words

    public init(_ kind: String, _ life: ServerLife? = nil, _ text: String) {
        self.init(kind, life, .text(text))
    }

    private init(_ kind: String, _ life: ServerLife?, _ words: Words) {
        self.kind = kind
        server = life?.id
        incarnation = life?.incarnation
        self.words = words
    }

    static func ready(_ life: ServerLife, at address: String) -> Note { Note("ServerReady", life, .ready(life.id, address)) }

    /// Put together when somebody reads them, not for each of thousands of servers in every plan.
    private enum Words: Equatable {
        case text(String)
        case ready(ServerID, String)
    }

    public var text: String {
        switch words {
        case .text(let text): text
        case .ready(let id, let address): "\(id) is ready\(address.isEmpty ? "" : " at \(address)")"
        }
    }
}

/// Something that keeps the cell from being as its spec wishes.
public struct Finding: Equatable, Sendable {
    public enum Weight: Int, Comparable, Sendable {
        /// On its way.
        case progress
        /// People should look.
        case trouble
        public static func < (a: Weight, b: Weight) -> Bool { a.rawValue < b.rawValue }
    }
    public var weight: Weight
    /// One CamelCase word.
    public var reason: String
    public var text: String

    public init(_ weight: Weight, _ reason: String, _ text: String) {
        self.weight = weight
        self.reason = reason
        self.text = text
    }
}
