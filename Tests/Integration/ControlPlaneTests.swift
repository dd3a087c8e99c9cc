import Blackboard
import Cell
import Glibc
import Support
import Testing

/// Operators, Redis and a big fleet as real processes, while people chat: what the simulation cannot show.
@Suite("the control plane of real processes", .serialized)
struct ControlPlaneTests {
    /// - Parameter failover: with the usual one, who only waits for a turn on this machine, for two seconds or so, is not taken for dead.
    private func cell(servers: Int = 2, standbys: Int = 1, partitions: Int = 12, failover: String = "{lease: 3s}") async throws -> CellUnderTest {
        let cell = try await CellUnderTest(
            "embedded",
            spec: WholeCellTests.embedded.replacing("PORT", with: "\(freePorts([0, 1, 2, 3]))").replacing("partitions: 12", with: "partitions: \(partitions)")
                .replacing("servers: 2, standbys: 1,", with: "servers: \(servers), standbys: \(standbys),")
                .replacing("auth: {none: {}}", with: "auth: {none: {}}\n  failover: \(failover)"))
        try await cell.waitUntilReady(within: .seconds(180))
        return cell
    }

    @Test("of two operators one leads; stopped past its lease it is replaced without a move, and what it wakes up to do is not done")
    func pausedLeader() async throws {
        let cell = try await cell()
        let board = try cell.board()
        let first = try #require(try await board.leader())
        #expect(first.name == "operator-0")
        try cell.startOperator()
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 40, rate: 60)
        try await chat.opened()
        let before = try #require(try await board.assignment())
        let lives = Set(try await cell.servers().map(\.pid))

