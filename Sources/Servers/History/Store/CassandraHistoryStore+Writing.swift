import Cassandra
import Cell

extension CassandraHistoryStore {
    /// A statement with the values of one or more rows of one Cassandra partition.
    private struct Write: Sendable {
        var statement: PreparedStatement
        var rows: [[CQLValue]]
    }

    /// Cassandra warns of batches above 5 KiB and refuses those above 50.
    private static let batchBytes = 4_096
    private static let batchRows = 32

    public func write(_ batch: HistoryBatch) async throws {
        let places = Set(
            batch.entries.flatMap { entry in
                [HistoryKey.inbox(entry.owner), .dialog(entry.owner, with: entry.peer)]
                    .map { KnownBuckets.Place(key: $0, bucket: Bucket(of: entry.row.offset)) }
            })
        let missing = known.withLock { $0[batch.log, default: KnownBuckets()].missing(of: places) }
        do {
            try await run(rows(of: batch) + buckets(missing, batch.log) + marks(of: batch))
        } catch {
            // A node that failed may have lost what it had last; a bucket that is not listed would hide its rows for ever.
            known.withLock { $0[batch.log] = nil }
            throw error
        }
        known.withLock { known in
            // Two logs at most are written at a time: one that ends and the next.
            if known.count > 2, known[batch.log] == nil { known = [:] }
            known[batch.log, default: KnownBuckets()].add(missing)
        }
    }

    private func run(_ writes: [Write]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, write) in writes.enumerated() {
                if index >= options.parallelWrites { try await group.next() }
                group.addTask { [session, options] in
                    if write.rows.count == 1 {
                        _ = try await session.execute(write.statement, write.rows[0], consistency: options.write)
                    } else {
                        try await session.batch(write.statement, write.rows, consistency: options.write)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Rows that lie together go together.
    private func rows(of batch: HistoryBatch) -> [Write] {
        var groups: [KnownBuckets.Place: [HistoryEntry]] = [:]
        for entry in batch.entries {
            let bucket = Bucket(of: entry.row.offset)
            groups[.init(key: .inbox(entry.owner), bucket: bucket), default: []].append(entry)
            groups[.init(key: .dialog(entry.owner, with: entry.peer), bucket: bucket), default: []].append(entry)
        }
        return groups.flatMap { place, entries -> [Write] in
            let (statement, key) =
                switch place.key {
                case .inbox(let owner): (statements.insertInbox, [batch.log.cql, owner.cql])
                case .dialog(let owner, let peer): (statements.insertDialog, [batch.log.cql, owner.cql, peer.cql])
                }
            return Self.split(entries).map { part in
                Write(statement: statement, rows: part.map { key + [.bigint(place.bucket.number)] + Self.values($0.row) })
            }
        }
    }

    private static func split(_ entries: [HistoryEntry]) -> [[HistoryEntry]] {
        var parts: [[HistoryEntry]] = []
        var bytes = 0
        for entry in entries {
            let size = entry.row.body.count + 100
            if let last = parts.last, bytes + size <= batchBytes, last.count < batchRows {
                parts[parts.count - 1].append(entry)
                bytes += size
            } else {
                parts.append([entry])
                bytes = size
            }
        }
        return parts
    }

    private static func values(_ row: HistoryRow) -> [CQLValue] {
        [.bigint(row.offset), .uuid(row.id.bytes), row.sender.cql, row.receiver.cql, .bigint(row.time_ms), .blob(row.body)]
    }

    private func buckets(_ places: Set<KnownBuckets.Place>, _ log: LogID) -> [Write] {
        places.map { place in
            switch place.key {
            case .inbox(let owner):
                Write(statement: statements.insertInboxBucket, rows: [[log.cql, owner.cql, .bigint(place.bucket.number)]])
            case .dialog(let owner, let peer):
                Write(
                    statement: statements.insertDialogBucket,
                    rows: [[log.cql, owner.cql, peer.cql, .bigint(place.bucket.number)]])
            }
        }
    }

    private func marks(of batch: HistoryBatch) -> [Write] {
        batch.marks.map { mark in
            Write(
                statement: statements.insertHour,
                rows: [[batch.log.cql, .int(batch.partition.number), .bigint(mark.hour.number), .bigint(mark.first)]])
        }
    }

    /// The place itself is the write's timestamp: of two writers the one that is further wins, whoever is later.
    public func advance(_ log: LogID, _ partition: Partition, to progress: HistoryProgress) async throws {
        let timestamp = progress == .ended ? Int64(1) << 62 : progress.through + 1
        _ = try await session.execute(
            statements.insertProgress,
            [log.cql, .int(partition.number), .bigint(progress.through), .bigint(progress.time_ms), .bigint(timestamp)],
            consistency: options.write)
    }
}
