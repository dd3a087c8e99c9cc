import Cell

/// One life of one server: what every step and every witness names, since a name may come back.
public struct ServerLife: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var id: ServerID
    public var incarnation: Incarnation

    public init(_ id: ServerID, _ incarnation: Incarnation) {
        self.id = id
        self.incarnation = incarnation
    }

    /// Looked up very often: a name seldom has two lives at a time.
    public func hash(into hasher: inout Hasher) { hasher.combine(id) }
    public static func == (a: ServerLife, b: ServerLife) -> Bool { a.id == b.id && a.incarnation == b.incarnation }
    public static func < (a: ServerLife, b: ServerLife) -> Bool { a.id == b.id ? a.incarnation < b.incarnation : a.id < b.id }
    public var description: String { "\(id)/\(incarnation)" }
}

/// Everything that the planner looks at beside the spec. Moments are the operator's own clock.
public struct ObservedCell: Equatable, Sendable {
    /// Of the spec that the plan is for.
    public var generation: Int64 = 0
    /// The cell is to go.
    public var deleted = false
    /// What the driver runs, and what has exited under it; nil while it cannot be asked, then nothing is started, stopped or dead by it.
    public var servers: [RunningServer]? = []
    /// The last that was published.
    public var assignment = Assignment()
    /// When each member last changed; a member that is not here changed with the assignment's own epoch, at `since`.
    public var changes: [ServerID: Change] = [:]
    /// When this operator began to look.
    public var since = Moment(milliseconds: 0)
    public var reports: [ServerID: Report] = [:]
    /// When each lease ends, as of `leasesRead`.
    public var leases: [ServerLife: Moment] = [:]
    /// A lease has run out when it ended before this: never by the operator's clock alone.
    public var leasesRead = Moment(milliseconds: 0)
    /// Since when Redis answers without a break; nil while it is away.
    public var redisBack: Moment? = Moment(milliseconds: 0)
    /// What leases and probes said before says nothing about now: this operator was paused (SIGSTOP, a machine that slept), its lead began, or Redis came
    /// back older than it was.
    public var seenSince = Moment(milliseconds: 0)
    /// When it last showed that it runs.
    var awakeAt: Moment?
    /// Those that this operator ends, on an errand that has not reached their driver yet: what the driver tells of them is older.
    var ending: Set<ServerLife> = []
    public var readySince: [ServerLife: Moment] = [:]
    /// The last health probe of each.
    public var probes: [ServerLife: HealthProbe] = [:]
    /// Whose connection broke while its port refused another, and when last.
    public var shut: [ServerLife: Moment] = [:]
    /// Ends of servers in the last minutes, oldest first.
    public var exits: [ServerExit] = []
    /// When deaths by lease alone were repaired, oldest first.
    public var leaseRepairs: [Moment] = []
    /// What this operator has sent to Redis last, while it is not known whether it arrived there.
    var attempt: Attempt?
    struct Attempt: Equatable, Sendable {
        var term: Term
        var epoch: Epoch
        /// How many deaths by lease alone it repairs.
        var leaseRepairs: Int
        var at: Moment
    }
    /// Servers that people asked to drain: they lose what they own, and stay without.
    public var drains: Set<ServerID> = []
    /// What else people ask for; its drains count as those above.
    public var wishes = Wishes()
    /// Of `drains`, those that end: a rollout replaces them.
    var retired: Set<ServerID> = []
    /// Those that a rollout replaces next: they do not count as servers that the spec asks for, and keep what they have until others are ready.
    var outgoing: Set<ServerID> = []
    /// What an autoscaled cell's load asked for lately.
    public var loads = LoadHistory()
    /// What partitions bear, and what is to be done about it.
    public var loadWatch = LoadWatch()
    /// How many messaging servers the autoscaler decided on; nil before it did.
    public var scaledTo: Int?
    public var log = LogView.unknown
    public var canary = Canary()
    public var store = StoreView.unknown

    public init() {}

    /// Redis has answered for so long that whoever lives has renewed its lease.
    func areLeasesSettled(_ lease: Duration) -> Bool { redisBack.map { leasesRead >= $0 + lease } ?? false }

    public struct Change: Equatable, Sendable {
        public var epoch: Epoch
        public var at: Moment
        public init(epoch: Epoch, at: Moment) {
            self.epoch = epoch
            self.at = at
        }
    }
}

/// A health probe, sent from the operator to a server's `/healthz`.
public struct HealthProbe: Equatable, Sendable {
    public enum Result: Equatable, Sendable { case pending, answered, failed }
    public var began: Moment
    public var result: Result
    public init(began: Moment, result: Result) {
        self.began = began
        self.result = result
    }
}

/// How a server ended, remembered to see crash loops.
public struct ServerExit: Equatable, Sendable {
    public var life: ServerLife
    public var started: Moment
    public var at: Moment
    /// It was ready at some time.
    public var wasReady: Bool
    /// It was asked to stop.
    public var asked: Bool
    public var reason: String
    /// As of `RunningServer`.
    public var template: String

    public init(_ life: ServerLife, started: Moment, at: Moment, wasReady: Bool, asked: Bool, reason: String, template: String = "") {
        self.template = template
        self.life = life
        self.started = started
        self.at = at
        self.wasReady = wasReady
        self.asked = asked
        self.reason = reason
    }
}

/// What the operator knows of the cell's topic on Kafka. The embedded backplane's log lives and dies with its server instead.
public enum LogView: Equatable, Sendable {
    /// Nobody has looked yet.
    case unknown
    case missing
    /// It exists, and goes on where its readers are.
    case intact
    /// It was made anew, or ends below what was read: a new log.
    case renewed
    /// It works, but is not as the spec wants it.
    case differs(problem: String, remedy: String)
    /// It cannot serve this cell at all, like with another partition count.
    case unfit(problem: String, remedy: String)
    case unreachable(String)

    /// Servers may read and write it.
    public var serves: Bool {
        switch self {
        case .intact, .renewed, .differs: true
        case .unknown, .missing, .unfit, .unreachable: false
        }
    }
}

/// What the operator knows of where the history is kept.
public enum StoreView: Equatable, Sendable {
    /// Nobody has looked yet.
    case unknown
    /// Its tables are there.
    case ready
    case away(String)
}
