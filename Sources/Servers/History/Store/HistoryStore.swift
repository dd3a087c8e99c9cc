import Cell

/// Where the history is kept. All implementations pass one contract suite.
///
/// Writes are idempotent: doing one again, also by another process, changes nothing. Nothing is deleted, and no null is written.
public protocol HistoryStore: Sendable {
    /// Makes what is missing of the tables and waits until every node knows them. For one creator in a cell.
    func createSchema() async throws

    /// The tables that are not there (yet), in order; empty when the store is ready.
    func missingTables() async throws -> [String]

    /// Stores rows and marks of one partition. When it returns, all of them are kept as safely as the store can (a quorum).
    func write(_ batch: HistoryBatch) async throws

    /// Notes how far a partition of a log is stored. Never goes back: a lower place than the one noted is ignored.
    func advance(_ log: LogID, _ partition: Partition, to progress: HistoryProgress) async throws

    /// How far a partition is stored; `.none` when nothing was noted.
    func progress(_ log: LogID, _ partition: Partition) async throws -> HistoryProgress

    /// The newest `limit` rows of `key` with offsets in `offsets`, newest first. Fewer only when there are no more.
    func rows(_ key: HistoryKey, _ log: LogID, in offsets: Range<Int64>, limit: Int) async throws -> [HistoryRow]

    /// The mark of the earliest hour that is not before `hour`.
    func mark(_ log: LogID, _ partition: Partition, notBefore hour: Hour) async throws -> HourMark?

    /// The mark of the latest hour that is not after `hour`.
    func mark(_ log: LogID, _ partition: Partition, notAfter hour: Hour) async throws -> HourMark?

    func close()
}

/// Whose rows: everything of one user, or what one user exchanged with one peer.
public enum HistoryKey: Hashable, Sendable {
    case inbox(UserID)
    case dialog(UserID, with: UserID)

    public var owner: UserID {
        switch self {
        case .inbox(let owner), .dialog(let owner, with: _): owner
        }
    }
}

/// A message as the log has it.
public struct HistoryRow: Equatable, Sendable {
    public var offset: Int64
    public var id: MessageID
    public var sender: UserID
    public var receiver: UserID
    /// Log time, Unix milliseconds.
    public var time_ms: Int64
    public var body: [UInt8]

    public init(offset: Int64, id: MessageID, sender: UserID, receiver: UserID, time_ms: Int64, body: [UInt8]) {
        self.offset = offset
        self.id = id
        self.sender = sender
        self.receiver = receiver
        self.time_ms = time_ms
        self.body = body
    }
}

/// A message among those of one of its two users.
public struct HistoryEntry: Equatable, Sendable {
    public var owner: UserID
    public var row: HistoryRow

    public init(owner: UserID, row: HistoryRow) {
        self.owner = owner
        self.row = row
    }

    public var peer: UserID { owner == row.sender ? row.receiver : row.sender }
}

/// What is stored of one partition at once.
public struct HistoryBatch: Equatable, Sendable {
    public var log: LogID
    public var partition: Partition
    public var entries: [HistoryEntry]
    public var marks: [HourMark]

    public init(log: LogID, partition: Partition, entries: [HistoryEntry] = [], marks: [HourMark] = []) {
        self.log = log
        self.partition = partition
        self.entries = entries
        self.marks = marks
    }
}

/// An hour of log time, counted from 1970.
public struct Hour: Hashable, Comparable, Sendable {
    public var number: Int64
    public static let length_ms: Int64 = 3_600_000

    public init(_ number: Int64) { self.number = number }
    /// The hour in which `time_ms` (Unix milliseconds) lies.
    public init(of time_ms: Int64) { number = time_ms >= 0 ? time_ms / Self.length_ms : (time_ms + 1) / Self.length_ms - 1 }

    public static func < (a: Hour, b: Hour) -> Bool { a.number < b.number }
}

/// Where an hour of a partition began: no record before `first` has a log time in it or later.
public struct HourMark: Hashable, Sendable {
    public var hour: Hour
    public var first: Int64

    public init(hour: Hour, first: Int64) {
        self.hour = hour
        self.first = first
    }
}

/// How far a partition of a log is stored.
public struct HistoryProgress: Equatable, Sendable {
    /// Every record below this offset is stored.
    public var through: Int64
    /// The log time that has been reached, Unix milliseconds.
    public var time_ms: Int64

    public init(through: Int64, time_ms: Int64) {
        self.through = through
        self.time_ms = time_ms
    }

    public static let none = HistoryProgress(through: 0, time_ms: 0)
    /// A later log is being read: nothing more of this one comes.
    public static let ended = HistoryProgress(through: .max, time_ms: .max)
}
