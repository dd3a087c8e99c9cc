import Cell
import Testing

@testable import Servers

@Suite("Admission")
struct AdmissionTests {
    private func stream(_ number: Int) -> StreamID { StreamID(number: UInt64(number)) }

    @Test("a slice has so many answers, and the next one as many again")
    func slices() {
        var admission = Admission()
        let first = (0..<1_000).filter { _ in admission.admits(.newcomer, at: 50) }
        #expect(first.count == Admission.opensInSlice)
        let answer1 = admission.admits(.newcomer, at: 50 + Admission.slice_ms - 1)
        #expect(!answer1)
        let answer2 = admission.admits(.newcomer, at: 50 + Admission.slice_ms)
        #expect(answer2)
    }

    @Test("resumes come before newcomers who came earlier")
    func resumesFirst() {
        var admission = Admission()
        for number in 0..<3 { admission.wait(stream(number), .newcomer) }
        for number in 10..<12 { admission.wait(stream(number), .resume) }
        let order = (0..<6).map { _ in admission.next(at: 1) }
        #expect(order == [stream(10), stream(11), stream(0), stream(1), stream(2), nil])
        #expect(admission.waiting == 0)
    }

    @Test("the memory of replays is bounded, and newcomers have nothing to do with it")
    func replays() {
        var admission = Admission()
        for number in 0..<Admission.replaysAtOnce { admission.replayBegins(stream(number)) }
        let answer3 = admission.admits(.resume, at: 1)
        #expect(!answer3)
        let answer4 = admission.admits(.newcomer, at: 1)
        #expect(answer4)
        admission.wait(stream(9_000), .resume)
        admission.wait(stream(9_001), .newcomer)
        let answer5 = admission.next(at: 1)
        #expect(answer5 == stream(9_001))
        let answer6 = admission.next(at: 1)
        #expect(answer6 == nil)
        admission.replayEnds(stream(3))
        let answer7 = admission.next(at: 1)
        #expect(answer7 == stream(9_000))
    }

    @Test("a mass reconnect is served in slices, whole, and each client once")
    func massReconnect() {
        let bench = CoreBench()
        let streams = (1...2_000).map { bench.open(UInt64($0), cursor: 5) }
        bench.assign(epoch: 1) { $0.owns = PartitionSet(all: 4) }
        for partition in 0..<4 { bench.begin(Partition(partition), start: 6, end: 6) }
        #expect(bench.core.openedCount == Admission.opensInSlice)
        #expect(bench.core.admission.waiting == 2_000 - Admission.opensInSlice)
        bench.pass(Admission.slice_ms)
        #expect(bench.core.openedCount == 2 * Admission.opensInSlice)
        bench.pass(Admission.slice_ms * 10)
        #expect(bench.core.openedCount == 2_000)
        #expect(bench.core.heldCount == 0)
        #expect(streams.allSatisfy { stream in bench.frames(to: stream).filter { $0.opened != nil }.count == 1 })
    }

    @Test("who leaves the line, or loses its partition meanwhile, is not answered from it")
    func leavesTheLine() {
        let bench = CoreBench()
        let streams = (1...600).map { bench.open(UInt64($0), cursor: 5) }
        bench.assign(epoch: 1) { $0.owns = PartitionSet(all: 4) }
        for partition in 0..<4 { bench.begin(Partition(partition), start: 6, end: 6) }
        let waiting = streams.filter { bench.frames(to: $0).isEmpty }
        for stream in waiting.prefix(100) { bench.core.ended(stream, at: bench.now) }
        bench.assign(epoch: 2, theirs: PartitionSet(all: 4)) { _ in }
        bench.core.probed(CoreBench.theirs, isHealthy: true, at: bench.now)
        bench.pass(Admission.slice_ms * 4)
        #expect(waiting.prefix(100).allSatisfy { bench.frames(to: $0).isEmpty })
        #expect(waiting.dropFirst(100).allSatisfy { stream in bench.frames(to: stream).map(\.word).allSatisfy { $0.hasPrefix("moved") } })
        #expect(bench.core.heldCount == 0)
    }

