import Cell
import Testing

@testable import Servers

@Suite("Open")
struct OpeningTests {
    @Test(
        "a device's Open is checked",
        arguments: [
            ("", "s", -1 as Int64?, "invalid_argument"), (String(repeating: "d", count: 64), "s", -1, ""),
            (String(repeating: "d", count: 65), "s", -1, "invalid_argument"),
            ("phone", "", -1, "invalid_argument"), ("phone", String(repeating: "s", count: 65), -1, "invalid_argument"), ("phone", "s", -2, "invalid_argument"),
        ])
    func checked(device: String, session: String, cursor: Int64?, ending: String) {
        let bench = CoreBench.owner()
        let stream = bench.open(42, cursor: cursor, device: device, session: session)
        #expect(bench.ending(of: stream) == ending)
    }

    @Test("a log that is no UUIDv7 is the client's defect")
    func nonsenseLog() {
        let bench = CoreBench.owner()
        let stream = bench.stream(42)
        var open = Open()
        open.device = "d"
        open.session = "s"
        open.log = "latest"
        open.cursor = 3
        bench.say(.open(open), on: stream)
        #expect(bench.ending(of: stream) == "invalid_argument")
    }

    @Test("nothing is sent before Opened, and Open comes once")
    func order() {
        let bench = CoreBench()
        let early = bench.stream(42)
        bench.send(to: 7, on: early)
        #expect(bench.ending(of: early) == "invalid_argument")
        let held = bench.open(42, cursor: 5)
        bench.send(to: 7, on: held)
        #expect(bench.ending(of: held) == "invalid_argument")
        let owner = CoreBench.owner()
        let twice = owner.opened(42)
        owner.say(.open(Open()), on: twice)
        #expect(owner.ending(of: twice) == "invalid_argument")
        let silent = bench.stream(42)
        bench.pass(10_000)
        #expect(bench.ending(of: silent) == "invalid_argument")
    }

    @Test("Opened tells what the client must know")
    func fields() throws {
        let bench = CoreBench.owner {
            $0.limits.bodyBytes = 999; $0.limits.unacknowledged = 7; $0.alive_ms = 3_000
        }
        let stream = bench.open(42, cursor: 99)
        let opened = try #require(bench.frames(to: stream).first?.opened)
        #expect(opened.log == CoreBench.log.description)
        #expect(opened.next == 100)
        #expect(opened.partition == bench.partition(42).number)
        #expect(opened.time_ms == bench.now.wall_ms)
        #expect(opened.idWindow_ms == 60_000)
        #expect(opened.alive_ms == 3_000)
        #expect(opened.maxBodyBytes == 999)
        #expect(opened.maxUnacknowledged == 7)
        #expect(opened.epoch == 1)
        #expect(opened.fallback == "")
    }

    /// This server owns everything, and a standby at `address` shadows it.
    private func assign(_ bench: CoreBench, epoch: Int64, standbyAt address: String) {
        var me = Member(incarnation: CoreBench.mine, address: "me:1", http: "me:2", role: .owner)
        me.owns = PartitionSet(all: 4)
        var standby = Member(incarnation: CoreBench.theirs, address: address, http: "standby:2", role: .standby)
        standby.shadows = PartitionSet(all: 4)
        let members = [CoreBench.me: me, CoreBench.other: standby]
        bench.core.assigned(Assignment(epoch: Epoch(epoch), term: Term(1), log: CoreBench.log, members: members), at: bench.now)
    }

    @Test("a new fallback is told within a second, long before the next sign of life")
    func newFallback() {
        let bench = CoreBench { $0.alive_ms = 60_000 }
        assign(bench, epoch: 1, standbyAt: "standby:1")
        for partition in 0..<4 { bench.begin(Partition(partition), start: 0, end: 0) }
        let streams = (1...250).map { bench.open(UInt64($0), cursor: -1) }
        bench.pass(1_000)
        // They are opened in slices; who is not yet is told with Opened.
        #expect(streams.allSatisfy { bench.frames(to: $0).first?.opened?.fallback == "standby:1" })
        assign(bench, epoch: 2, standbyAt: "another:1")
        bench.pass(1_000)
        #expect(streams.allSatisfy { bench.frames(to: $0).map(\.alive?.fallback) == ["another:1"] })
        bench.pass(5_000)
        #expect(streams.allSatisfy { bench.frames(to: $0).isEmpty }, "once is enough")
    }

