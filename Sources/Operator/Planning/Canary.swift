import Cell

/// What probes through the log have shown. A lease only says that Redis is reachable: a server whose consumer is stuck, or that does not reach its
/// broker, renews it for ever.
///
/// The operator writes a probe into each partition now and then, and sees by the reports how far each server has read. A partition is silent when its
/// owner makes no progress although there is something to read. It is then probed once more; the owner is stuck when others have read that as well, and
/// it has had the time to. So a log that was away for everybody is nobody's fault: neither while it is away, nor when somebody reads it again first. Pure.
public struct Canary: Equatable, Sendable {
    /// How often, and how long until silence means something.
    public struct Pace: Equatable, Sendable {
        /// Between two probes of one partition.
        public var interval = Duration.seconds(10)
        /// Probes a second at most, of all partitions together.
        public var rate = 200
        /// So long without any progress: people are told.
        public var concern = Duration.seconds(5)
        /// So long without any progress, although others have read it: the owner is replaced.
        public var patience = Duration.seconds(10)
        /// So long others have been seen to read what was written when the owner was silent already: its own reports come once a second.
        public var handicap = Duration.seconds(3)

        public init() {}
    }

    /// One that its partition's owner has not been seen to read.
    private struct Probe: Equatable, Sendable {
        var offset: Int64
        var written: Moment
        var owner: ServerLife?
        /// How far the owner was, and since when it is no further.
        var position: Int64?
        var since: Moment
        var isReadElsewhere = false
        /// Of the second one, written when its owner was silent already; and since when others have read that.
        var again: Int64?
        var provenAt: Moment?
    }

    struct Silence {
        var partition: Partition
        var owner: ServerID
        var since: Moment
        var isReadElsewhere: Bool
    }

    public var pace = Pace()
    /// From the write's acknowledgement to the report that showed its owner beyond it; a report comes once a second.
    public private(set) var delays: [Partition: Duration] = [:]
    /// Those that read nothing of a partition that others have read, and where each stood.
    private(set) var stuck: [ServerLife: (partition: Partition, position: Int64)] = [:]
    private var pending: [Partition: Probe] = [:]
    private var log: LogID?
    private var lookedAt: Moment?
    private var askedAt: [Moment?] = []
    private var dueAt: Moment?
    private var cursor = 0

    public init() {}

    public static func == (a: Canary, b: Canary) -> Bool {
        a.pace == b.pace && a.delays == b.delays && a.pending == b.pending && a.log == b.log && a.stuck.mapValues(\.partition) == b.stuck.mapValues(\.partition)
    }

    // MARK: Probes

    /// The partitions to probe now; they count as probed.
    public mutating func due(of partitions: Int, now: Moment) -> [Partition] {
        if askedAt.count != partitions { askedAt = Array(repeating: nil, count: partitions) }
        let elapsed = dueAt.map { now - $0 } ?? .seconds(1)
        let credit = min(Int64(pace.rate), Int64(pace.rate) * elapsed.milliseconds / 1_000)
        guard elapsed >= .milliseconds(100), credit > 0 else { return [] }
        dueAt = now
        var result: [Partition] = []
        for _ in 0..<partitions where result.count < credit {
            let number = cursor % partitions
            cursor = number + 1
            let partition = Partition(Int32(number))
            guard isDue(partition, now) else { continue }
            askedAt[number] = now
            result.append(partition)
        }
        return result
    }

    private func isDue(_ partition: Partition, _ now: Moment) -> Bool {
        guard let asked = askedAt[Int(partition.number)] else { return true }
        let retry = min(pace.concern, pace.interval)
        guard now - asked >= retry else { return false }
        guard let probe = pending[partition] else { return now - asked >= pace.interval }
        return isSilent(probe, now) && probe.again == nil
    }

    private func isSilent(_ probe: Probe, _ now: Moment) -> Bool { probe.owner != nil && now - probe.since >= pace.concern }

    /// The log has the probe.
    public mutating func wrote(_ partition: Partition, at offset: Int64, of log: LogID, now: Moment) {
        guard log == self.log else { return }
        guard let probe = pending[partition] else { return pending[partition] = Probe(offset: offset, written: now, since: now) }
        if probe.again == nil, isSilent(probe, now) { pending[partition]?.again = offset }
    }