    /// An owner whose window holds `count` messages of 8,000 bytes for each of `users`, all of whom resume before them; and their streams.
    private func resuming(_ users: [UInt64], _ count: Int64) -> (bench: CoreBench, streams: [StreamID], ends: [Partition: Int64]) {
        let bench = CoreBench.owner { $0.maxConnections = 10_000 }
        let body = String(repeating: "x", count: 8_000)
        var ends: [Partition: Int64] = [:]
        for user in users {
            let partition = bench.partition(user)
            let from = ends[partition, default: 100]
            bench.read(partition, (from..<from + count).map { bench.entry($0, from: 1_000_000, to: user, body) })
            ends[partition] = from + count
        }
        return (bench, users.map { bench.open($0, cursor: 99) }, ends)
    }

    @Test("clients that take nothing of what they missed keep others waiting for 5 s at most, and are not waited for longer")
    func deafReplays() {
        let users = Array(UInt64(1)...UInt64(Admission.replaysAtOnce + 10))
        let (bench, streams, ends) = resuming(users, 12)
        bench.pass(Admission.slice_ms * 10)
        #expect(bench.core.openedCount == Admission.replaysAtOnce)
        let newcomer = bench.open(5_000_000, cursor: nil)
        bench.answerEnds(ends.values.max() ?? 100)
        #expect(bench.core.admission.waiting == 10 || bench.frames(to: newcomer).isEmpty)
        bench.pass(Admission.replay_ms)
        let ended = streams.filter { bench.ending(of: $0) == "resource_exhausted" }
        #expect(ended.count == Admission.replaysAtOnce)
        #expect(bench.core.admission.replays.count == 10)
        bench.pass(2 * Admission.replay_ms)
        #expect(streams.allSatisfy { bench.ending(of: $0) == "resource_exhausted" })
        #expect(bench.core.admission.replays.isEmpty && bench.core.admission.slowReplays.isEmpty)
    }

    @Test("a slow client goes on in little slices, beside a bounded number of others, until it has all")
    func slowReplays() {
        let users = Array(UInt64(1)...UInt64(Admission.replaysAtOnce + 10))
        let (bench, streams, _) = resuming(users, 12)
        bench.pass(Admission.slice_ms * 10)
        let slow = streams.filter { !bench.frames(to: $0).isEmpty }
        #expect(slow.count == Admission.replaysAtOnce)
        // Each takes something just before it would be given up.
        func drain() -> [Int] {
            slow.map { stream in
                bench.core.drained(stream, at: bench.now)
                return bench.frames(to: stream).compactMap(\.message).count
            }
        }
        bench.pass(Admission.replay_ms - 200)
        #expect(Set(drain()) == [4 + 1])  // 32 KiB, and what crosses them
        bench.pass(200)
        #expect(bench.core.admission.slowReplays.count == Admission.replaysAtOnce)
        #expect(bench.core.admission.replays.count == 10, "the others have their turn")
        var rest = 12 - 3 - 5
        while rest > 0 {
            bench.pass(Admission.replay_ms - 200)
            #expect(Set(drain()) == [min(2, rest)])
            rest -= 2
        }
        #expect(slow.allSatisfy { bench.core.conversations[$0]?.stage == .live })
        #expect(bench.core.admission.slowReplays.isEmpty)
    }

    @Test("more slow clients than there is room for are sent away to come back later")
    func tooManySlow() {
        var admission = Admission()
        for number in 0..<Admission.slowReplaysAtOnce {
            admission.replayBegins(stream(number))
            let taken = admission.replayIsSlow(stream(number))
            #expect(taken)
        }
        #expect(admission.replays.isEmpty)
        let again = admission.replayIsSlow(stream(7))
        #expect(again)
        let oneMore = admission.replayIsSlow(stream(9_999))
        #expect(!oneMore)
        admission.replayEnds(stream(0))
        let afterwards = admission.replayIsSlow(stream(9_999))
        #expect(afterwards)
    }

    @Test("when much waits for all together, little may wait for each")
    func queueBound() {
        let bench = CoreBench()
        #expect(bench.core.queueBound(total: 0) == bench.settings.limits.backlog)
        #expect(bench.core.queueBound(total: MessagingCore.queues_bytes) == MessagingCore.shortQueue_bytes)
    }

    @Test("one who resumes is taken where a newcomer is not")
    func limits() {
        let bench = CoreBench.owner { $0.maxConnections = 32 }
        for user in 1...32 { _ = bench.opened(UInt64(user)) }
        #expect(bench.ending(of: bench.open(101, cursor: -1)) == "unavailable")
        #expect((201...203).map { bench.ending(of: bench.open($0, cursor: 99)) } == ["", "", "unavailable"])
    }
}