    @Test("the fallback is the standby that shadows this server")
    func fallback() throws {
        let bench = CoreBench()
        assign(bench, epoch: 1, standbyAt: "standby:1")
        for partition in 0..<4 { bench.begin(Partition(partition), start: 0, end: 0) }
        let stream = bench.open(42, cursor: -1)
        let frames = bench.frames(to: stream)
        #expect(frames.first?.opened?.fallback == "standby:1")
        #expect(frames.last?.alive?.fallback == "standby:1")
    }

    @Test("with a cursor below the position the answer is at once, with the records after it")
    func resume() {
        let bench = CoreBench.owner()
        bench.read(bench.partition(42), [bench.entry(100, from: 7, to: 42), bench.entry(101, from: 7, to: 8), bench.entry(102, from: 42, to: 9)])
        let stream = bench.open(42, cursor: 100)
        #expect(bench.frames(to: stream).map(\.word) == ["opened", "message 102", "alive 103"])
    }

    @Test("what the window has let go is announced before the first record after it")
    func gap() {
        let bench = CoreBench.owner()
        bench.read(bench.partition(42), [bench.entry(100, from: 7, to: 42)])
        let stream = bench.open(42, cursor: 11)
        #expect(bench.frames(to: stream).map(\.word) == ["opened", "gap 12-100", "message 100", "alive 101"])
    }

    @Test("without a cursor the stream begins at an end that was asked for after Open")
    func noCursor() throws {
        let bench = CoreBench.owner()
        let stream = bench.open(42)
        #expect(bench.frames(to: stream).isEmpty)
        // Another comes while the question is under way: it was asked before that Open.
        let later = bench.open(42, device: "tablet")
        bench.answerEnds(103)
        #expect(bench.frames(to: stream).isEmpty, "the owner has not read up to 103 yet")
        bench.read(bench.partition(42), (100..<105).map { bench.entry($0, from: 7, to: 42) })
        #expect(bench.frames(to: stream).map(\.word) == ["opened", "message 103", "message 104", "alive 105"])
        #expect(bench.frames(to: later).isEmpty)
        bench.answerEnds(105)
        #expect(bench.frames(to: later).map(\.word) == ["opened", "alive 105"])
    }

    @Test("a cursor ahead of the owner waits until the owner is there")
    func cursorAhead() {
        let bench = CoreBench.owner()
        let stream = bench.open(42, cursor: 101)
        #expect(bench.frames(to: stream).isEmpty)
        bench.answerEnds(102)
        #expect(bench.ending(of: stream) == "")
        bench.read(bench.partition(42), [bench.entry(100, from: 7, to: 42)])
        #expect(bench.frames(to: stream).isEmpty)
        bench.read(bench.partition(42), [bench.entry(101, from: 7, to: 42)])
        #expect(bench.frames(to: stream).map(\.word) == ["opened", "alive 102"])
    }

    @Test("a cursor above the asked end is out of range; the owner's own position is not enough to say so")
    func outOfRange() {
        let bench = CoreBench.owner()
        let stream = bench.open(42, cursor: 500)
        #expect(bench.ending(of: stream) == "")
        bench.answerEnds(100)
        #expect(bench.ending(of: stream) == "out_of_range")
        #expect(bench.core.heldCount == 0)
    }

    @Test("a log that does not answer is asked again")
    func endNotAnswered() {
        let bench = CoreBench.owner()
        let stream = bench.open(42)
        bench.answerEnds(nil)
        #expect(bench.queries().isEmpty)
        bench.pass(100)
        bench.answerEnds(100)
        #expect(bench.frames(to: stream).first?.opened?.next == 100)
    }

    @Test("another log than the client's: everything from 0")
    func otherLog() {
        let bench = CoreBench.owner()
        let older = LogID(UUIDv7(high: UInt64(CoreBench.began_ms - 1) << 16 | 0x7000, low: 1 << 63)!)
        let stream = bench.open(42, cursor: 5_000, log: older)
        let frames = bench.frames(to: stream)
        #expect(frames.first?.opened?.next == 0)
        #expect(frames.map(\.word) == ["opened", "gap 0-100", "alive 100"])
        let fresh = bench.open(42, cursor: -1, log: nil, device: "new")
        #expect(bench.frames(to: fresh).first?.opened?.next == 0)
    }

