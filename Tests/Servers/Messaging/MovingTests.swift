import Cell
import Testing

@testable import Servers

@Suite("Moves")
struct MovingTests {
    static let all = PartitionSet(all: 4)

    @Test("an older epoch changes nothing")
    func older() {
        let bench = CoreBench.owner()
        bench.assign(epoch: 5) { $0.owns = Self.all }
        bench.assign(epoch: 4) { _ in }
        #expect(bench.core.assignment.epoch == Epoch(5))
        #expect(bench.core.partitions.count == 4)
    }

    @Test("what names another incarnation of this server is not for this one")
    func incarnation() {
        let bench = CoreBench()
        bench.assign(epoch: 1, incarnation: Incarnation("cccc")!) { $0.owns = Self.all }
        #expect(bench.core.partitions.isEmpty)
    }

    @Test("clients of a partition that leaves are told where to go, are served on, and end with UNAVAILABLE after the grace")
    func leaving() {
        let bench = CoreBench.owner { $0.moveGrace_ms = 4_000 }
        let (sender, _, neighbour) = SendingTests.users(bench)
        let streams = [bench.opened(sender), bench.opened(neighbour)]
        bench.assign(epoch: 2, theirs: Self.all) { $0.leaves = Self.all }
        #expect(!bench.core.left.contains(bench.partition(sender)))
        bench.pass(20)
        for stream in streams {
            let moved = bench.frames(to: stream).compactMap(\.moved)
            #expect(moved.map(\.messaging) == ["other:1"])
            #expect(moved.map(\.epoch) == [2])
        }
        let id = bench.send(to: neighbour, on: streams[0])
        bench.report(bench.produced()[0].ticket, offset: 100)
        bench.read(bench.partition(sender), [bench.entry(100, from: sender, to: neighbour, id: id)])
        #expect(bench.frames(to: streams[0]).map(\.word) == ["ack", "message 100"])
        bench.pass(3_900)
        #expect(streams.map { bench.ending(of: $0) } == ["", ""])
        bench.pass(200)
        #expect(streams.map { bench.ending(of: $0) } == ["unavailable", "unavailable"])
        #expect(bench.core.left == Self.all)
        bench.take()
        bench.assign(epoch: 3, theirs: Self.all) { _ in }
        #expect(bench.take() == (0..<4).map { .stopReading(Partition($0)) })
        #expect(bench.core.partitions.isEmpty)
    }

    @Test("Moved goes out at the rate of the settings")
    func rate() {
        let bench = CoreBench.owner {
            $0.movedPerSecond = 100; $0.limits.streamsPerUser = 1_000
        }
        let streams = (0..<50).map { bench.opened(42, device: "d\($0)") }
        bench.assign(epoch: 2, theirs: Self.all) { $0.leaves = Self.all }
        bench.pass(200)
        let told = streams.filter { !bench.frames(to: $0).compactMap(\.moved).isEmpty }.count
        #expect((15...25).contains(told))
        bench.pass(400)
        let later = streams.filter { !bench.frames(to: $0).compactMap(\.moved).isEmpty }.count
        #expect(told + later == 50)
    }

    @Test("clients are told again when the partition gets yet another owner")
    func toldAgain() {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        bench.assign(epoch: 2, theirs: Self.all) { $0.leaves = Self.all }
        bench.pass(20)
        var me = Member(incarnation: CoreBench.mine, address: "me:1", http: "me:2", role: .draining)
        me.leaves = Self.all
        var third = Member(incarnation: Incarnation("dddd")!, address: "third:1", http: "third:2", role: .owner)
        third.owns = Self.all
        bench.core.assigned(
            Assignment(epoch: Epoch(3), term: Term(1), log: CoreBench.log, members: [CoreBench.me: me, ServerID(.messaging, 3): third]), at: bench.now)
        bench.pass(20)
        #expect(bench.frames(to: stream).compactMap(\.moved).map(\.messaging) == ["other:1", "third:1"])
    }

    @Test("a partition that comes back keeps its clients")
    func back() {
        let bench = CoreBench.owner { $0.moveGrace_ms = 1_000 }
        let stream = bench.opened(42)
        bench.assign(epoch: 2, theirs: Self.all) { $0.leaves = Self.all }
        bench.assign(epoch: 3) { $0.owns = Self.all }
        bench.pass(5_000)
        #expect(bench.ending(of: stream) == "")
        #expect(bench.frames(to: stream).compactMap(\.moved).isEmpty)
    }

    @Test("a server that is forgotten altogether sends its clients to the new owner, then stops reading")
    func forgotten() {
        let bench = CoreBench.owner { $0.moveGrace_ms = 1_000 }
        let stream = bench.opened(42)
        bench.take()
        bench.assign(epoch: 2, theirs: Self.all, incarnation: Incarnation("cccc")!) { _ in }
        bench.pass(20)
        #expect(bench.frames(to: stream).compactMap(\.moved).map(\.messaging) == ["other:1"])
        #expect(bench.core.partitions.count == 1)
        bench.pass(1_500)
        #expect(bench.ending(of: stream) == "unavailable")
        #expect(bench.core.partitions.isEmpty)
    }

