import Cell
import History
import Testing

@testable import Servers

@Suite struct PartitionMaterializerTests {
    static let partitions = 12
    static let window_ms: Int64 = 60_000
    let log = LogID(Sample(1).logUUID(at: Sample(1).start_ms))

    func materializer(_ partition: Partition, readBack: Int64 = 0, stored: Int64 = 0) -> PartitionMaterializer {
        PartitionMaterializer(
            log: log, partition: partition, of: Self.partitions, idWindow: .milliseconds(Self.window_ms), readBack: readBack, stored: stored)
    }

    func message(_ id: MessageID, _ sender: UserID, _ receiver: UserID, at time_ms: Int64 = 0) -> [UInt8] {
        Record.message(LoggedMessage(id: id, sender: sender, receiver: receiver, produced_ms: time_ms, body: Array("hello".utf8))).bytes
    }

    /// Two users of one partition, and one of another.
    static let (a, b, elsewhere): (UserID, UserID, UserID) = {
        let first = user(1)
        let home = first.partition(of: partitions)
        let others = (UInt64(2)..<1_000).map(user)
        let same = others.first { $0.partition(of: partitions) == home } ?? first
        let apart = others.first { $0.partition(of: partitions) != home } ?? first
        return (first, same, apart)
    }()

    @Test(
        "a record becomes a row of each of its users who live in the partition",
        arguments: [
            ("to another partition", a, elsewhere, [a]), ("from another partition", elsewhere, a, [a]), ("within", a, b, [a, b]), ("to oneself", a, a, [a]),
            ("of strangers", elsewhere, elsewhere, []),
        ])
    func owners(_ name: String, _ sender: UserID, _ receiver: UserID, _ owners: [UserID]) {
        var sample = Sample(1)
        var materializer = materializer(Self.a.partition(of: Self.partitions))
        let id = sample.id(at: sample.start_ms + 5)
        materializer.take(offset: 0, log_ms: sample.start_ms + 9, message(id, sender, receiver))
        let step = materializer.step()
        #expect(step?.batch.entries.map(\.owner) == owners, "\(name)")
        for entry in step?.batch.entries ?? [] {
            #expect(entry.row == HistoryRow(offset: 0, id: id, sender: sender, receiver: receiver, time_ms: sample.start_ms + 9, body: Array("hello".utf8)))
        }
        #expect(step?.progress == HistoryProgress(through: 1, time_ms: sample.start_ms + 9))
        #expect(materializer.step() == nil)
    }

    @Test("void and duplicate records, ticks, and what cannot be read become no rows and still move the place")
    func skipped() {
        var sample = Sample(2)
        var materializer = materializer(Self.a.partition(of: Self.partitions))
        let start = sample.start_ms
        let id = sample.id(at: start + 1_000)
        let records: [(Int64, [UInt8])] = [
            (start + 1_000, message(id, Self.a, Self.b)),
            (start + 2_000, message(id, Self.a, Self.b)),
            (start + 3_000, message(sample.id(at: start + 3_000 + Self.window_ms + 1), Self.a, Self.b)),
            (start + 4_000, message(sample.id(at: start - 1), Self.a, Self.b)),
            (start + 5_000, Record.tick(produced_ms: 0).bytes),
            (start + 6_000, Record.probe(produced_ms: 0, nonce: 1).bytes),
            (start + 7_000, [9, 9, 9]),
            (start + 8_000, message(id, Self.b, Self.a)),
        ]
        for (offset, record) in records.enumerated() { materializer.take(offset: Int64(offset), log_ms: record.0, record.1) }
        let step = materializer.step()
        #expect(step?.batch.entries.map(\.row.offset) == [0, 0, 7, 7])
        #expect(step?.progress == HistoryProgress(through: 8, time_ms: start + 8_000))
        #expect(materializer.counts == .init(first: 2, duplicate: 1, void: 2, unreadable: 1, other: 2))
    }

    @Test("on a backplane that stamps no records the time within counts")
    func producersTime() {
        var sample = Sample(3)
        var materializer = materializer(Self.a.partition(of: Self.partitions))
        materializer.take(offset: 0, log_ms: nil, message(sample.id(at: sample.start_ms + 1), Self.a, Self.b, at: sample.start_ms + 70))
        materializer.take(offset: 1, log_ms: nil, [1])
        #expect(materializer.step()?.progress == HistoryProgress(through: 2, time_ms: sample.start_ms + 70))
    }

