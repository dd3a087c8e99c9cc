import Blackboard
import Cell
import Operator
import Redis

/// Benches of the operator's own code on synthetic fleets: no cell is needed.
enum FleetBenches {
    static let sizes = [(servers: 2_000, partitions: 20_000), (servers: 5_000, partitions: 250_000)]

    /// Times of the planner, the median of several.
    static func plan(_ terminal: Terminal) -> BenchReport {
        var report = BenchReport("plan")
        for size in sizes {
            let name = "\(size.servers) × \(size.partitions)"
            terminal.progress(name)
            var fleet = SyntheticFleet(servers: size.servers, standbys: 20, partitions: size.partitions)
            report.add("\(name): from nothing", median(9) { fleet.plan() })
            fleet.settle()
            report.add("\(name): at rest", median(9) { fleet.plan() })
            var failed = fleet
            failed.kill(ServerID(.messaging, size.servers / 2))
            report.add("\(name): one failure", median(9) { failed.plan() })
            report.add("\(name): partitions moved by it beyond the dead server's", strays(fleet, failed, dead: ServerID(.messaging, size.servers / 2)))
            var grown = SyntheticFleet(servers: size.servers + 1, standbys: 20, partitions: size.partitions, like: fleet)
            grown.add(size.servers + 21)
            report.add("\(name): one new server", median(9) { grown.plan() })
            report.add("\(name): partitions that move to it", opened(grown))
            report.add("\(name): looking at loads, each 5 s", weighing(fleet))
        }
        terminal.endProgress()
        return report
    }

    private static func median(_ rounds: Int, _ work: () -> Plan) -> Duration {
        var times: [Duration] = []
        for _ in 0..<rounds {
            let began = ContinuousClock.now
            let plan = work()
            times.append(ContinuousClock.now - began)
            // Nobody may leave the plan out.
            precondition(plan.steps.count < .max)
        }
        return times.sorted()[rounds / 2]
    }

    /// What it takes to see who bears too much, where everybody tells loads and nobody does.
    private static func weighing(_ fleet: SyntheticFleet) -> Duration {
        var fleet = fleet
        fleet.tellLoads()
        var times: [Duration] = []
        for round in 0..<9 {
            let began = ContinuousClock.now
            fleet.weigh(round)
            times.append(ContinuousClock.now - began)
        }
        return times.sorted()[4]
    }

    /// What changes owner without having been the dead server's.
    private static func strays(_ before: SyntheticFleet, _ after: SyntheticFleet, dead: ServerID) -> Int {
        guard let members = after.plan().publication?.members else { return -1 }
        let lost = before.observed.assignment.members[dead]?.owns ?? PartitionSet()
        return members.reduce(0) { count, entry in
            let had = before.observed.assignment.members[entry.key]?.owns ?? PartitionSet()
            return entry.value.owns == had ? count : count + entry.value.owns.subtracting(had).subtracting(lost).count
        }
    }

    /// The new server is made an owner in one pass, and moves to it begin in the same.
    private static func opened(_ fleet: SyntheticFleet) -> Int { fleet.plan().publication?.members.values.reduce(0) { $0 + $1.opens.count } ?? 0 }

    /// A failover among 2,000 servers through a real Redis: one script, and what each reader gets.
    static func publish(_ redis: RedisClient, _ terminal: Terminal) async throws -> BenchReport {
        var report = BenchReport("publish")
        guard let name = CellName("bench-\(UInt32.random(in: 0 ... .max))") else { return report }
        let board = CellBlackboard(name, on: redis)
        let keys = RedisKeys(name)
        // Never in the set of cells, so no operator takes it for one.
        let all = [keys.assignment, keys.leader, keys.settings, keys.status, keys.events]
        do {
            try await publish(board, keys, redis, into: &report, terminal)
        } catch {
            for key in all { _ = try? await redis.command("DEL", key) }
            throw error
        }
        for key in all { _ = try await redis.command("DEL", key) }
        return report
    }

    private static func publish(_ board: CellBlackboard, _ keys: RedisKeys, _ redis: RedisClient, into report: inout BenchReport, _ terminal: Terminal)
        async throws
    {
        var fleet = SyntheticFleet(servers: 2_000, standbys: 60, partitions: 20_000)
        fleet.settle()
        guard case .leads(let election, _) = try await board.campaign(as: "bench", token: "bench", lease: .seconds(600), atLeast: .none) else {
            throw Failure(.failed, "somebody leads \(board.cell)", remedy: "Run it again")
        }
        var present = fleet.observed.assignment
        present.term = election.term
        let began = ContinuousClock.now
        try await board.rewrite(present, as: election)
        report.add("the whole assignment of 2,000 servers, written", ContinuousClock.now - began)
        let listener = try BlackboardListener(to: [.assignment], of: board)
        defer { listener.close() }
        var times: [Duration] = []
        let before = try await RedisTraffic(redis)
        let rounds = 50
        for round in 1...rounds {
            terminal.progress("failover \(round) of \(rounds)")
            fleet.kill(ServerID(.messaging, round * 37))
            guard let publication = fleet.plan().publication else {
                throw Failure(.failed, "the planner publishes no failover", remedy: "Report this as a defect")
            }
            fleet.publish(publication)
            var next = fleet.observed.assignment
            next.term = election.term
            next.epoch = present.epoch.next
            next.log = present.log
            let began = ContinuousClock.now
            try await board.publish(from: present, to: next, as: election)
            times.append(ContinuousClock.now - began)
            present = next
        }
        terminal.endProgress()
        let after = try await RedisTraffic(redis)
        times.sort()
        report.add("one failover published, p50", times[rounds / 2])
        report.add("one failover published, longest", times[rounds - 1])
        report.add("script calls for each", Double(after.scripts - before.scripts) / Double(rounds))
        report.add("into Redis for each", Double(after.in_bytes - before.in_bytes) / Double(rounds), "bytes")
        report.add("out of Redis for each, with one reader", Double(after.out_bytes - before.out_bytes) / Double(rounds), "bytes")
    }
}

/// What Redis counts of itself.
private struct RedisTraffic {
    var in_bytes = 0, out_bytes = 0, scripts = 0

    init(_ redis: RedisClient) async throws {
        let stats = try await redis.command("INFO", "stats").string ?? ""
        let commands = try await redis.command("INFO", "commandstats").string ?? ""
        for line in (stats + "\n" + commands).split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            switch parts[0] {
            case "total_net_input_bytes": in_bytes = Int(parts[1]) ?? 0
            case "total_net_output_bytes": out_bytes = Int(parts[1]) ?? 0
            case "cmdstat_evalsha", "cmdstat_eval": scripts += parts[1].split(separator: ",").first.flatMap { Int($0.dropFirst("calls=".count)) } ?? 0
            default: break
            }
        }
    }
}