    // MARK: What the reports show

    /// - Parameter alive: holds for a server whose lease counts: what one reports that has lost Redis is old.
    mutating func look(at assignment: Assignment, _ reports: [ServerID: Report], now: Moment, alive: (ServerLife) -> Bool) {
        if assignment.log != log { self = Canary(pace: pace, log: assignment.log) }
        // After a pause of our own, or of Redis, every report is old for a moment.
        let hasSlept = lookedAt.map { now - $0 > .seconds(2) } ?? true
        lookedAt = now
        if !stuck.isEmpty {
            stuck = stuck.filter { life, place in
                reports[life.id].map { $0.incarnation == life.incarnation && $0.position(place.partition) == place.position } ?? false
            }
        }
        guard !pending.isEmpty else { return }
        let asked = PartitionSet(pending.keys)
        for (id, member) in assignment.members where !member.owns.isEmpty {
            let life = ServerLife(id, member.incarnation)
            for partition in member.owns.intersection(asked) {
                observe(partition, life, reports, now: now, counts: !hasSlept && alive(life))
            }
        }
    }

    private mutating func observe(_ partition: Partition, _ owner: ServerLife, _ reports: [ServerID: Report], now: Moment, counts: Bool) {
        guard var probe = pending[partition] else { return }
        let report = reports[owner.id].flatMap { $0.incarnation == owner.incarnation && $0.log == log ? $0 : nil }
        let position = report?.position(partition)
        if let position, position > probe.offset {
            delays[partition] = now - probe.written
            pending[partition] = nil
            return
        }
        if !counts || report?.state != .ready || owner != probe.owner || position != probe.position {
            probe.owner = owner
            probe.position = position
            probe.since = now
            (probe.again, probe.provenAt) = (nil, nil)
        }
        if isSilent(probe, now) {
            let furthest = reports.compactMap { id, other in id != owner.id && other.log == log ? other.position(partition) : nil }.max() ?? 0
            probe.isReadElsewhere = furthest > probe.offset
            if let again = probe.again, furthest > again { probe.provenAt = probe.provenAt ?? now }
        }
        if now - probe.since >= pace.patience, let provenAt = probe.provenAt, now - provenAt >= pace.handicap, let position {
            stuck[owner] = (partition, position)
        }
        pending[partition] = probe
    }

    /// Time in which nothing happens was skipped.
    mutating func putOff(by delay: Duration) {
        lookedAt = lookedAt.map { $0 + delay }
        dueAt = dueAt.map { $0 + delay }
        askedAt = askedAt.map { $0.map { $0 + delay } }
        for partition in pending.keys {
            guard var probe = pending[partition] else { continue }
            (probe.written, probe.since, probe.provenAt) = (probe.written + delay, probe.since + delay, probe.provenAt.map { $0 + delay })
            pending[partition] = probe
        }
    }

    private init(pace: Pace, log: LogID?) {
        self.pace = pace
        self.log = log
    }

    // MARK: What it says

    /// Partitions whose owners make no progress, since when, and whether others do.
    func silent(now: Moment) -> [Silence] {
        pending.sorted { $0.key < $1.key }.compactMap { partition, probe in
            guard let owner = probe.owner, now - probe.since >= pace.concern else { return nil }
            return Silence(partition: partition, owner: owner.id, since: probe.since, isReadElsewhere: probe.isReadElsewhere)
        }
    }

    /// No server is stuck, and no partition silent.
    func isQuiet(now: Moment) -> Bool { stuck.isEmpty && !pending.values.contains { $0.owner != nil && now - $0.since >= pace.concern } }

    /// Whether one who reads `set` as a standby is further than every probe in it that its owner leaves unread and that somebody has read.
    func keepsUp(_ report: Report?, with set: PartitionSet) -> Bool {
        guard let report, !pending.isEmpty else { return true }
        return !pending.contains { partition, probe in
            guard set.contains(partition), probe.isReadElsewhere, let position = report.position(partition) else { return false }
            return position <= probe.offset
        }
    }
}

extension Report {
    func position(_ partition: Partition) -> Int64? { positions[partition.description] }
}
