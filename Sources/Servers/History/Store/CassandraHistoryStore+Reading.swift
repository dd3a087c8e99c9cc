import Cassandra
import Cell

extension CassandraHistoryStore {
    public func progress(_ log: LogID, _ partition: Partition) async throws -> HistoryProgress {
        let rows = try await session.execute(
            statements.progress, [log.cql, .int(partition.number)], consistency: options.read)
        guard let row = rows.rows.first else { return .none }
        return HistoryProgress(through: try row.bigint(0), time_ms: try row.bigint(1))
    }

    public func rows(_ key: HistoryKey, _ log: LogID, in offsets: Range<Int64>, limit: Int) async throws -> [HistoryRow] {
        guard !offsets.isEmpty, limit > 0 else { return [] }
        var rest = Bucket.range(of: offsets)
        var walk = BucketWalk()
        var listed: [Bucket] = []
        var found: [HistoryRow] = []
        while true {
            if listed.isEmpty { listed = try await buckets(key, log, in: rest, newest: BucketWalk.listing) }
            let now = Array(listed.prefix(walk.next()))
            found += try await rows(key, log, in: offsets, of: now, limit: limit - found.count)
            guard found.count < limit, let last = now.last, last > rest.lowerBound else { return found }
            rest = rest.lowerBound...Bucket(last.number - 1)
            listed.removeFirst(now.count)
        }
    }

    /// The newest buckets of `key` in `range`, newest first; those that are not there may be among them when the range is small.
    private func buckets(_ key: HistoryKey, _ log: LogID, in range: ClosedRange<Bucket>, newest count: Int) async throws -> [Bucket] {
        let (low, high) = (range.lowerBound.number, range.upperBound.number)
        // To look into one bucket is not dearer than to look whether it is there.
        if low == high { return [range.upperBound] }
        let span: [CQLValue] = [.bigint(low), .bigint(high), .int(Int32(clamping: count))]
        let (statement, values) = parts(key, log, statements.inboxBuckets, statements.dialogBuckets)
        let rows = try await session.rows(statement, values + span, first: count, consistency: options.read)
        return try rows.map { row throws(CassandraError) in Bucket(try row.bigint(0)) }
    }

    /// Rows of several buckets, read at once, in order.
    private func rows(
        _ key: HistoryKey, _ log: LogID, in offsets: Range<Int64>, of buckets: [Bucket], limit: Int
    ) async throws -> [HistoryRow] {
        let (statement, values) = parts(key, log, statements.inbox, statements.dialog)
        let pages = try await withThrowingTaskGroup(of: (Int, [HistoryRow]).self) { group in
            for (index, bucket) in buckets.enumerated() {
                let all = values + [.bigint(bucket.number), .bigint(offsets.lowerBound), .bigint(offsets.upperBound), .int(Int32(clamping: limit))]
                group.addTask { [session, options] in
                    let rows = try await session.rows(statement, all, first: limit, consistency: options.read)
                    return (index, try rows.map(Self.row))
                }
            }
            return try await group.reduce(into: [Int: [HistoryRow]]()) { $0[$1.0] = $1.1 }
        }
        return Array(buckets.indices.flatMap { pages[$0] ?? [] }.prefix(limit))
    }

    private static func row(_ row: Row) throws -> HistoryRow {
        try HistoryRow(
            offset: try row.bigint(0), id: try row.bytes(1), sender: try row.bigint(2), receiver: try row.bigint(3),
            time_ms: try row.bigint(4), body: try row.bytes(5))
    }

    private func parts(
        _ key: HistoryKey, _ log: LogID, _ inbox: PreparedStatement, _ dialog: PreparedStatement
    ) -> (PreparedStatement, [CQLValue]) {
        switch key {
        case .inbox(let owner): (inbox, [log.cql, owner.cql])
        case .dialog(let owner, let peer): (dialog, [log.cql, owner.cql, peer.cql])
        }
    }

    public func mark(_ log: LogID, _ partition: Partition, notBefore hour: Hour) async throws -> HourMark? {
        try await mark(statements.hourNotBefore, log, partition, hour)
    }

    public func mark(_ log: LogID, _ partition: Partition, notAfter hour: Hour) async throws -> HourMark? {
        try await mark(statements.hourNotAfter, log, partition, hour)
    }

    private func mark(_ statement: PreparedStatement, _ log: LogID, _ partition: Partition, _ hour: Hour) async throws -> HourMark? {
        let rows = try await session.execute(
            statement, [log.cql, .int(partition.number), .bigint(hour.number)], consistency: options.read)
        return try rows.rows.first.map { HourMark(hour: Hour(try $0.bigint(0)), first: try $0.bigint(1)) }
    }
}
