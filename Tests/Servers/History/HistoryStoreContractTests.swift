import Cell
import Support
import Testing

@testable import History

/// What every history store does alike.
@Suite(.timeLimit(.minutes(10)))
struct HistoryStoreContractTests {
    let partition = Partition(3)

    @Test("the schema is missing, then made, then made again without harm", arguments: StoreKind.here)
    func schema(_ kind: StoreKind) async throws {
        func check(_ store: any HistoryStore) async throws {
            let missing = try await store.missingTables()
            #expect(missing.contains("progress") && missing.contains("hours"))
            try await store.createSchema()
            #expect(try await store.missingTables() == [])
            try await store.createSchema()
        }
        switch kind {
        case .sqlite:
            let folder = try TemporaryFolder("history")
            try await check(try await SQLiteHistoryStore(path: folder.file("a.db")))
        case .cassandra:
            try await CassandraPeer.shared { peer in
                let store = try cassandraStore(port: peer.port, keyspace: "fresh_\(UInt32.random(in: 0 ... .max))")
                defer { store.close() }
                try await check(store)
            }
        }
    }

    @Test("rows come newest first, within their bounds, and in no greater number than asked for", arguments: StoreKind.here)
    func bounds(_ kind: StoreKind) async throws {
        try await kind.store { store in
            var sample = Sample(1)
            let log = sample.log()
            let offsets: [Int64] = [0, 1, 5, 131_071, 131_072, 131_073, 400_000, 9_000_000_000]
            let rows = offsets.map { sample.row($0, from: 7, to: 8) }
            try await store.write(HistoryBatch(log: log, partition: partition, entries: rows.map { HistoryEntry(owner: user(7), row: $0) }))
            for key in [HistoryKey.inbox(user(7)), .dialog(user(7), with: user(8))] {
                #expect(try await store.rows(key, log, in: 0..<Int64.max, limit: 100) == rows.reversed())
                #expect(try await store.rows(key, log, in: 0..<Int64.max, limit: 3).map(\.offset) == [9_000_000_000, 400_000, 131_073])
                #expect(try await store.rows(key, log, in: 1..<131_072, limit: 100).map(\.offset) == [131_071, 5, 1])
                #expect(try await store.rows(key, log, in: 5..<6, limit: 1).map(\.offset) == [5])
                #expect(try await store.rows(key, log, in: 6..<100, limit: 1) == [])
                #expect(try await store.rows(key, log, in: 5..<5, limit: 1) == [])
            }
        }
    }

    @Test("each user has own rows, each dialog is a part of them, and logs are apart", arguments: StoreKind.here)
    func apart(_ kind: StoreKind) async throws {
        try await kind.store { store in
            var sample = Sample(2)
            let (log, other) = (sample.log(), sample.log())
            let biggest = UInt64.max
            let rows = [sample.row(1, from: biggest, to: 2), sample.row(2, from: 3, to: biggest), sample.row(3, from: biggest, to: biggest)]
            let entries = [
                HistoryEntry(owner: user(biggest), row: rows[0]), HistoryEntry(owner: user(2), row: rows[0]),
                HistoryEntry(owner: user(biggest), row: rows[1]), HistoryEntry(owner: user(biggest), row: rows[2]),
            ]
            try await store.write(HistoryBatch(log: log, partition: partition, entries: entries))
            func offsets(_ key: HistoryKey, _ log: LogID) async throws -> [Int64] {
                try await store.rows(key, log, in: 0..<Int64.max, limit: 9).map(\.offset)
            }
            #expect(try await offsets(.inbox(user(biggest)), log) == [3, 2, 1])
            #expect(try await offsets(.dialog(user(biggest), with: user(2)), log) == [1])
            #expect(try await offsets(.dialog(user(biggest), with: user(3)), log) == [2])
            #expect(try await offsets(.dialog(user(biggest), with: user(biggest)), log) == [3])
            #expect(try await offsets(.inbox(user(2)), log) == [1])
            #expect(try await offsets(.dialog(user(2), with: user(biggest)), log) == [1])
            #expect(try await offsets(.inbox(user(3)), log) == [])
            #expect(try await offsets(.inbox(user(biggest)), other) == [])
        }
    }

