import Cell
import History
import Support
import Testing

@testable import Servers

/// The queries of chat.proto, answered from a real embedded store.
@Suite struct HistoryQueriesTests {
    static let partitions = 12
    static let (me, peer, other) = (user(7), user(8), user(9))

    struct Place {
        var store: SQLiteHistoryStore
        var queries: HistoryQueries
        var chain: LogChain
        var logs: [LogID]
        var rows: [HistoryRow]
        var sample: Sample
        let folder: TemporaryFolder
    }

    /// Three logs; in the second one 120 rows of `me`, two seconds apart, with `peer` and `other` in turn.
    func place() async throws -> Place {
        let folder = try TemporaryFolder("history")
        let store = try await SQLiteHistoryStore(path: folder.file("a.db"))
        try await store.createSchema()
        var sample = Sample(1)
        let logs = [-1_000_000, 0, 1_000_000].map { LogID(sample.id(at: sample.start_ms + $0)) }
        let rows = (Int64(0)..<120).map { index in
            sample.row(index * 10, from: index % 3 == 0 ? 8 : 7, to: index % 3 == 0 ? 7 : index % 3 == 1 ? 8 : 9, at: sample.start_ms + 10_000 + index * 2_000)
        }
        let home = Self.me.partition(of: Self.partitions)
        try await store.write(HistoryBatch(log: logs[1], partition: home, entries: rows.map { HistoryEntry(owner: Self.me, row: $0) }))
        try await store.advance(logs[1], home, to: HistoryProgress(through: 1_195, time_ms: sample.start_ms + 300_000))
        let queries = HistoryQueries(store, partitions: Self.partitions, idWindow: .seconds(60))
        return Place(store: store, queries: queries, chain: LogChain(logs), logs: logs, rows: rows, sample: sample, folder: folder)
    }

    func inbox(_ change: (inout InboxQuery) -> Void) -> InboxQuery {
        var query = InboxQuery()
        change(&query)
        return query
    }

    func dialog(_ change: (inout DialogQuery) -> Void) -> DialogQuery {
        var query = DialogQuery()
        change(&query)
        return query
    }

    @Test("limits: none is 50, more than 500 is 500, and a page says whether there is more")
    func limits() async throws {
        let place = try await place()
        for (limit, count) in [(0, 50), (1, 1), (119, 119), (120, 120), (9_999, 120)] as [(Int32, Int)] {
            let query = inbox {
                $0.limit = limit; $0.log = place.logs[1].description
            }
            let page = try await place.queries.inbox(query, of: Self.me, place.chain)
            #expect(page.messages.count == count)
            #expect(page.more == (count < 120))
            #expect(page.messages.map(\.offset) == place.rows.reversed().prefix(count).map(\.offset))
            #expect(page.through == 1_195)
        }
    }

    @Test("a message is what the log had")
    func message() async throws {
        let place = try await place()
        let page = try await place.queries.inbox(
            inbox {
                $0.limit = 1; $0.log = place.logs[1].description
            }, of: Self.me, place.chain)
        let (message, row) = (page.messages[0], place.rows[119])
        #expect(message.id == row.id.bytes && message.sender == row.sender.value && message.receiver == row.receiver.value)
        #expect(message.body == row.body && message.time_ms == row.time_ms && message.offset == 1_190)
    }

    @Test(
        "from, to and before_ms all hold",
        arguments: [
            (0, 1_200, nil, 120), (10, 30, nil, 2), (30, 10, nil, 0), (-5, 1, nil, 1), (0, -1, nil, 0), (1_190, .max, nil, 1), (0, .max, 10_000, 0),
            (0, .max, 10_001, 1),
            (10, .max, 14_000, 1), (0, 10, 14_000, 1),
        ] as [(Int64, Int64, Int64?, Int)])
    func ranges(_ from: Int64, _ to: Int64, _ before: Int64?, _ count: Int) async throws {
        let place = try await place()
        let query = inbox {
            ($0.from, $0.to, $0.limit, $0.log) = (from, to, 500, place.logs[1].description)
            $0.before_ms = before.map { $0 + place.sample.start_ms }
        }
        #expect(try await place.queries.inbox(query, of: Self.me, place.chain).messages.count == count)
    }

    @Test("a dialog has what was exchanged with that peer, and other users see nothing of it")
    func dialogs() async throws {
        let place = try await place()
        let log = place.logs[1].description
        let withPeer = try await place.queries.dialog(dialog { ($0.peer, $0.limit, $0.log) = (8, 500, log) }, of: Self.me, place.chain)
        #expect(withPeer.messages.count == 80)
        #expect(withPeer.messages.allSatisfy { $0.sender == 8 || $0.receiver == 8 })
        let some = try await place.queries.dialog(dialog { ($0.peer, $0.to, $0.limit, $0.log) = (9, 100, 2, log) }, of: Self.me, place.chain)
        #expect(some.messages.map(\.offset) == [80, 50] && some.more)
        #expect(try await place.queries.dialog(dialog { ($0.peer, $0.log) = (7, log) }, of: Self.other, place.chain).messages.isEmpty)
        #expect(try await place.queries.inbox(inbox { $0.log = log }, of: Self.peer, place.chain).messages.isEmpty)
    }