    @Test("a newer log than ours: the assignment is read again, then UNAVAILABLE")
    func newerLog() {
        let bench = CoreBench.owner()
        let newer = LogID(UUIDv7(high: UInt64(CoreBench.began_ms + 1) << 16 | 0x7000, low: 1 << 63)!)
        let stream = bench.open(42, cursor: 5, log: newer)
        #expect(bench.take().contains(.readAssignment))
        #expect(bench.ending(of: stream) == "")
        bench.core.assignmentWasRead(at: bench.now)
        #expect(bench.ending(of: stream) == "unavailable")
    }

    @Test("a newer epoch than ours: the assignment is read again before the answer, and once for all who wait")
    func newerEpoch() {
        let bench = CoreBench.owner()
        let streams = (0..<3).map { bench.open(42, cursor: 99, device: "d\($0)", epoch: 2) }
        #expect(bench.take().filter { $0 == .readAssignment }.count == 1)
        bench.assign(epoch: 2) { $0.owns = PartitionSet(all: 4) }
        #expect(streams.allSatisfy { bench.frames(to: $0).first?.opened?.epoch == 2 })
        let deaf = bench.open(42, cursor: 99, epoch: 9)
        #expect(bench.frames(to: deaf).isEmpty)
        bench.core.assignmentWasRead(at: bench.now)
        #expect(bench.frames(to: deaf).first?.opened != nil, "the data plane does not wait for a Redis that does not answer")
    }

    @Test("an Open is held until the partition is warm")
    func readBack() {
        let bench = CoreBench()
        let stream = bench.open(42, cursor: 50)
        bench.assign(epoch: 1) { $0.owns = PartitionSet(all: 4) }
        let partition = bench.partition(42)
        bench.begin(partition, start: 40, end: 60)
        let old_ms = bench.now.wall_ms - bench.core.settings.windowAge_ms - 1
        bench.read(partition, (40..<59).map { bench.entry($0, from: 7, to: 42, time_ms: old_ms) })
        #expect(bench.frames(to: stream).isEmpty)
        bench.read(partition, [bench.entry(59, from: 7, to: 42, time_ms: old_ms), bench.entry(60, from: 7, to: 42)])
        // What was read back may be judged wrongly, so the window begins where the reading's end was.
        #expect(bench.frames(to: stream).map(\.word) == ["opened", "gap 51-60", "message 60", "alive 61"])
    }

    @Test("the whole log is read back on the embedded backplane, and all of it is the window")
    func embedded() {
        let bench = CoreBench(embedded: true)
        bench.assign(epoch: 1) { $0.owns = PartitionSet(all: 4) }
        #expect(bench.take().contains(.startReading(Partition(0), reading: bench.reading(of: Partition(0)), from: .beginning)))
        let partition = bench.partition(42)
        bench.begin(partition, start: 3, end: 5)
        bench.read(partition, [bench.entry(3, from: 7, to: 42), bench.entry(4, from: 7, to: 42)])
        let stream = bench.open(42, cursor: -1)
        #expect(bench.frames(to: stream).map(\.word) == ["opened", "gap 0-3", "message 3", "message 4", "alive 5"])
    }

    @Test("a reading begins the window's age, 2 W and 5 s back")
    func readBackTime() {
        let bench = CoreBench()
        bench.take()
        bench.assign(epoch: 1) { $0.owns = PartitionSet([Partition(2)]) }
        let back_ms = 125_000 + bench.core.settings.windowAge_ms
        #expect(bench.take() == [.startReading(Partition(2), reading: 1, from: .time(bench.now.wall_ms - back_ms))])
    }

    @Test("who is held for 10 s is told UNAVAILABLE")
    func holdEnds() {
        let bench = CoreBench()
        let stream = bench.open(42, cursor: 5)
        bench.pass(9_999)
        #expect(bench.ending(of: stream) == "")
        bench.pass(1)
        #expect(bench.ending(of: stream) == "unavailable")
    }

    @Test("as many are held as maxConnections, one more is UNAVAILABLE")
    func holdCapacity() {
        let bench = CoreBench { $0.maxConnections = 3 }
        let streams = (0..<4).map { bench.open(42, cursor: 5, device: "d\($0)") }
        #expect(streams.map { bench.ending(of: $0) } == ["", "", "", "unavailable"])
    }

