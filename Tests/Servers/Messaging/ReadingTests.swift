import Cell
import Support
import Testing

@testable import Servers

@Suite("Records and clients")
struct ReadingTests {
    @Test("a record goes to every device of sender and receiver that live in its partition, once, with its offset")
    func everyDevice() {
        let bench = CoreBench.owner()
        let (sender, receiver, neighbour) = SendingTests.users(bench)
        let streams = [bench.opened(sender), bench.opened(sender, device: "tablet"), bench.opened(neighbour), bench.opened(receiver)]
        bench.read(
            bench.partition(sender),
            [bench.entry(100, from: sender, to: neighbour), bench.entry(101, from: sender, to: receiver), bench.entry(102, from: sender, to: sender)])
        #expect(
            streams.map { bench.frames(to: $0).map(\.word) } == [
                ["message 100", "message 101", "message 102"], ["message 100", "message 101", "message 102"], ["message 100"], [],
            ])
    }

    @Test("a partition's load is its streams, and what its users send and are handed")
    func tallies() {
        let bench = CoreBench.owner()
        let (sender, receiver, neighbour) = SendingTests.users(bench)
        let streams = [bench.opened(sender), bench.opened(neighbour), bench.opened(receiver)]
        bench.read(bench.partition(sender), [bench.entry(100, from: sender, to: neighbour), bench.entry(101, from: sender, to: receiver)])
        func tally(_ user: UInt64) -> [Int] {
            let found = bench.core.tallies.first { $0.partition == bench.partition(user) }
            return [found?.streams ?? 0, found?.messages ?? 0]
        }
        #expect(tally(sender) == [2, 3])
        #expect(tally(receiver) == [1, 0])
        var send = Send()
        (send.id, send.receiver) = (bench.newID().bytes, receiver)
        bench.say(.send(send), on: streams[1])
        bench.core.ended(streams[0], at: bench.now)
        #expect(tally(sender) == [1, 4])
        #expect(tally(receiver) == [1, 0], "what is sent to it counts when it is handed over")
    }

    @Test("rates are those of ten seconds, of partitions that come, go and are read afresh too")
    func meter() {
        var meter = LoadMeter()
        let began = ContinuousClock.now
        func told(after seconds: Int, _ tallies: [(Int, Int, Int)]) -> PartitionLoads {
            meter.loads(tallies.map { .init(Partition($0.0), streams: $0.1, messages: $0.2) }, at: began + .seconds(seconds))
        }
        func loads(_ all: [(Int, Int, Int)]) -> PartitionLoads { PartitionLoads(all.map { .init(Partition($0.0), streams: $0.1, messages: $0.2) }) }
        #expect(told(after: 0, [(1, 5, 100)]) == loads([(1, 5, 0)]))
        #expect(told(after: 9, [(1, 7, 900)]) == loads([(1, 5, 0)]))
        #expect(told(after: 10, [(1, 7, 900), (2, 1, 50)]) == loads([(1, 7, 80), (2, 1, 5)]))
        #expect(told(after: 30, [(1, 7, 300)]) == loads([(1, 7, 15)]), "its counting began again")
        #expect(told(after: 40, []) == loads([]))
    }

    @Test("what a client gets of a record")
    func fields() throws {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        let id = bench.newID()
        bench.read(bench.partition(42), [bench.entry(100, from: 7, to: 42, "body", id: id, time_ms: id.time_ms + 77)])
        let message = try #require(bench.frames(to: stream).first?.message)
        #expect(message.id == id.bytes)
        #expect(message.offset == 100)
        #expect(message.sender == 7)
        #expect(message.receiver == 42)
        #expect(message.body == Array("body".utf8))
        #expect(message.time_ms == id.time_ms + 77)
    }

    @Test("duplicates, void records, ticks and what nobody wrote are skipped; the position moves on")
    func skipped() {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        let id = bench.newID()
        bench.read(
            bench.partition(42),
            [
                bench.entry(100, from: 7, to: 42, id: id), bench.entry(101, from: 7, to: 42, id: id), bench.entry(102, from: 8, to: 42, id: id),
                bench.entry(103, from: 7, to: 42, time_ms: bench.now.wall_ms + 60_001),
                LogEntry(offset: 104, time_ms: bench.now.wall_ms, bytes: Record.tick(produced_ms: 1).bytes),
                LogEntry(offset: 105, time_ms: bench.now.wall_ms, bytes: [9, 9, 9]),
            ])
        #expect(bench.frames(to: stream).map(\.word) == ["message 100", "message 102"])
        #expect(bench.core.partitions[bench.partition(42)]?.position == 106)
    }

    @Test("what was read before is not handed over again")
    func readAgain() {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        let batch = [bench.entry(100, from: 7, to: 42), bench.entry(101, from: 7, to: 42)]
        bench.read(bench.partition(42), batch)
        bench.read(bench.partition(42), batch + [bench.entry(102, from: 7, to: 42)])
        #expect(bench.frames(to: stream).map(\.word) == ["message 100", "message 101", "message 102"])
    }

    @Test("batches of an earlier reading are ignored")
    func oldReading() {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        bench.core.read(bench.partition(42), reading: 999, [bench.entry(100, from: 7, to: 42)], caughtUp: nil, at: bench.now)
        #expect(bench.frames(to: stream).isEmpty)
    }

    @Test("the window begins with the first record whose verdict is right, long before where the log ended when the reading began")
    func windowReadBack() {
        var ids = SystemRandomNumberGenerator()
        let bench = CoreBench { $0.windowAge_ms = 10_000 }
        bench.pass(20_000)
        bench.assign(epoch: 1) { $0.owns = PartitionSet(all: 4) }
        let partition = bench.partition(42)
        bench.begin(partition, start: 50, end: 60)
        let windowFrom_ms = bench.now.wall_ms - bench.core.settings.windowAge_ms
        bench.read(partition, (50..<53).map { bench.entry($0, from: 7, to: 42, time_ms: windowFrom_ms - 1) })
        #expect(bench.core.partitions[partition]?.window.start == 60)
        bench.read(
            partition,
            (53..<60).map { bench.entry($0, from: 7, to: 42, id: MessageID(time_ms: windowFrom_ms, using: &ids), time_ms: windowFrom_ms) })
        #expect(bench.core.partitions[partition]?.window.start == 53)
        #expect(bench.core.partitions[partition]?.window.count == 7)
    }

    @Test("a standby keeps the same and hands over nothing; promoted, it answers at once")
    func promotion() {
        let bench = CoreBench()
        bench.assign(epoch: 1, theirs: PartitionSet(all: 4)) { $0.shadows = PartitionSet(all: 4) }
        let partition = bench.partition(42)
        bench.begin(partition, start: 50, end: 60)
        bench.read(partition, (50..<70).map { bench.entry($0, from: 7, to: 42) })
        #expect(bench.core.warm.contains(partition))
        let stream = bench.open(42, cursor: 67)
        bench.core.probed(CoreBench.theirs, isHealthy: false, at: bench.now)
        #expect(bench.frames(to: stream).isEmpty)
        bench.assign(epoch: 2) { $0.owns = PartitionSet(all: 4) }
        #expect(bench.frames(to: stream).map(\.word) == ["opened", "message 68", "message 69", "alive 70"])
    }

    // MARK: at which pace

    @Test("a standby reads at ease, whoever has clients or is about to have them promptly")
    func paces() {
        let bench = CoreBench()
        func paces() -> [ReadingPace] { bench.take().compactMap { if case .pace(Partition(2), let pace) = $0 { pace } else { nil } } }
        bench.assign(epoch: 1, theirs: PartitionSet(all: 4)) { $0.shadows = PartitionSet(all: 4) }
        #expect(paces() == [.relaxed])
        bench.begin(Partition(2), start: 0, end: 0)
        bench.core.readingFailed(Partition(2), at: bench.now)
        bench.gather()
        #expect(paces() == [.relaxed], "a reading begins promptly, also one that begins again")
        bench.assign(epoch: 2) { $0.owns = PartitionSet(all: 4) }
        #expect(paces() == [.prompt])
        bench.assign(epoch: 3, theirs: PartitionSet(all: 4)) { $0.leaves = PartitionSet(all: 4) }
        #expect(paces() == [])
        bench.assign(epoch: 4, theirs: PartitionSet(all: 4)) { $0.shadows = PartitionSet(all: 4) }
        #expect(paces() == [.relaxed])
        bench.assign(epoch: 5, theirs: PartitionSet(all: 4)) { $0.opens = PartitionSet(all: 4) }
        #expect(paces() == [.prompt])
    }

    @Test("a standby that still has clients serves them promptly")
    func paceWithClients() {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        bench.take()
        bench.assign(epoch: 2, theirs: PartitionSet(all: 4)) { $0.shadows = PartitionSet(all: 4) }
        let relaxed = bench.take().compactMap { if case .pace(let partition, .relaxed) = $0 { partition } else { nil } }
        #expect(relaxed.count == 3 && !relaxed.contains(bench.partition(42)))
        bench.pass(100)
        #expect(bench.frames(to: stream).map(\.word) == ["moved other:1"])
    }

    // MARK: replay

    @Test("a large replay goes in slices as the client takes them, and what comes meanwhile does not overtake")
    func slices() {
        let bench = CoreBench.owner()
        let body = String(repeating: "x", count: 8_000)
        bench.read(bench.partition(42), (100..<120).map { bench.entry($0, from: 7, to: 42, body) })
        let stream = bench.open(42, cursor: 99)
        let first = bench.frames(to: stream)
        #expect((2..<12).contains(first.count))
        #expect(bench.take().contains(.awaitDrain(stream)))
        bench.read(bench.partition(42), [bench.entry(120, from: 7, to: 42)])
        #expect(bench.frames(to: stream).isEmpty)
        var rest: [ServerFrame] = []
        while bench.core.conversations[stream]?.stage == .replaying {
            bench.core.drained(stream, at: bench.now)
            rest += bench.frames(to: stream)
        }
        #expect((first + rest).compactMap(\.message).map(\.offset) == Array(100...120))
        #expect(rest.last?.word == "alive 121")
        bench.read(bench.partition(42), [bench.entry(121, from: 7, to: 42)])
        #expect(bench.frames(to: stream).map(\.word) == ["message 121"])
    }

    @Test("a replay that the window overtakes announces what it lost")
    func windowOvertakes() {
        let bench = CoreBench.owner { $0.windowBytes = 200_000 }
        let body = String(repeating: "x", count: 8_000)
        bench.read(bench.partition(42), (100..<120).map { bench.entry($0, from: 7, to: 42, body) })
        let stream = bench.open(42, cursor: 99)
        var frames = bench.frames(to: stream)
        bench.read(bench.partition(42), (120..<160).map { bench.entry($0, from: 7, to: 42, body) })
        while bench.core.conversations[stream]?.stage == .replaying {
            bench.core.drained(stream, at: bench.now)
            frames += bench.frames(to: stream)
        }
        var next: Int64 = 100
        for frame in frames {
            if let gap = frame.gap {
                #expect(gap.from == next)
                next = gap.to
            } else if let message = frame.message {
                #expect(message.offset == next)
                next += 1
            }
        }
        #expect(next == 160)
        #expect(frames.compactMap(\.gap).count == 1)
    }

    @Test("a burst that does not fit is given from the window when there is room, without a hole")
    func burst() {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        bench.read(bench.partition(42), (100..<104).map { bench.entry($0, from: 7, to: 42) })
        _ = bench.frames(to: stream)
        // The shell took 100 and 101.
        bench.core.fellBehind(stream, next: 102, at: bench.now)
        #expect(bench.take().contains(.awaitDrain(stream)))
        bench.read(bench.partition(42), [bench.entry(104, from: 7, to: 42)])
        #expect(bench.frames(to: stream).isEmpty)
        bench.core.drained(stream, at: bench.now)
        #expect(bench.frames(to: stream).map(\.word) == ["message 102", "message 103", "message 104", "alive 105"])
        bench.pass(5_000)
        #expect(bench.ending(of: stream) == "")
    }

    @Test("who stays behind for 5 s ends with RESOURCE_EXHAUSTED")
    func behind() {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        bench.read(bench.partition(42), [bench.entry(100, from: 7, to: 42)])
        bench.core.fellBehind(stream, next: 100, at: bench.now)
        bench.pass(4_999)
        #expect(bench.ending(of: stream) == "")
        bench.pass(1)
        #expect(bench.ending(of: stream) == "resource_exhausted")
    }

    @Test("a client whose answers do not fit ends with RESOURCE_EXHAUSTED, and nobody else")
    func overflow() {
        let bench = CoreBench.owner()
        let slow = bench.opened(42)
        let quick = bench.opened(42, device: "tablet")
        bench.core.overflowed(slow, at: bench.now)
        bench.read(bench.partition(42), [bench.entry(100, from: 7, to: 42)])
        #expect(bench.ending(of: slow) == "resource_exhausted")
        #expect(bench.frames(to: slow).isEmpty)
        #expect(bench.frames(to: quick).map(\.word) == ["message 100"])
    }

    // MARK: signs of life

    @Test("an Alive comes at least every alive_ms, with how far everything was delivered")
    func alive() {
        let bench = CoreBench.owner { $0.alive_ms = 3_000 }
        let stream = bench.opened(42)
        bench.read(
            bench.partition(42),
            [bench.entry(100, from: 7, to: 8), LogEntry(offset: 101, time_ms: bench.now.wall_ms, bytes: Record.tick(produced_ms: 1).bytes)])
        bench.pass(3_000)
        #expect(bench.frames(to: stream).map(\.word) == ["alive 102"])
        bench.pass(30_000)
        #expect(bench.frames(to: stream).count >= 10)
    }

    @Test("an owner writes a tick after 10 s without a record; nobody else does")
    func ticks() {
        let bench = CoreBench.owner(partitions: 2)
        bench.pass(9_000)
        bench.read(Partition(0), [bench.entry(100, from: 7, to: 8)])
        bench.pass(1_000)
        #expect(bench.produced().map(\.partition) == [Partition(1)])
        bench.pass(9_000)
        #expect(bench.produced().map(\.partition) == [Partition(0)])
        bench.assign(epoch: 2, theirs: PartitionSet(all: 2)) { $0.leaves = PartitionSet(all: 2) }
        bench.pass(60_000)
        #expect(bench.produced().isEmpty)
    }

    // MARK: the window's memory

    @Test("the window lets go by age")
    func age() {
        let bench = CoreBench.owner { $0.windowAge_ms = 20_000 }
        bench.read(bench.partition(42), [bench.entry(100, from: 7, to: 42)])
        bench.pass(15_000)
        bench.read(bench.partition(42), [bench.entry(101, from: 7, to: 42)])
        bench.pass(10_000)
        let stream = bench.open(42, cursor: 99)
        #expect(bench.frames(to: stream).map(\.word) == ["opened", "gap 100-101", "message 101", "alive 102"])
    }

    @Test("the window is bounded for the server, and the largest partition gives way first")
    func bytes() {
        let bench = CoreBench.owner(partitions: 4) { $0.windowBytes = 100_000 }
        let (sender, receiver, _) = SendingTests.users(bench)
        let body = String(repeating: "x", count: 1_000)
        bench.read(bench.partition(receiver), (100..<110).map { bench.entry($0, from: 9_999, to: receiver, body) })
        for offset in 100..<400 as Range<Int64> { bench.read(bench.partition(sender), [bench.entry(offset, from: 9_999, to: sender, body)]) }
        #expect(bench.core.windowBytes <= 100_000)
        #expect(bench.core.windowBytes == bench.core.partitions.values.reduce(0) { $0 + $1.window.bytes })
        #expect(bench.core.partitions[bench.partition(receiver)]?.window.count == 10)
        let stream = bench.open(receiver, cursor: 99)
        #expect(bench.frames(to: stream).compactMap(\.message).count == 10)
    }
}