        cell.signalOperator(0, SIGSTOP)
        let second = try await eventually("the next leader", within: .seconds(60)) { () -> Leader? in
            guard let leader = try await board.leader(), leader.name == "operator-1" else { return nil }
            return leader
        }
        #expect(second.term > first.term)
        // A change that the sleeper would want to carry out with what it knew.
        try await cell.expect("scale", "messaging=3", "--cell", cell.name)
        try await cell.waitForOwners(3)
        cell.signalOperator(0, SIGCONT)
        try await eventually("the sleeper's word that it leads no more", within: .seconds(60)) { cell.operatorLog(0).contains("was overtaken by term") }
        let report = try await chat.finish()
        #expect(report.good && report.outage_ms.count == 0, "\(report) \(cell.diagnosis)")
        let leader = try #require(try await board.leader())
        let after = try #require(try await board.assignment())
        #expect(leader.name == "operator-1" && leader.term == second.term)
        #expect(after.term == second.term && after.epoch > before.epoch)
        #expect(lives.isSubset(of: Set(try await cell.servers().map(\.pid))), "nobody was stopped or started anew")
        #expect(try await cell.events().allSatisfy { $0.kind != "ServerLost" && $0.kind != "ServerKilled" })
        try await cell.stop()
    }

    enum RedisFault: String, CaseIterable { case killed, wiped, restored, paused }

    @Test("Redis killed, wiped, set back by a while, or paused for 10 s: no stream ends, nothing moves back, epochs only rise", arguments: RedisFault.allCases)
    func redis(_ fault: RedisFault) async throws {
        let cell = try await cell()
        let board = try cell.board()
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 40, rate: 60)
        try await chat.opened()
        let data = try await copyOfData(cell)
        // What a Redis that was set back does not know: three servers instead of two, and who owns what among them.
        try await cell.expect("scale", "messaging=3", "--cell", cell.name)
        try await cell.waitForOwners(3)
        try await eventually("rest", within: .seconds(120)) { try await cell.cellctl("status", cell.name, "--check").exit == .code(0) }
        let before = try #require(try await board.assignment())
        let lives = Set(try await cell.servers().map(\.pid))

        switch fault {
        case .killed:
            try await cell.redis.kill()
            // Longer than a lease.
            try await Task.sleep(for: .seconds(4))
            try await cell.redis.start()
        case .wiped: try await cell.redis.client().command("FLUSHALL")
        case .restored:
            try await cell.redis.kill()
            try cell.redis.wipe()
            try await copy("\(data.path)/.", to: cell.redis.folder.path)
            try await cell.redis.start()
        case .paused:
            cell.redis.pause()
            try await Task.sleep(for: .seconds(10))
            cell.redis.resume()
        }
        // Time enough for leases that were missed to cost somebody his place.
        try await Task.sleep(for: .seconds(6))
        let after = try await eventually("the assignment as it was", within: .seconds(90)) { () -> Assignment? in
            guard let now = try await board.assignment(), now.version >= before.version else { return nil }
            return now.members.mapValues(\.owns) == before.members.mapValues(\.owns) ? now : nil
        }
        let report = try await chat.finish()
        #expect(report.good && report.outage_ms.count == 0, "\(report) \(cell.diagnosis)")
        #expect(after.log == before.log)
        if fault == .wiped || fault == .restored { #expect(after.epoch > before.epoch) }
        #expect(Set(try await cell.servers().map(\.pid)) == lives)
        try await eventually("the spec as it was") { try await board.spec()?.generation == 2 }
        try await cell.stop()
    }

    @Test("15 of 30 servers are killed at once: all of them are replaced at once, and who sits on the others notices nothing")
    func halfOfAll() async throws {
        let cell = try await cell(servers: 30, standbys: 4, partitions: 60, failover: "{lease: 8s}")
        let victims = try await cell.servers("messaging").filter { $0.role == "owner" }.prefix(15)
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 120, rate: 60)
        try await chat.opened()
        let sitting = try await eventually("the reports of all streams", within: .seconds(90)) { () -> Int? in
            let servers = try await cell.servers("messaging")
            guard servers.reduce(0, { $0 + $1.connections }) == 120 else { return nil }
            return servers.filter { server in victims.contains { $0.name == server.name } }.reduce(0) { $0 + $1.connections }
        }
        #expect(sitting > 0 && sitting < 120)
        for victim in victims { kill(try #require(victim.pid), SIGKILL) }
        for victim in victims { try await cell.waitForLoss(of: victim) }
        let report = try await chat.finish(within: .seconds(240))
        #expect(report.good, "\(report) \(cell.diagnosis)")
        // Each of those on a lost server has one outage, or a second when the one it fled to had just been killed as well.
        #expect(report.outage_ms.count >= sitting / 2 && report.outage_ms.count <= 2 * sitting, "\(sitting) sat on lost servers: \(report)")
        try await cell.waitForOwners(30, within: .seconds(240))
        try await cell.stop()
    }

    @Test("a server whose Kafka client hangs renews its lease and reads nothing: probes show it, and its standby takes over")
    func stuck() async throws {
        let cell = try await cell()
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 40, rate: 40)
        try await chat.opened()
        let victim = try await cell.owner()
        let freezer = try ChildProcess(
            "python3", ["\(CellUnderTest.repository)/Tests/Integration/chat/freeze.py", "\(try #require(victim.pid))", "rdk:broker"])
        try await eventually("its threads' stop") {
            if let exit = freezer.exit { throw CellFault("the freezer ended: \(exit) \(freezer.errors)") }
            return freezer.output.contains("stopped")
        }
        try await eventually("the event of its replacement", within: .seconds(120)) {
            try await cell.events().contains { $0.kind == "ServerLost" && $0.server == victim.name && $0.text.contains("reads nothing of partition") }
        }
        try await cell.waitForOwners(2)
        let report = try await chat.finish()
        #expect(report.good, "\(report) \(cell.diagnosis)")
        try await freezer.stop()
        try await cell.stop()
    }

    @Test("5 of 30 servers hang at once, which only leases tell: the brake repairs them one after another")
    func brake() async throws {
        let cell = try await cell(servers: 30, standbys: 6, partitions: 60, failover: "{maxSimultaneous: 5%, lease: 3s}")
        let board = try cell.board()
        let victims = Array(try await cell.servers("messaging").filter { $0.role == "owner" }.prefix(5))
        for victim in victims { kill(try #require(victim.pid), SIGSTOP) }
        // By the operator's own clock: this test may look late.
        let times = try await eventually("the words of their losses", within: .seconds(120)) { () -> [Int64]? in
            let events = try await board.latestEvents(500).map(\.event).filter { $0.kind == "ServerLost" }
            let times = victims.compactMap { victim in events.first { $0.server?.description == victim.name }?.time_ms }
            return times.count == victims.count ? times.sorted() : nil
        }
        // Two at once (5% of all 40 servers), then one for each lease of 3 s: the last comes three leases after the first.
        #expect(times[4] - times[0] > 5_000, "\(times)")
        try await eventually("an owner for every partition", within: .seconds(60)) {
            (try await board.assignment() ?? Assignment()).members.values.reduce(0) { $0 + $1.owns.count } == 60
        }
        try await cell.stop()
    }

    /// The data folder of its Redis as it is now: every write is on disk at once.
    private func copyOfData(_ cell: CellUnderTest) async throws -> TemporaryFolder {
        let folder = try TemporaryFolder("redis-before")
        try await copy("\(cell.redis.folder.path)/appendonlydir", to: folder.path)
        return folder
    }

    private func copy(_ from: String, to: String) async throws {
        let outcome = try await ChildProcess.run("cp", ["-a", from, to])
        try #require(outcome.exit == .code(0), "\(outcome.errors)")
    }
}
