import Cell
import ChatClient
import Processes

extension CellBench {
    /// A messaging server is killed or hangs, `rounds` times; the times of all its clients together.
    func failover(_ blow: FailureTrial.Blow, _ size: Fleet.Size, rounds: Int) async throws -> BenchReport {
        var report = BenchReport("failover")
        let fleet = try await fleet(size)
        await fleet.send(for: .seconds(3_600))
        var (times, affected, noticed) = (Latencies(), 0, Latencies())
        for round in 1...rounds {
            terminal.progress("round \(round) of \(rounds)")
            // Longer than a stream must last before its client forgets that it lost another: each loss is a first one, without a client's own pause.
            try await Task.sleep(for: .seconds(6))
            let outcome = try await FailureTrial(board: board, fleet: fleet).run(blow)
            guard outcome.outages.isOver else {
                throw Failure(.failed, "\(outcome.outages.affected - outcome.outages.returned) clients were not served again", remedy: "See cellctl get events")
            }
            affected += outcome.outages.affected
            times.add(outcome.outages.times)
            if let first = outcome.witnesses.first { noticed.add(first.after) }
            try await untilReady()
        }
        terminal.endProgress()
        report.add("clients", size.users)
        report.add("rounds", rounds)
        report.add("clients on the lost servers", affected)
        report.add("first event of the operator, median", noticed.percentile(0.5))
        for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] { report.add("\(blow.name) to served again, \(name)", times.percentile(share)) }
        report.add("\(blow.name) to served again, longest", times.longest)
        try await judge(fleet, into: &report)
        await fleet.stop()
        return report
    }

    private func untilReady() async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if try await board.status()?.condition(.ready)?.status == .yes { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure(.timedOut, "the cell is not ready again after 60 s", remedy: "See what it waits for: cellctl status")
    }

    /// Quiet streams: what each costs the messaging servers in memory of their own.
    func connections(_ count: Int) async throws -> BenchReport {
        var report = BenchReport("connections")
        let pids = try await servers(.messaging).compactMap(\.pid)
        guard !pids.isEmpty else { throw Failure(.failed, "the messaging servers are no processes of this machine", remedy: "Run this where they run") }
        let before = try pids.map { try ProcessUse(of: $0) }
        var size = Fleet.Size()
        size.users = count
        let began = ContinuousClock.now
        let fleet = try await fleet(size)
        let opened = ContinuousClock.now - began
        // Servers give what handshakes have freed back to the system once they find a quiet second.
        try await Task.sleep(for: .seconds(4))
        let after = try pids.map { try ProcessUse(of: $0) }
        let grown = zip(after, before).reduce(0) { $0 + $1.0.own_KiB - $1.1.own_KiB }
        let cpu = zip(after, before).reduce(Duration.zero) { $0 + $1.0.cpu - $1.1.cpu }
        report.add("streams", count)
        report.add("servers", pids.count)
        report.add("opened within", opened)
        report.add("own memory of the servers, grown by", grown, "KiB")
        report.add("own memory for each idle stream", Double(grown) / Double(count), "KiB")
        report.add("server CPU for each stream opened", Double(cpu.milliseconds) * 1_000 / Double(count), "µs")
        await fleet.stop()
        return report
    }

    /// Messages end to end: sent, in the log, delivered.
    func messages(_ size: Fleet.Size, for time: Duration) async throws -> BenchReport {
        var report = BenchReport("messages")
        let fleet = try await fleet(size)
        let pids = try await servers(.messaging).compactMap(\.pid)
        let before = try pids.map { try ProcessUse(of: $0) }
        await fleet.send(for: time)
        let end = ContinuousClock.now + time
        while ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(500))
            terminal.progress("\(await fleet.onLoop { $0.ledger.acknowledged }) acknowledged")
        }
        terminal.endProgress()
        // What was due last waits longest: with it the times are those of all messages, and how long it takes shows whether the cell kept up.
        await fleet.stopSending()
        let rest = try await fleet.quiescence(within: .seconds(30))
        let cpu = zip(try pids.map { try ProcessUse(of: $0) }, before).reduce(Duration.zero) { $0 + $1.0.cpu - $1.1.cpu }
        let (deliveries, acknowledgements) = await fleet.onLoop { ($0.deliveries, $0.acknowledgements) }
        report.add("users", size.users)
        report.add("asked rate", size.rate, "1/s")
        report.add("acknowledged rate", Double(acknowledgements.count) * 1_000 / Double((time + rest).milliseconds), "1/s")
        report.add("last send to last delivery", rest)
        for (name, times) in [("delivered", deliveries), ("acknowledged", acknowledgements)] {
            for (label, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] { report.add("due to \(name), \(label)", times.percentile(share)) }
        }
        if acknowledgements.count > 0 {
            report.add("CPU of the messaging servers for each message", Double(cpu.milliseconds) * 1_000 / Double(acknowledgements.count), "µs")
        }
        try await judge(fleet, into: &report)
        await fleet.stop()
        return report
    }
}