    @Test("an hour is marked where it begins, and only by who saw what was before")
    func hours() {
        let start = Hour(of: Sample(1).start_ms).number * Hour.length_ms
        func marks(readBack: Int64, _ times: [Int64]) -> [HourMark] {
            var materializer = materializer(Partition(0), readBack: readBack, stored: readBack)
            for (index, time) in times.enumerated() {
                materializer.take(offset: readBack + Int64(index), log_ms: start + time, Record.tick(produced_ms: 0).bytes)
            }
            return materializer.step()?.batch.marks ?? []
        }
        let hour = Hour.length_ms
        let first = Hour(of: start)
        let next = Hour(first.number + 1)
        #expect(marks(readBack: 0, [5, 6, hour, hour + 1]) == [HourMark(hour: first, first: 0), HourMark(hour: next, first: 2)])
        #expect(marks(readBack: 100, [5, 6, hour, hour + 1]) == [HourMark(hour: next, first: 102)])
        // A broker's clock that is behind opens no hour again.
        #expect(marks(readBack: 100, [5, hour, hour - 1, hour + 3]) == [HourMark(hour: next, first: 101)])
    }

    @Test("a log that lost its beginning is gone on with, and its first hour is not marked")
    func skipping() {
        var materializer = materializer(Partition(0))
        materializer.skip(to: 50)
        materializer.take(offset: 50, log_ms: Sample(1).start_ms, Record.tick(produced_ms: 0).bytes)
        let step = materializer.step()
        #expect(step?.batch.marks == [])
        #expect(step?.progress.through == 51)
    }

    @Test(
        "what is written beside an offset is read back, and nothing else is",
        arguments: [
            ("readBack=0", 10, 0), ("readBack=10", 10, 10), ("readBack=11", 10, nil), ("readBack=-1", 10, nil), ("", 10, nil), ("readBack=x", 10, nil),
        ] as [(String, Int64, Int64?)])
    func notes(_ note: String, _ committed: Int64, _ expected: Int64?) { #expect(CommitNote.readBack(note, committed: committed) == expected) }

    /// A log with everything in it that the once-rule skips, and clocks that differ.
    func records(_ seed: UInt64, count: Int) -> [(log_ms: Int64, bytes: [UInt8])] {
        var sample = Sample(seed)
        var time = sample.start_ms
        var ids: [MessageID] = []
        return (0..<count).map { _ in
            time += Int64.random(in: 0...3_000, using: &sample.random)
            if Int.random(in: 0..<200, using: &sample.random) == 0 { time += Int64.random(in: 0...Hour.length_ms * 2, using: &sample.random) }
            let stamp = time - Int64.random(in: 0...4_000, using: &sample.random)
            switch Int.random(in: 0..<10, using: &sample.random) {
            case 0: return (stamp, Record.tick(produced_ms: stamp).bytes)
            case 1...4 where !ids.isEmpty: break
            default: ids.append(sample.id(at: stamp + Int64.random(in: -Self.window_ms - 2_000...Self.window_ms + 2_000, using: &sample.random)))
            }
            let recent = ids.suffix(60)
            let id = recent[recent.indices.randomElement(using: &sample.random) ?? recent.startIndex]
            return (stamp, message(id, Self.a, Self.b, at: stamp))
        }
    }

    @Test("seeded: beginning again anywhere, by what was committed, leaves the rows of one long read", arguments: [UInt64(1), 2, 3, 4, 5, 6])
    func beginningAgain(_ seed: UInt64) {
        let records = records(seed, count: 3_000)
        let partition = Self.a.partition(of: Self.partitions)
        func read(_ materializer: inout PartitionMaterializer, _ range: Range<Int64>) {
            for offset in range { materializer.take(offset: offset, log_ms: records[Int(offset)].log_ms, records[Int(offset)].bytes) }
        }
        var whole = materializer(partition)
        read(&whole, 0..<3_000)
        let expected = whole.step()?.batch

        var sample = Sample(seed + 100)
        var entries: [HistoryEntry] = []
        var marks: [HourMark] = []
        var committed: Int64 = 0
        var note = ""
        var reread: Int64 = 0
        while committed < 3_000 {
            let readBack = CommitNote.readBack(note, committed: committed) ?? 0
            reread += committed - readBack
            var part = materializer(partition, readBack: readBack, stored: committed)
            read(&part, readBack..<min(3_000, committed + Int64.random(in: 1...200, using: &sample.random)))
            guard let step = part.step() else { continue }
            entries += step.batch.entries
            marks += step.batch.marks
            // Now and then the process ends before it commits what is stored.
            guard Int.random(in: 0..<4, using: &sample.random) > 0 else { continue }
            committed = step.progress.through
            note = CommitNote.text(readBack: step.readBack)
        }
        var seen: Set<Int64> = []
        let once = entries.filter { seen.insert($0.row.offset * 2 + ($0.owner == Self.a ? 0 : 1)).inserted }.sorted { $0.row.offset < $1.row.offset }
        #expect(once == expected?.entries, "seed \(seed)")
        #expect(Set(entries.map { "\($0)" }).count == once.count, "seed \(seed): a row that was written twice differed")
        #expect(Set(marks) == Set(expected?.marks ?? []), "seed \(seed)")
        // Reading back is bounded by time, so it is far from reading all.
        #expect(reread < 3_000 * 10, "seed \(seed)")
    }
}

@Suite struct MaterializerLanesTests {
    func lanes(_ partitions: [Int32]) -> MaterializerLanes {
        var lanes = MaterializerLanes()
        lanes.assign(partitions.map(one))
        return lanes
    }

