import Cell
import History

/// The partitions that this materializer has now, and what is to be done for each. Values only.
///
/// One step of a partition is on its way at a time, so what is committed is always a prefix. While it is, records gather for the next one.
struct MaterializerLanes: Sendable {
    struct Lane: Sendable {
        var materializer: PartitionMaterializer
        /// Which time this partition was given to us: answers for an earlier time are ignored.
        var turn: UInt64
        var isStoring = false
        var isFailed = false
    }

    /// A step of one partition, to be stored.
    struct Job: Sendable {
        var step: PartitionMaterializer.Step
        var turn: UInt64
        var partition: Int32 { step.batch.partition.number }
    }

    /// Rows in memory above which reading pauses, and below which it goes on.
    static let full = 100_000
    static let roomy = 50_000

    private(set) var lanes: [Int32: Lane] = [:]
    private var turns: UInt64 = 0
    private var storing = 0
    private var past = PartitionMaterializer.Counts()

    mutating func assign(_ materializers: [PartitionMaterializer]) {
        turns += 1
        retire()
        lanes = materializers.reduce(into: [:]) { $0[$1.partition.number] = Lane(materializer: $1, turn: turns) }
    }

    mutating func revokeAll() {
        retire()
        lanes = [:]
    }

    private mutating func retire() {
        for lane in lanes.values { past += lane.materializer.counts }
    }

    mutating func take(_ partition: Int32, offset: Int64, log_ms: Int64?, _ bytes: [UInt8]) {
        lanes[partition]?.materializer.take(offset: offset, log_ms: log_ms, bytes)
    }

    /// The next steps to store, in order of partitions; at most `limit` partitions are on their way at once.
    mutating func jobs(limit: Int) -> [Job] {
        var jobs: [Job] = []
        for (partition, lane) in lanes.sorted(by: { $0.key < $1.key }) {
            guard storing < limit else { break }
            guard !lane.isStoring, let step = lanes[partition]?.materializer.step() else { continue }
            lanes[partition]?.isStoring = true
            storing += 1
            jobs.append(Job(step: step, turn: lane.turn))
        }
        return jobs
    }

    /// A job is stored, or has been given up because the partition is not ours any more.
    mutating func done(_ job: Job) {
        storing -= 1
        if isOurs(job) { lanes[job.partition]?.isStoring = false }
    }

    /// Whether the job's partition is still the one that it was made for.
    func isOurs(_ job: Job) -> Bool { lanes[job.partition]?.turn == job.turn }

    /// Whether everything that was taken is stored.
    var isIdle: Bool { lanes.values.allSatisfy { !$0.isStoring && $0.materializer.waiting == 0 } }

    var waiting: Int { lanes.values.reduce(0) { $0 + $1.materializer.waiting } }

    var counts: PartitionMaterializer.Counts { lanes.values.reduce(past) { $0 + $1.materializer.counts } }

    mutating func failed(_ partition: Int32) { lanes[partition]?.isFailed = true }

    /// The partitions that have failed since it was asked last.
    mutating func takeFailed() -> [Int32] {
        let failed = lanes.filter(\.value.isFailed).keys.sorted()
        for partition in failed { lanes[partition]?.isFailed = false }
        return failed
    }

    /// Begins again after a failure, at `offset` or behind it. Returns where; nil when the partition is not ours.
    mutating func resume(_ partition: Int32, notBefore offset: Int64) -> Int64? {
        lanes[partition]?.materializer.skip(to: offset)
        return lanes[partition]?.materializer.next
    }
}

extension PartitionMaterializer.Counts {
    static func + (a: Self, b: Self) -> Self {
        Self(
            first: a.first + b.first, duplicate: a.duplicate + b.duplicate, void: a.void + b.void, unreadable: a.unreadable + b.unreadable,
            other: a.other + b.other)
    }

    static func += (a: inout Self, b: Self) { a = a + b }
}
