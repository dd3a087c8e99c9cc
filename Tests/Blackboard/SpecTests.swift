import Blackboard
import Cell
import Redis
import Support
import Testing

@Suite("The spec in Redis")
struct SpecTests {
    @Test("made once, changed from what was read, refused otherwise")
    func compareAndSet() async throws {
        let example = try await Example()
        let board = example.board
        #expect(try await board.spec() == nil)
        #expect(try await refusal { _ = try await board.putSpec("{}", replacing: 3) } == .generation(found: 0))
        #expect(try await board.putSpec("{\"a\":1}", replacing: 0) == 1)
        #expect(try await refusal { _ = try await board.putSpec("{}", replacing: 0) } == .generation(found: 1))
        #expect(try await board.putSpec("{\"a\":2}", replacing: 1) == 2)
        #expect(try await refusal { _ = try await board.putSpec("{}", replacing: 1) } == .generation(found: 2))
        let spec = try #require(try await board.spec())
        #expect(spec.generation == 2 && spec.json == "{\"a\":2}" && !spec.isDeleted && spec.created_ms > 1_700_000_000_000)
        #expect(try await CellBlackboard.cells(on: board.redis) == [board.cell])
    }

    @Test("deleted: changed no more, then gone with every key, and the name is free again")
    func delete() async throws {
        let example = try await Example()
        let board = example.board
        #expect(try await refusal { try await board.markDeleted() } == .generation(found: 0))
        _ = try await board.putSpec("{}", replacing: 0)
        let first = try #require(try await board.spec())
        let election = try await example.lead()
        #expect(try await refusal { try await board.removeCell(as: election) } == .generation(found: 1), "one that is not marked stays")
        #expect(try await board.markDeleted() == 2)
        #expect(try await board.markDeleted() == 2, "twice is once")
        #expect(try await refusal { _ = try await board.putSpec("{}", replacing: 2) } == .beingDeleted)
        try await board.add([CellEvent("Tested", time_ms: 1, text: "")], as: election)
        try await board.write(CellStatus(), as: election)
        try await board.publish(from: Assignment(), to: .example(1, election, PartitionSet(all: 4)), as: election)
        try await board.removeCell(as: election)
        #expect(try await example.redis.command("KEYS", "*").array == [])
        #expect(try await board.putSpec("{}", replacing: 0) == 1)
        #expect(try #require(try await board.spec()).isNewer(than: first))
    }

    @Test("a Redis that forgot the spec gets it back; a newer one stays")
    func restore() async throws {
        let example = try await Example()
        let board = example.board
        _ = try await board.putSpec("{\"a\":1}", replacing: 0)
        _ = try await board.putSpec("{\"a\":2}", replacing: 1)
        let known = try #require(try await board.spec())
        try await example.redis.command("FLUSHALL")
        let election = try await example.lead()
        #expect(try await refusal { _ = try await board.putSpec("{}", replacing: 0) } == .forgotten, "a leader is there, and will write it")
        #expect(try await board.restore(known, as: election))
        #expect(try await board.spec() == known)
        #expect(try await CellBlackboard.cells(on: board.redis) == [board.cell])
        #expect(try await board.putSpec("{\"a\":3}", replacing: 2) == 3)
        #expect(try await !board.restore(known, as: election))
        #expect(try await board.spec()?.json == "{\"a\":3}")
    }

    @Test("a cell whose servers renew their leases is not made a second time")
    func forgotten() async throws {
        let example = try await Example()
        let board = example.board
        var report = Report(incarnation: Incarnation("a1")!, zone: "", pid: 1, build: "1")
        func renew(for lease: Duration) async throws {
            _ = try await board.renewLease(of: ServerID(.messaging, 1), report.incarnation, arrived_ms: 1, lease: lease, report: report, urgent: false)
        }
        report.generation = 3
        try await renew(for: .seconds(60))
        #expect(try await refusal { _ = try await board.putSpec("{}", replacing: 0) } == .forgotten)
        try await renew(for: .milliseconds(100))
        try await eventually("the lease's end") { (try? await board.putSpec("{}", replacing: 0)) == 1 }
    }

    @Test("servers whose spec nobody has any more are adopted by one above what they have applied, and not while somebody leads")
    func adopted() async throws {
        let example = try await Example()
        let board = example.board
        var report = Report(incarnation: Incarnation("a1")!, zone: "", pid: 1, build: "1")
        report.generation = 7
        _ = try await board.renewLease(
            of: ServerID(.messaging, 1), report.incarnation, arrived_ms: 1, lease: .seconds(60), report: report, urgent: false)
        #expect(try await refusal { _ = try await board.putSpec("{}", replacing: 0) } == .forgotten)
        let election = try await example.lead()
        #expect(try await refusal { _ = try await board.putSpec("{}", replacing: 0, adopting: true) } == .forgotten)
        try await board.resign(election)
        #expect(try await board.putSpec("{}", replacing: 0, adopting: true) == 8)
    }

    @Test("a renewal that comes after the cell's removal goes by itself; with a spec it stays")
    func lateRenewal() async throws {
        let example = try await Example()
        let board = example.board
        let report = Report(incarnation: Incarnation("a1")!, zone: "", pid: 1, build: "1")
        func renew() async throws {
            _ = try await board.renewLease(
                of: ServerID(.messaging, 1), report.incarnation, arrived_ms: 1, lease: .milliseconds(40), report: report, urgent: false)
        }
        try await renew()
        try await eventually("the keys' end") { try await example.redis.command("KEYS", "*").array == [] }
        try await renew()
        _ = try await board.putSpec("{}", replacing: 0)
        try await renew()
        let keys = RedisKeys(board.cell)
        for key in [keys.leases, keys.reports, keys.arrivals] { #expect(try await example.redis.command("PTTL", key) == .integer(-1)) }
    }

    @Test("servers that wait for their first spec do not keep it out")
    func firstSpec() async throws {
        let example = try await Example()
        let report = Report(incarnation: Incarnation("a1")!, zone: "", pid: 1, build: "1")
        _ = try await example.board.renewLease(
            of: ServerID(.messaging, 1), report.incarnation, arrived_ms: 1, lease: .seconds(60), report: report, urgent: false)
        #expect(try await example.board.putSpec("{}", replacing: 0) == 1)
    }
}