    // MARK: Opens for somebody else

    @Test("Moved at once when the owner answers its probe; one probe for all, and a fresh answer serves those who come later")
    func probe() {
        let bench = CoreBench()
        bench.assign(epoch: 3, theirs: Self.all) { _ in }
        bench.take()
        let streams = (0..<3).map { bench.open(42, cursor: 5, device: "d\($0)") }
        #expect(bench.take() == [.probe(CoreBench.theirs, http: "other:2")])
        bench.core.probed(CoreBench.theirs, isHealthy: true, at: bench.now)
        let frames = streams.map { bench.frames(to: $0) }
        #expect(frames.map { $0.map(\.word) } == Array(repeating: ["moved other:1"], count: 3))
        #expect(frames[0].first?.moved?.epoch == 3)
        let late = bench.open(42, cursor: 5, device: "late")
        #expect(bench.frames(to: late).map(\.word) == ["moved other:1"])
        bench.pass(300)
        let later = bench.open(42, cursor: 5, device: "later")
        #expect(bench.frames(to: later).isEmpty, "the answer is too old")
        #expect(bench.core.heldCount == 1)
        bench.send(to: 7, on: streams[0])
        #expect(bench.ending(of: streams[0]) == "invalid_argument")
    }

    @Test("an owner that does not answer is asked again, and the streams are held until somebody owns")
    func deadOwner() {
        let bench = CoreBench()
        bench.assign(epoch: 1, theirs: Self.all) { $0.shadows = Self.all }
        for partition in 0..<4 { bench.begin(Partition(partition), start: 0, end: 0) }
        let stream = bench.open(42, cursor: -1)
        bench.take()
        bench.core.probed(CoreBench.theirs, isHealthy: false, at: bench.now)
        #expect(bench.frames(to: stream).isEmpty)
        bench.pass(100)
        #expect(bench.take().contains(.probe(CoreBench.theirs, http: "other:2")))
        bench.assign(epoch: 2) { $0.owns = Self.all }
        #expect(bench.frames(to: stream).map(\.word) == ["opened", "alive 0"])
    }

    @Test("who is opening a partition holds streams for it and never says Moved")
    func opening() {
        let bench = CoreBench()
        bench.assign(epoch: 1, theirs: Self.all) { $0.opens = Self.all }
        for partition in 0..<4 { bench.begin(Partition(partition), start: 0, end: 0) }
        let stream = bench.open(42, cursor: -1)
        #expect(!bench.take().contains { if case .probe = $0 { true } else { false } })
        #expect(bench.frames(to: stream).isEmpty)
        #expect(bench.core.warm == Self.all)
        bench.assign(epoch: 2) { $0.owns = Self.all }
        #expect(bench.frames(to: stream).first?.opened != nil)
    }

    // MARK: the log's identity

    @Test("another log ends every live stream with UNAVAILABLE, and everything is read afresh")
    func newLog() {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        bench.send(to: 7, on: stream)
        bench.take()
        let newer = LogID(UUIDv7(high: UInt64(bench.now.wall_ms) << 16 | 0x7000, low: 1 << 63)!)
        bench.assign(epoch: 2, log: newer) { $0.owns = Self.all }
        #expect(bench.ending(of: stream) == "unavailable")
        #expect(bench.core.flights.isEmpty)
        let actions = bench.take()
        #expect(actions.filter { if case .startReading = $0 { true } else { false } }.count == 4)
        #expect(actions.filter { if case .stopReading = $0 { true } else { false } }.count == 4)
        for partition in 0..<4 { bench.begin(Partition(partition), start: 0, end: 0) }
        let again = bench.open(42, cursor: 99)
        let opened = bench.frames(to: again).first?.opened
        #expect(opened?.log == newer.description)
        #expect(opened?.next == 0)
    }

    @Test("no log yet: everything is held")
    func noLog() {
        let bench = CoreBench()
        var me = Member(incarnation: CoreBench.mine, address: "me:1", http: "me:2", role: .owner)
        me.owns = Self.all
        bench.core.assigned(Assignment(epoch: Epoch(1), term: Term(1), log: nil, members: [CoreBench.me: me]), at: bench.now)
        let stream = bench.open(42, cursor: -1)
        #expect(bench.core.heldCount == 1)
        bench.assign(epoch: 2) { $0.owns = Self.all }
        for partition in 0..<4 { bench.begin(Partition(partition), start: 0, end: 0) }
        #expect(bench.frames(to: stream).first?.opened != nil)
    }

    @Test("a log that is gone below the reader is read afresh, and its clients resume")
    func readingFailed() {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        let partition = bench.partition(42)
        bench.core.readingFailed(partition, at: bench.now)
        #expect(bench.ending(of: stream) == "unavailable")
        bench.begin(partition, start: 500, end: 500)
        let again = bench.open(42, cursor: 99)
        #expect(bench.frames(to: again).map(\.word) == ["opened", "gap 100-500", "alive 500"])
    }
}