    @Test("a full server says UNAVAILABLE before Opened, and a resume in place of an old stream is not one more")
    func full() {
        let bench = CoreBench.owner { $0.maxConnections = 2 }
        _ = bench.opened(42)
        _ = bench.opened(7)
        let third = bench.open(8, cursor: 99)
        #expect(bench.ending(of: third) == "unavailable")
        #expect(bench.frames(to: third).isEmpty)
        let again = bench.open(42, cursor: 99, attempt: 1)
        #expect(bench.frames(to: again).first?.opened != nil)
        #expect(bench.core.openedCount == 2)
    }

    @Test("what the descriptors allow counts as well")
    func descriptors() {
        let bench = CoreBench(descriptorLimit: 1)
        bench.assign(epoch: 1) { $0.owns = PartitionSet(all: 4) }
        for partition in 0..<4 { bench.begin(Partition(partition), start: 0, end: 0) }
        let streams = [bench.open(42, cursor: -1), bench.open(7, cursor: -1)]
        #expect(streams.map { bench.ending(of: $0) } == ["", "unavailable"])
    }

    @Test("a user has at most streamsPerUser streams")
    func streamsPerUser() {
        let bench = CoreBench.owner { $0.limits.streamsPerUser = 2 }
        let streams = (0..<3).map { bench.open(42, cursor: 99, device: "d\($0)") }
        #expect(streams.map { bench.ending(of: $0) } == ["", "", "unavailable"])
    }

    @Test("a later attempt ends the earlier one with UNAVAILABLE")
    func attempts() {
        let bench = CoreBench.owner()
        let first = bench.open(42, cursor: 99, attempt: 1)
        let second = bench.open(42, cursor: 99, attempt: 2)
        #expect(bench.ending(of: first) == "unavailable")
        #expect(bench.frames(to: second).first?.opened != nil)
        let late = bench.open(42, cursor: 99, attempt: 1)
        #expect(bench.ending(of: late) == "unavailable")
        #expect(bench.frames(to: late).isEmpty)
        #expect(bench.ending(of: second) == "")
    }

    @Test("another session of the device ends the older with ABORTED; other devices and users are left alone")
    func sessions() {
        let bench = CoreBench.owner()
        let old = bench.open(42, cursor: 99, session: "a", attempt: 9)
        let tablet = bench.open(42, cursor: 99, device: "tablet", session: "t")
        let stranger = bench.open(46, cursor: 99, session: "x")
        let new = bench.open(42, cursor: 99, session: "b")
        #expect([old, tablet, stranger, new].map { bench.ending(of: $0) } == ["aborted", "", "", ""])
    }

    @Test("of several that are held for one device the newest is opened")
    func heldSessions() {
        let bench = CoreBench()
        let old = bench.open(42, cursor: 5, session: "a")
        let new = bench.open(42, cursor: 5, session: "b")
        bench.assign(epoch: 1) { $0.owns = PartitionSet(all: 4) }
        bench.begin(bench.partition(42), start: 10, end: 10)
        #expect(bench.ending(of: old) == "aborted")
        #expect(bench.ending(of: new) == "")
        #expect(bench.frames(to: new).first?.opened != nil)
        #expect(bench.core.heldCount == 0)
        #expect(bench.core.openedCount == 1)
    }

    @Test("a server that stops takes nobody")
    func stopping() {
        let bench = CoreBench.owner()
        let held = bench.open(42)
        let open = bench.opened(7)
        bench.core.stop(at: bench.now)
        let late = bench.open(8, cursor: 99)
        #expect([held, late, open].map { bench.ending(of: $0) } == ["unavailable", "unavailable", ""])
        bench.core.endAll(at: bench.now)
        #expect(bench.ending(of: open) == "unavailable")
        #expect(bench.core.openedCount == 0)
    }

    @Test("nothing is left of a stream that is gone")
    func gone() {
        let bench = CoreBench.owner()
        for index in 0..<50 {
            let stream = index % 2 == 0 ? bench.opened(42, device: "d") : bench.open(42, device: "e")
            bench.core.ended(stream, at: bench.now)
        }
        #expect(bench.core.conversations.isEmpty)
        #expect(bench.core.openedCount == 0)
        #expect(bench.core.heldCount == 0)
        #expect(bench.core.held.isEmpty)
        #expect(bench.core.partitions.values.filter { !$0.listeners.isEmpty }.isEmpty)
    }
}
