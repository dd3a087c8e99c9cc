import Cell
import History

/// What the records of one partition become in the history. Values only.
///
/// It is begun some way before the place up to which the rows are stored already, so that it knows the ids of the once-rule:
///
///     readBack ─────────────▶ stored ─────────▶ next
///        only remembered         rows are made
struct PartitionMaterializer: Sendable {
    /// Rows to store, and what may be noted and committed once they are.
    struct Step: Equatable, Sendable {
        var batch: HistoryBatch
        var progress: HistoryProgress
        /// Where a reader that goes on at `progress.through` has to begin.
        var readBack: Int64
    }

    let log: LogID
    let partition: Partition
    private let partitions: Int
    private var rule: OnceRule
    private var trail: ReadBackTrail
    private var hour: Hour?
    /// The latest log time seen.
    private var time_ms: Int64 = 0
    /// Everything below has been taken.
    private(set) var next: Int64
    /// Everything below is stored, or on its way there.
    private var given: Int64
    private var entries: [HistoryEntry] = []
    private var marks: [HourMark] = []
    private(set) var counts = Counts()

    struct Counts: Equatable, Sendable {
        var first = 0, duplicate = 0, void = 0, unreadable = 0, other = 0
    }

    /// - Parameters:
    ///   - readBack: the offset of the first record that will be taken.
    ///   - stored: rows below it are in the store.
    init(log: LogID, partition: Partition, of partitions: Int, idWindow: Duration, readBack: Int64, stored: Int64) {
        self.log = log
        self.partition = partition
        self.partitions = partitions
        rule = OnceRule(idWindow: idWindow, log: log)
        trail = ReadBackTrail(span_ms: rule.readBack_ms, start: readBack)
        next = readBack
        given = max(stored, readBack)
        // Only a reader that saw the log's first record knows that an hour's first record is the first.
        hour = readBack == 0 ? Hour(.min) : nil
    }

    /// Takes the partition's next record. One that was taken before is passed over.
    ///
    /// - Parameter log_ms: when the log took it; nil on a backplane that stamps no records: then the time in the record counts.
    mutating func take(offset: Int64, log_ms: Int64?, _ bytes: [UInt8]) {
        guard offset >= next else { return }
        next = offset + 1
        let record = Record(bytes: bytes)
        guard let time = log_ms ?? record?.produced_ms else {
            counts.unreadable += 1
            return
        }
        observe(time, offset)
        switch record {
        case .message(let message): take(message, offset, time)
        case .tick, .probe:
            rule.observe(time)
            counts.other += 1
        case nil:
            rule.observe(time)
            counts.unreadable += 1
        }
    }

    private mutating func take(_ message: LoggedMessage, _ offset: Int64, _ time: Int64) {
        switch rule.judge(message.id, from: message.sender, to: message.receiver, at: time) {
        case .void: counts.void += 1
        case .duplicate: counts.duplicate += 1
        case .first:
            counts.first += 1
            guard offset >= given else { return }
            let row = HistoryRow(
                offset: offset, id: message.id, sender: message.sender, receiver: message.receiver, time_ms: time, body: message.body)
            for owner in owners(of: message) { entries.append(HistoryEntry(owner: owner, row: row)) }
        }
    }

    /// Those of sender and receiver who live in this partition.
    private func owners(of message: LoggedMessage) -> [UserID] {
        let both = message.sender == message.receiver ? [message.sender] : [message.sender, message.receiver]
        return both.filter { $0.partition(of: partitions) == partition }
    }

    private mutating func observe(_ time: Int64, _ offset: Int64) {
        time_ms = max(time_ms, time)
        trail.observe(time_ms, at: offset)
        let current = Hour(of: time)
        guard let hour else {
            self.hour = current
            return
        }
        guard current > hour else { return }
        self.hour = current
        if offset >= given { marks.append(HourMark(hour: current, first: offset)) }
    }

    /// Rows that wait to be given out.
    var waiting: Int { entries.count }

    /// What has been taken and not yet given out; nil when there is nothing new.
    mutating func step() -> Step? {
        guard next > given else { return nil }
        defer {
            given = next
            entries = []
            marks = []
        }
        return Step(
            batch: HistoryBatch(log: log, partition: partition, entries: entries, marks: marks),
            progress: HistoryProgress(through: next, time_ms: time_ms), readBack: trail.start)
    }

    /// The log does not hold what comes next any more: goes on at `offset`, in an hour whose beginning nobody saw.
    mutating func skip(to offset: Int64) {
        guard offset > next else { return }
        next = offset
        given = max(given, offset)
        hour = nil
    }
}

/// Where a reader has to begin to know the ids of the last `span_ms` of log time. Values only; one place for each second of the span.
struct ReadBackTrail: Equatable, Sendable {
    private struct Place: Equatable, Sendable {
        var time_ms: Int64
        var offset: Int64
    }

    private static let grain_ms: Int64 = 1_000
    private let span_ms: Int64
    private var places: [Place] = []
    /// The offset to begin at.
    private(set) var start: Int64

    init(span_ms: Int64, start: Int64) {
        self.span_ms = span_ms
        self.start = start
    }

    /// The record at `offset` brought the latest log time to `time_ms`.
    mutating func observe(_ time_ms: Int64, at offset: Int64) {
        guard places.last.map({ time_ms >= $0.time_ms + Self.grain_ms }) ?? true else { return }
        places.append(Place(time_ms: time_ms, offset: offset))
        // The last place that is a whole span old: everything younger lies behind it.
        guard let first = places.lastIndex(where: { $0.time_ms <= time_ms - span_ms }) else { return }
        start = max(start, places[first].offset)
        places.removeFirst(first)
    }
}

/// What is written beside a committed offset: where a reader that goes on there has to begin.
enum CommitNote {
    static func text(readBack: Int64) -> String { "readBack=\(readBack)" }

    /// Nil for what is no such note, or names a place after `committed`: then the whole log is read.
    static func readBack(_ note: String, committed: Int64) -> Int64? {
        guard note.hasPrefix("readBack="), let offset = Int64(note.dropFirst("readBack=".count)), (0...committed).contains(offset) else { return nil }
        return offset
    }
}
