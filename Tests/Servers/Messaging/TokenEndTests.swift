import Cell
import Testing

@testable import Servers

@Suite("A token's end")
struct TokenEndTests {
    private func open(_ bench: CoreBench, _ user: UInt64, until_ms: Int64?) -> StreamID {
        let id = bench.stream(user, until_ms: until_ms)
        bench.say(.open(Open(log: CoreBench.log, cursor: 99)), on: id)
        return id
    }

    @Test("it ends the stream with UNAUTHENTICATED, a live one and one that is held, and no other; the rest goes on")
    func ends() {
        let bench = CoreBench.owner()
        let end_ms = bench.now.wall_ms + 95_000
        let (short, long, free) = (open(bench, 42, until_ms: end_ms), open(bench, 7, until_ms: end_ms + 60_000), open(bench, 8, until_ms: nil))
        bench.pass(94_999)
        #expect([short, long, free].map { bench.ending(of: $0) } == ["", "", ""])
        bench.pass(1)
        #expect([short, long, free].map { bench.ending(of: $0) } == ["unauthenticated", "", ""])
        bench.pass(60_000)
        #expect([long, free].map { bench.ending(of: $0) } == ["unauthenticated", ""])
        #expect(bench.core.openedCount == 1)
        let idle = CoreBench()
        let held = open(idle, 42, until_ms: idle.now.wall_ms + 3_000)
        idle.pass(3_000)
        #expect(idle.ending(of: held) == "unauthenticated")
        #expect(idle.core.heldCount == 0)
    }

    @Test("one that has ended already is not let in, and one that never ends costs nothing", arguments: [Int64.min, 0, 1, Int64.max])
    func extremes(until_ms: Int64) {
        let bench = CoreBench.owner()
        let stream = open(bench, 42, until_ms: until_ms)
        #expect(bench.ending(of: stream) == (until_ms == .max ? "" : "unauthenticated"))
        bench.pass(3_600_000)
        #expect(bench.ending(of: stream) == (until_ms == .max ? "" : "unauthenticated"))
    }

    @Test("a wall clock that is set forward is noticed")
    func clockIsSet() {
        let bench = CoreBench.owner()
        let stream = open(bench, 42, until_ms: bench.now.wall_ms + 3_600_000)
        bench.now.wall_ms += 7_200_000
        bench.pass(MessagingCore.tokenLook_ms)
        #expect(bench.ending(of: stream) == "unauthenticated")
    }
}
