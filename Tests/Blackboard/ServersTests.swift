import Blackboard
import Cell
import Redis
import Support
import Testing

@Suite("Servers' leases and reports")
struct ServersTests {
    let server = ServerID(.messaging, 1)
    let a = Incarnation("a1")!, b = Incarnation("b2")!

    func report(_ incarnation: Incarnation) -> Report {
        var report = Report(incarnation: incarnation, zone: "a", pid: 7, build: "1")
        report.warm = PartitionSet(3...5)
        return report
    }

    @Test("a renewal says what is published and what time it is")
    func renewal() async throws {
        let example = try await Example()
        let board = example.board
        let empty = try await board.renewLease(of: server, a, arrived_ms: 1, lease: .seconds(60), report: report(a), urgent: false)
        #expect(empty.epoch == .none && empty.term == .none && empty.settingsEpoch == 0 && empty.generation == 0)
        let election = try await example.lead()
        try await board.publish(from: Assignment(), to: .example(9, election, PartitionSet(all: 4)), as: election)
        _ = try await board.write(Settings(CellSpec.example, generation: 1, epoch: 7), as: election)
        try await board.restore(StoredSpec(generation: 4, created_ms: 1, json: "{}"), as: election)
        let full = try await board.renewLease(of: server, a, arrived_ms: 1, lease: .seconds(60), report: nil, urgent: false)
        #expect(full.epoch == Epoch(9) && full.term == election.term && full.settingsEpoch == 7 && full.generation == 4)
        #expect(full.time_ms >= empty.time_ms)
        let seen = try await board.servers()
        #expect(seen.reports == [server: report(a)], "a renewal without a report keeps the last one")
        #expect(seen.leases.count == 1 && seen.isLive(seen.leases[0]))
        #expect(seen.leases[0].expiry_ms - full.time_ms == 60_000)
    }

    @Test("a later incarnation takes over; the earlier one is told to stop and overwrites nothing")
    func superseded() async throws {
        let example = try await Example()
        let board = example.board
        _ = try await board.renewLease(of: server, a, arrived_ms: 1_000, lease: .seconds(60), report: report(a), urgent: false)
        _ = try await board.renewLease(of: server, b, arrived_ms: 2_000, lease: .seconds(60), report: report(b), urgent: false)
        let refused = try await refusal {
            _ = try await board.renewLease(of: server, a, arrived_ms: 1_000, lease: .seconds(60), report: report(a), urgent: false)
        }
        #expect(refused == .superseded(by: b))
        try await board.leave(server, a)
        #expect(try await board.servers().reports[server]?.incarnation == b)
        #expect(try await board.servers().leases.map(\.incarnation) == [b])
    }

    @Test("after a FLUSHALL the later one still wins, whoever comes back first")
    func supersededAfterFlush() async throws {
        let example = try await Example()
        let board = example.board
        try await example.redis.command("FLUSHALL")
        _ = try await board.renewLease(of: server, a, arrived_ms: 1_000, lease: .seconds(60), report: report(a), urgent: false)
        _ = try await board.renewLease(of: server, b, arrived_ms: 2_000, lease: .seconds(60), report: report(b), urgent: false)
        #expect(try await board.servers().reports[server]?.incarnation == b)
    }

    @Test("a clock that went back does not keep a newcomer out: a lease that ran out, or ends too late, proves nothing", arguments: ["0", "99999999999999"])
    func clockWentBack(expiry: String) async throws {
        let example = try await Example()
        let board = example.board
        _ = try await board.renewLease(of: server, a, arrived_ms: 9_000_000_000_000, lease: .seconds(60), report: report(a), urgent: false)
        try await example.redis.command("ZADD", "{cell:eu-1}:leases", expiry, "messaging-1/a1")
        _ = try await board.renewLease(of: server, b, arrived_ms: 1_000, lease: .seconds(60), report: report(b), urgent: false)
        #expect(try await board.servers().reports[server]?.incarnation == b)
    }

    @Test("a lease runs out by Redis's clock")
    func runsOut() async throws {
        let example = try await Example()
        let board = example.board
        // Without a spec the keys would go by themselves, soon after the lease.
        _ = try await board.putSpec("{}", replacing: 0)
        _ = try await board.renewLease(of: server, a, arrived_ms: 1, lease: .milliseconds(50), report: nil, urgent: false)
        try await eventually("the lease's end") {
            let seen = try await board.servers()
            return seen.leases.count == 1 && !seen.isLive(seen.leases[0])
        }
    }

    @Test("malformed leases and reports are skipped and named, the others are read")
    func malformed() async throws {
        let example = try await Example()
        let board = example.board
        _ = try await board.renewLease(of: server, a, arrived_ms: 1, lease: .seconds(60), report: report(a), urgent: false)
        try await example.redis.command("ZADD", "{cell:eu-1}:leases", 1, "nobody", 2, "messaging-2", "inf", "messaging-3/c3", 5, "messaging-4/")
        try await example.redis.command("HSET", "{cell:eu-1}:reports", "messaging-2", "{\"incarnation\":\"\"}", "cook-1", "{}", "messaging-3", "\u{FF}")
        let seen = try await board.servers()
        #expect(seen.reports.keys.sorted() == [server])
        #expect(seen.leases.map(\.server) == [server])
        #expect(seen.malformed.keys.sorted() == ["cook-1", "messaging-2", "messaging-3", "messaging-3/c3", "messaging-4/", "nobody"])
    }

    @Test("who leaves is gone at once, and the operator hears of it; so it does of who arrives and of what is urgent")
    func told() async throws {
        let example = try await Example()
        let board = example.board
        let listener = try BlackboardListener(to: [.servers], of: board, patience: .seconds(60), options: .patient)
        var changes = listener.changes.makeAsyncIterator()
        #expect(await changes.next() == .listening)
        func renew(_ urgent: Bool) async throws {
            _ = try await board.renewLease(of: server, a, arrived_ms: 1, lease: .seconds(60), report: report(a), urgent: urgent)
        }
        try await renew(false)
        #expect(await changes.next() == .server(server))
        try await renew(false)
        try await renew(true)
        #expect(await changes.next() == .server(server))
        try await board.leave(server, a)
        #expect(await changes.next() == .server(server))
        #expect(try await board.servers().leases.isEmpty)
        #expect(try await board.servers().reports.isEmpty)
    }

    @Test("the leader forgets servers that are gone, and no other incarnation of theirs")
    func forget() async throws {
        let example = try await Example()
        let board = example.board
        let election = try await example.lead()
        _ = try await board.renewLease(of: server, a, arrived_ms: 1, lease: .seconds(60), report: report(a), urgent: false)
        try await board.forget([(server, b)], as: election)
        #expect(try await board.servers().leases.map(\.incarnation) == [a])
        try await board.forget([(server, a), (ServerID(.history, 1), b)], as: election)
        #expect(try await board.servers().leases.isEmpty)
        #expect(try await board.servers().reports.isEmpty)
    }
}

extension CellSpec {
    static let example = CellSpec(
        name: CellName("eu-1")!, partitions: 8, backplane: .embedded, store: .sqlite, auth: .none, run: .process(RunSpec.Process()))
}