    @Test("writing again, and two who write the same at once, leave the same rows", arguments: StoreKind.here)
    func idempotent(_ kind: StoreKind) async throws {
        try await kind.store { store in
            var sample = Sample(3)
            let log = sample.log()
            let rows = (0..<300).map { sample.row($0 * 1000, from: 7, to: 8 + UInt64($0 % 3)) }
            let batch = HistoryBatch(
                log: log, partition: partition, entries: rows.map { HistoryEntry(owner: user(7), row: $0) },
                marks: [HourMark(hour: Hour(5), first: 0)])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2 { group.addTask { try await store.write(batch) } }
                try await group.waitForAll()
            }
            try await store.write(batch)
            #expect(try await store.rows(.inbox(user(7)), log, in: 0..<Int64.max, limit: 1000) == rows.reversed())
            #expect(try await store.rows(.dialog(user(7), with: user(9)), log, in: 0..<Int64.max, limit: 1000).count == 100)
            #expect(try await store.mark(log, partition, notBefore: Hour(0)) == HourMark(hour: Hour(5), first: 0))
        }
    }

    @Test("progress goes forward only, and ends for good", arguments: StoreKind.here)
    func progress(_ kind: StoreKind) async throws {
        try await kind.store { store in
            let log = Sample(4).log()
            #expect(try await store.progress(log, partition) == .none)
            for (next, expected) in [(10, 10), (5, 10), (11, 11), (0, 11)] as [(Int64, Int64)] {
                try await store.advance(log, partition, to: HistoryProgress(through: next, time_ms: next * 7))
                #expect(try await store.progress(log, partition) == HistoryProgress(through: expected, time_ms: expected * 7))
            }
            try await store.advance(log, partition, to: .ended)
            try await store.advance(log, partition, to: HistoryProgress(through: 1 << 60, time_ms: 1))
            #expect(try await store.progress(log, partition) == .ended)
            #expect(try await store.progress(log, Partition(4)) == .none)
        }
    }

    @Test("marks of hours are found from both sides", arguments: StoreKind.here)
    func marks(_ kind: StoreKind) async throws {
        try await kind.store { store in
            let log = Sample(5).log()
            let marks = [HourMark(hour: Hour(10), first: 0), HourMark(hour: Hour(11), first: 70), HourMark(hour: Hour(20), first: 900)]
            try await store.write(HistoryBatch(log: log, partition: partition, marks: marks))
            for (hour, after, before) in [(9, 0, nil), (10, 0, 0), (11, 1, 1), (12, 2, 1), (20, 2, 2), (21, nil, 2)] as [(Int64, Int?, Int?)] {
                #expect(try await store.mark(log, partition, notBefore: Hour(hour)) == after.map { marks[$0] }, "hour \(hour)")
                #expect(try await store.mark(log, partition, notAfter: Hour(hour)) == before.map { marks[$0] }, "hour \(hour)")
            }
            #expect(try await store.mark(log, Partition(4), notAfter: Hour(50)) == nil)
        }
    }

    @Test("a dialog with a message in each of 300 buckets is read in order", arguments: StoreKind.here)
    func sparse(_ kind: StoreKind) async throws {
        try await kind.store { store in
            var sample = Sample(6)
            let log = sample.log()
            let rows = (0..<300).map { sample.row(Int64($0) * 1_000_003, from: 7, to: 8) }
            try await store.write(HistoryBatch(log: log, partition: partition, entries: rows.map { HistoryEntry(owner: user(8), row: $0) }))
            let key = HistoryKey.dialog(user(8), with: user(7))
            for limit in [1, 2, 50, 86, 299, 300, 500] {
                #expect(try await store.rows(key, log, in: 0..<Int64.max, limit: limit) == rows.reversed().prefix(limit).map { $0 }, "limit \(limit)")
            }
            #expect(try await store.rows(key, log, in: 3..<100_000_300, limit: 500) == rows[1...99].reversed().map { $0 })
        }
    }

    @Test("seeded: pages of any query equal those of a list in memory", arguments: StoreKind.here, [UInt64(1), 2, 3])
    func random(_ kind: StoreKind, _ seed: UInt64) async throws {
        try await kind.store { store in
            var sample = Sample(seed)
            let log = sample.log()
            let owner = user(7)
            var time = sample.start_ms
            var offset: Int64 = 0
            var rows: [HistoryRow] = []
            var marks: [HourMark] = []
            var latest = Hour(0)
            for _ in 0..<400 {
                offset += Int64.random(in: 1...60_000, using: &sample.random)
                time += Int64.random(in: 0...200_000, using: &sample.random)
                // Brokers' clocks differ: log time may go back a little.
                let stamp = time - Int64.random(in: 0...4_000, using: &sample.random)
                if Hour(of: stamp) > latest {
                    latest = Hour(of: stamp)
                    marks.append(HourMark(hour: latest, first: offset))
                }
                rows.append(sample.row(offset, from: 7, to: UInt64.random(in: 8...10, using: &sample.random), at: stamp))
            }
            let partition = owner.partition(of: sample.partitions)
            try await store.write(HistoryBatch(log: log, partition: partition, entries: rows.map { HistoryEntry(owner: owner, row: $0) }, marks: marks))
            try await store.advance(log, partition, to: HistoryProgress(through: offset + 1, time_ms: time))
            let reader = HistoryReader(store, partitions: sample.partitions)
            for query in 0..<60 {
                let from = Bool.random(using: &sample.random) ? 0 : Int64.random(in: 0...offset, using: &sample.random)
                let to = Bool.random(using: &sample.random) ? Int64.max : Int64.random(in: 0...offset + 10, using: &sample.random)
                let before = Bool.random(using: &sample.random) ? nil : Int64.random(in: sample.start_ms - 10...time + 10, using: &sample.random)
                let limit = Int.random(in: 1...60, using: &sample.random)
                let peer = UInt64.random(in: 6...10, using: &sample.random)
                let key = peer < 8 ? HistoryKey.inbox(owner) : .dialog(owner, with: user(peer))
                let expected = rows.reversed().filter {
                    $0.offset >= from && $0.offset < to && $0.time_ms < before ?? .max && (peer < 8 || $0.receiver == user(peer))
                }
                let page = try await reader.page(key, log, in: from..<max(from, to), before_ms: before, limit: limit)
                #expect(page.rows == Array(expected.prefix(limit)), "seed \(seed), query \(query)")
                #expect(page.more == (expected.count > limit), "seed \(seed), query \(query)")
                #expect(page.through == offset + 1)
            }
        }
    }

    @Test("before_ms deep in a busy hour: found by halving, exact", arguments: StoreKind.here)
    func busyHour(_ kind: StoreKind) async throws {
        try await kind.store { store in
            var sample = Sample(7)
            let log = sample.log()
            let owner = user(7)
            // Three messages a second for most of an hour.
            let begin = Hour(of: sample.start_ms).number * Hour.length_ms + 1000
            let rows = (0..<9_000).map { sample.row(Int64($0) * 3, from: 7, to: 8, at: begin + Int64($0) * 333) }
            let partition = owner.partition(of: sample.partitions)
            try await store.write(
                HistoryBatch(
                    log: log, partition: partition, entries: rows.map { HistoryEntry(owner: owner, row: $0) },
                    marks: [HourMark(hour: Hour(of: begin), first: 0)]))
            let reader = HistoryReader(store, partitions: sample.partitions)
            for index in [0, 1, 2, 40, 4_000, 8_999] {
                let page = try await reader.page(.inbox(owner), log, in: 0..<Int64.max, before_ms: rows[index].time_ms, limit: 20)
                #expect(page.rows == rows[max(0, index - 20)..<index].reversed().map { $0 }, "row \(index)")
                #expect(page.more == (index > 20))
            }
        }
    }

    @Test("a page of large bodies ends before gRPC's limit, and says that there is more", arguments: StoreKind.here)
    func large(_ kind: StoreKind) async throws {
        try await kind.store { store in
            var sample = Sample(8)
            let log = sample.log()
            let rows = (0..<40).map { sample.row($0, from: 7, to: 7, body: [UInt8](repeating: UInt8($0), count: 128 << 10)) }
            try await store.write(HistoryBatch(log: log, partition: partition, entries: rows.map { HistoryEntry(owner: user(7), row: $0) }))
            let reader = HistoryReader(store, partitions: sample.partitions)
            let page = try await reader.page(.inbox(user(7)), log, in: 0..<Int64.max, limit: 500)
            #expect(page.rows == rows[16...].reversed().map { $0 })
            #expect(page.more)
            let rest = try await reader.page(.inbox(user(7)), log, in: 0..<16, limit: 500)
            #expect(rest.rows.count == 16 && !rest.more)
        }
    }

    @Test("find: accepted, absent only when the log is read past the id's window", arguments: StoreKind.here)
    func find(_ kind: StoreKind) async throws {
        try await kind.store { store in
            var sample = Sample(9)
            let log = sample.log()
            let (sender, receiver) = (user(7), user(8))
            let partition = receiver.partition(of: sample.partitions)
            let rows = (Int64(0)..<500).map { index in
                let even = index % 2 == 0
                return sample.row(index * 900, from: even ? 7 : 8, to: even ? 8 : 7, at: sample.start_ms + index * 1_000)
            }
            try await store.write(HistoryBatch(log: log, partition: partition, entries: rows.map { HistoryEntry(owner: receiver, row: $0) }))
            let reader = HistoryReader(store, partitions: sample.partitions)
            func search(_ id: MessageID, _ from: UserID, _ to: UserID) async throws -> HistoryReader.Search {
                try await reader.find(id, from: from, to: to, in: log, window_ms: 60_000)
            }
            #expect(try await search(rows[0].id, sender, receiver) == .accepted)
            #expect(try await search(rows[250].id, sender, receiver) == .accepted)
            #expect(try await search(rows[498].id, sender, receiver) == .accepted)
            let unknown = sample.id(at: sample.start_ms + 100_000)
            let end = sample.start_ms + 100_000 + 65_000
            #expect(try await search(unknown, sender, receiver) == .notYet(missing_ms: end))
            try await store.advance(log, partition, to: HistoryProgress(through: 9, time_ms: end))
            #expect(try await search(unknown, sender, receiver) == .notYet(missing_ms: 0))
            try await store.advance(log, partition, to: HistoryProgress(through: 10, time_ms: end + 1))
            #expect(try await search(unknown, sender, receiver) == .absent)
            // Another sender's equal id is another message.
            #expect(try await search(rows[1].id, sender, receiver) == .absent)
            #expect(try await search(rows[250].id, sender, receiver) == .accepted)
        }
    }
}
