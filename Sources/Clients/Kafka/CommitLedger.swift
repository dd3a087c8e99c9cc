/// What a member of a group has finished of its partitions, and what of it is committed.
///
/// Pure.
struct CommitLedger: Equatable {
    private struct Entry: Equatable {
        var stored: StoredPosition?
        /// The last one that was sent to be committed.
        var sent: StoredPosition?
    }
    private var entries: [Int32: Entry] = [:]

    mutating func assign(_ partitions: [Int32]) {
        entries = Dictionary(partitions.map { ($0, Entry()) }) { $1 }
    }

    mutating func revokeAll() { entries = [:] }

    /// Remembers a position. One of a partition that is not assigned, or below what is stored already, is ignored.
    mutating func store(_ position: StoredPosition) {
        guard let entry = entries[position.partition], position.next >= entry.stored?.next ?? 0 else { return }
        entries[position.partition]?.stored = position
    }

    /// What is stored and not sent yet, in order; it counts as sent from now on.
    mutating func takeUnsent() -> [StoredPosition] {
        var unsent: [StoredPosition] = []
        for (partition, entry) in entries.sorted(by: { $0.key < $1.key }) {
            guard let stored = entry.stored, stored != entry.sent else { continue }
            entries[partition]?.sent = stored
            unsent.append(stored)
        }
        return unsent
    }

    /// A commit of these partitions failed: what is stored is to be sent again.
    mutating func failed(_ partitions: [Int32]) {
        for partition in partitions { entries[partition]?.sent = nil }
    }

    /// Forgets where a partition was, since it begins elsewhere.
    mutating func restart(_ partition: Int32) {
        if entries[partition] != nil { entries[partition] = Entry() }
    }
}

/// Everything of a partition below `next` is finished.
public struct StoredPosition: Sendable, Equatable {
    public var partition: Int32
    public var next: Int64
    /// Committed beside the offset, such as the log's id; Kafka takes up to 4 KiB.
    public var note: String

    public init(partition: Int32, next: Int64, note: String = "") {
        self.partition = partition
        self.next = next
        self.note = note
    }
}

/// Where a partition's group has committed to.
public struct CommittedPosition: Sendable, Equatable {
    public var partition: Int32
    /// Nil when nothing was ever committed, or it has expired.
    public var next: Int64?
    public var note: String

    public init(partition: Int32, next: Int64?, note: String = "") {
        self.partition = partition
        self.next = next
        self.note = note
    }
}

/// Which offsets are finished when they finish in any order: only the part without a hole counts.
public struct FinishedPrefix: Sendable, Equatable {
    /// Everything below is finished.
    public private(set) var next: Int64
    private var beyond: Set<Int64> = []

    public init(next: Int64) { self.next = next }

    /// How many are finished above the first hole.
    public var waiting: Int { beyond.count }

    public mutating func finish(_ offset: Int64) {
        guard offset >= next else { return }
        beyond.insert(offset)
        while beyond.remove(next) != nil { next += 1 }
    }
}