    func one(_ partition: Int32) -> PartitionMaterializer {
        PartitionMaterializer(
            log: LogID(Sample(1).logUUID(at: Sample(1).start_ms)), partition: Partition(partition), of: 12, idWindow: .seconds(60), readBack: 0, stored: 0)
    }

    func tick(_ lanes: inout MaterializerLanes, _ partition: Int32, _ offset: Int64) {
        lanes.take(partition, offset: offset, log_ms: Sample(1).start_ms + offset, Record.tick(produced_ms: 0).bytes)
    }

    @Test("one step of a partition is on its way at a time, and the next holds all that came meanwhile")
    func prefix() throws {
        var lanes = lanes([0, 1])
        for offset in Int64(0)..<3 { tick(&lanes, 0, offset) }
        let first = lanes.jobs(limit: 9)
        #expect(first.map(\.partition) == [0])
        for offset in Int64(3)..<7 { tick(&lanes, 0, offset) }
        #expect(lanes.jobs(limit: 9).isEmpty)
        #expect(!lanes.isIdle)
        lanes.done(first[0])
        #expect(lanes.jobs(limit: 9).map(\.step.progress.through) == [7])
    }

    @Test("no more partitions are on their way than allowed")
    func limit() {
        var lanes = lanes([0, 1, 2, 3])
        for partition in Int32(0)..<4 { tick(&lanes, partition, 0) }
        let first = lanes.jobs(limit: 3)
        #expect(first.map(\.partition) == [0, 1, 2])
        #expect(lanes.jobs(limit: 3).isEmpty)
        lanes.done(first[1])
        #expect(lanes.jobs(limit: 3).map(\.partition) == [3])
    }

    @Test("an answer for an earlier time with a partition changes nothing of the present one")
    func turns() {
        var lanes = lanes([0])
        tick(&lanes, 0, 0)
        let old = lanes.jobs(limit: 9)[0]
        lanes.revokeAll()
        #expect(!lanes.isOurs(old))
        lanes.assign([one(0)])
        #expect(!lanes.isOurs(old))
        tick(&lanes, 0, 0)
        let new = lanes.jobs(limit: 9)
        lanes.done(old)
        tick(&lanes, 0, 1)
        #expect(lanes.jobs(limit: 9).isEmpty)
        lanes.done(new[0])
        #expect(lanes.jobs(limit: 9).count == 1)
        tick(&lanes, 7, 0)
        #expect(lanes.counts.other == 3)
    }

    @Test("a failed partition is told once, and goes on where it was or where the log begins")
    func failed() {
        var lanes = lanes([0, 1])
        for offset in Int64(0)..<3 { tick(&lanes, 0, offset) }
        lanes.failed(0)
        lanes.failed(9)
        #expect(lanes.takeFailed() == [0])
        #expect(lanes.takeFailed() == [])
        #expect(lanes.resume(0, notBefore: 1) == 3)
        #expect(lanes.resume(0, notBefore: 10) == 10)
        #expect(lanes.resume(9, notBefore: 0) == nil)
    }
}