    @Test("pages name the logs around theirs; without one it is the cell's")
    func chain() async throws {
        let place = try await place()
        let names = place.logs.map(\.description)
        for (asked, own, next, previous) in [
            ("", 2, "", names[1]), (names[2], 2, "", names[1]), (names[1], 1, names[2], names[0]), (names[0], 0, names[1], ""),
        ] {
            let page = try await place.queries.inbox(inbox { $0.log = asked }, of: Self.me, place.chain)
            #expect(page.log == names[own] && page.nextLog == next && page.previousLog == previous)
        }
        try await place.store.advance(place.logs[0], Self.me.partition(of: Self.partitions), to: .ended)
        #expect(try await place.queries.inbox(inbox { $0.log = names[0] }, of: Self.me, place.chain).through == .max)
        #expect(try await place.queries.inbox(inbox { _ in }, of: Self.me, place.chain).through == 0)
    }

    @Test("what is asked wrongly is refused with its reason")
    func refused() async throws {
        let place = try await place()
        func refusal(_ body: () async throws -> Void) async -> HistoryRefusal? {
            do { try await body() } catch { return error as? HistoryRefusal }
            return nil
        }
        let unknown = LogID(place.sample.logUUID(at: 5)).description
        let rows: [(HistoryRefusal.Code, String, HistoryRefusal?)] = [
            (.invalid, "limit is -1", await refusal { _ = try await place.queries.inbox(inbox { $0.limit = -1 }, of: Self.me, place.chain) }),
            (.notFound, unknown, await refusal { _ = try await place.queries.inbox(inbox { $0.log = unknown }, of: Self.me, place.chain) }),
            (
                .notFound, "nonsense",
                await refusal { _ = try await place.queries.dialog(dialog { ($0.log, $0.peer) = ("nonsense", 1) }, of: Self.me, place.chain) }
            ),
            (.invalid, "peer is 0", await refusal { _ = try await place.queries.dialog(dialog { _ in }, of: Self.me, place.chain) }),
            (.invalid, "receiver is 0", await refusal { _ = try await place.queries.find(FindQuery(), of: Self.me, place.chain) }),
            (.unavailable, "no log", await refusal { _ = try await place.queries.inbox(inbox { _ in }, of: Self.me, LogChain()) }),
        ]
        for (code, words, refusal) in rows {
            #expect(refusal?.code == code, "\(words)")
            #expect(refusal?.problem.contains(words) == true, "\(words): \(refusal?.problem ?? "no refusal")")
        }
        for bytes in [[], [UInt8](repeating: 1, count: 15), [UInt8](repeating: 0, count: 16), [UInt8](repeating: 0x7f, count: 17)] {
            var query = FindQuery()
            (query.receiver, query.id) = (8, bytes)
            #expect(await refusal { _ = try await place.queries.find(query, of: Self.me, place.chain) }?.code == .invalid)
        }
    }

    @Test("find: accepted, not yet, absent, over the logs in which the id could be")
    func find() async throws {
        var place = try await place()
        func found(_ id: MessageID) async throws -> Found {
            var query = FindQuery()
            (query.receiver, query.id) = (Self.me.value, id.bytes)
            return try await place.queries.find(query, of: Self.peer, place.chain)
        }
        let home = Self.me.partition(of: Self.partitions)
        #expect(try await found(place.rows[0].id).state == .accepted)
        #expect(try await found(place.rows[117].id).state == .accepted)
        // Read past its window, and not there.
        let absent = place.sample.id(at: place.sample.start_ms + 200_000)
        #expect(try await found(absent).state == .absent)
        let soon = place.sample.id(at: place.sample.start_ms + 236_000)
        let answer = try await found(soon)
        #expect(answer.state == .notYet && answer.retryAfter_ms == 1_000)
        let later = place.sample.id(at: place.sample.start_ms + 900_000)
        #expect(try await found(later).retryAfter_ms == 10_000)
        // Just after the third log began it could stand in the second one too.
        let both = place.sample.id(at: place.sample.start_ms + 1_010_000)
        #expect(try await found(both).state == .notYet)
        try await place.store.advance(place.logs[1], home, to: .ended)
        #expect(try await found(both).state == .notYet)
        #expect(try await found(later).state == .absent)
        try await place.store.advance(place.logs[2], home, to: HistoryProgress(through: 1, time_ms: place.sample.start_ms + 2_000_000))
        #expect(try await found(both).state == .absent)
        // Older than every log: void in each.
        #expect(try await found(place.sample.id(at: 1)).state == .absent)
        // The receiver's own answer to the same words is another message.
        #expect(try await found(place.rows[100].id).state == .absent)
    }
}
