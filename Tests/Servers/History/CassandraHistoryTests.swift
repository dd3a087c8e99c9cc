import Cassandra
import Cell
import Glibc
import Support
import Testing

@testable import History

/// What only Cassandra does.
@Suite(.enabled(if: Peers.wanted), .timeLimit(.minutes(10)))
struct CassandraHistoryTests {
    @Test("we write no tombstone; where others deleted, what is left is found over empty pages, and `more` is right")
    func tombstones() async throws {
        try await CassandraPeer.shared { peer in
            let store = try cassandraStore(port: peer.port, keyspace: "history_deleted")
            defer { store.close() }
            try await store.createSchema()
            var sample = Sample(1)
            let log = sample.log()
            let owner = user(7)
            let rows = (Int64(0)..<4_000).map { sample.row($0, from: 7, to: 8) }
            let batch = HistoryBatch(log: log, partition: Partition(3), entries: rows.map { HistoryEntry(owner: owner, row: $0) })
            try await store.write(batch)
            try await store.write(batch)
            let reader = HistoryReader(store, partitions: sample.partitions)
            #expect(try await reader.page(.inbox(owner), log, in: 0..<Int64.max, limit: 500).rows.count == 500)
            // Cassandra's histogram counts none as one.
            for table in ["inbox", "dialog"] { #expect(try await tombstones(store, table) <= 1) }
            let delete = PreparedStatement("DELETE FROM history_deleted.inbox WHERE log = ? AND owner = ? AND bucket = 0 AND offset = ?")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for offset in Int64(10)..<4_000 {
                    if offset >= 100 { try await group.next() }
                    group.addTask { _ = try await store.session.execute(delete, [.uuid(log.uuid.bytes), .bigint(7), .bigint(offset)]) }
                }
                try await group.waitForAll()
            }
            let page = try await reader.page(.inbox(owner), log, in: 0..<Int64.max, limit: 6)
            #expect(page.rows.map(\.offset) == [9, 8, 7, 6, 5, 4] && page.more)
            let last = try await reader.page(.inbox(owner), log, in: 0..<4, limit: 6)
            #expect(last.rows.map(\.offset) == [3, 2, 1, 0] && !last.more)
            #expect(try await tombstones(store, "inbox") > 1)
        }
    }

    /// The most tombstones that one read of `table` has met.
    private func tombstones(_ store: CassandraHistoryStore, _ table: String) async throws -> Double {
        let read = try await store.session.execute(
            "SELECT max FROM system_views.tombstones_per_read WHERE keyspace_name = 'history_deleted' AND table_name = '\(table)'")
        guard case .double(let most) = try read.rows.first?.value(0) else { throw CassandraError(.wrongValue, "no figure for \(table)") }
        return most
    }

    @Test("a column added by a newer version disturbs nobody")
    func newColumn() async throws {
        try await CassandraPeer.shared { peer in
            let store = try cassandraStore(port: peer.port, keyspace: "history_altered")
            defer { store.close() }
            try await store.createSchema()
            var sample = Sample(2)
            let log = sample.log()
            let rows = (Int64(0)..<50).map { sample.row($0, from: 7, to: 8) }
            func write(_ some: [HistoryRow]) async throws {
                try await store.write(HistoryBatch(log: log, partition: Partition(3), entries: some.map { HistoryEntry(owner: user(7), row: $0) }))
            }
            try await write(Array(rows.prefix(20)))
            #expect(try await store.rows(.inbox(user(7)), log, in: 0..<Int64.max, limit: 100).count == 20)
            for table in ["inbox", "dialog", "progress"] { _ = try await store.session.execute("ALTER TABLE history_altered.\(table) ADD added int") }
            try await write(Array(rows.dropFirst(20)))
            try await store.advance(log, Partition(3), to: HistoryProgress(through: 50, time_ms: 1))
            #expect(try await store.rows(.inbox(user(7)), log, in: 0..<Int64.max, limit: 100) == rows.reversed())
            #expect(try await store.progress(log, Partition(3)) == HistoryProgress(through: 50, time_ms: 1))
        }
    }

    @Test("a keyspace's name cannot carry a statement", arguments: ["", "Eu", "1eu", "eu-1", "eu; DROP TABLE x", String(repeating: "a", count: 49)])
    func names(_ name: String) async throws {
        #expect(throws: CassandraError.self) { try cassandraStore(port: 1, keyspace: name) }
    }
}
