import Cell
import ChatClient

extension CellBench {
    /// The messaging server with the most clients is drained under load: what each of its clients notices.
    func drain(_ size: Fleet.Size, rounds: Int) async throws -> BenchReport {
        var report = BenchReport("drain")
        let fleet = try await fleet(size)
        await fleet.send(for: .seconds(3_600))
        var (affected, whole) = (0, Latencies())
        for round in 1...rounds {
            terminal.progress("round \(round) of \(rounds)")
            try await Task.sleep(for: .seconds(2))
            let owners = try await servers(.messaging).filter { $0.role == Member.Role.owner.rawValue }
            guard owners.count > 1 else {
                throw Failure(
                    .failed, "cell \(board.cell) has \(owners.count) messaging servers that own partitions", remedy: "Ask for two: cellctl scale messaging=2")
            }
            var best: (server: CellStatus.ServerStatus, clients: Int) = (owners[0], -1)
            for owner in owners {
                let clients = await fleet.devices(on: owner.address).count
                if clients > best.clients { best = (owner, clients) }
            }
            affected += best.clients
            let began = ContinuousClock.now
            try await drain(best.server.name, until: began + .seconds(120))
            whole.add(ContinuousClock.now - began)
            try await uncordon(best.server.name)
        }
        terminal.endProgress()
        let gaps = await fleet.onLoop { $0.gaps }
        report.add("clients", size.users)
        report.add("drains", rounds)
        report.add("clients on the drained servers", affected)
        report.add("clients moved", gaps.count)
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] { report.add("Moved to Opened at the new server, \(name)", gaps.percentile(share)) }
        report.add("Moved to Opened at the new server, longest", gaps.longest)
        report.add("a drain as a whole, longest", whole.longest)
        try await judge(fleet, into: &report)
        await fleet.stop()
        return report
    }

    private func drain(_ id: ServerID, until deadline: ContinuousClock.Instant) async throws {
        try await wish { $0.drains = Set($0.drains + [id]).sorted() }
        while ContinuousClock.now < deadline {
            let member = try await board.assignment()?.members[id]
            if member.map({ $0.owns.isEmpty && $0.leaves.isEmpty }) ?? true { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw Failure(.timedOut, "\(id) is not drained after 120 s", remedy: "See what it waits for: cellctl status")
    }

    private func uncordon(_ id: ServerID) async throws {
        try await wish { $0.drains.removeAll { $0 == id } }
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if try await board.status()?.condition(.ready)?.status == .yes { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure(.timedOut, "the cell is not ready again after 60 s", remedy: "See what it waits for: cellctl status")
    }

    private func wish(_ change: (inout Wishes) -> Void) async throws {
        for _ in 1...5 {
            let before = try await board.wishes()
            var wishes = before
            change(&wishes)
            if try await board.put(wishes, replacing: before.revision) != nil { return }
        }
        throw Failure(.failed, "what is asked of cell \(board.cell) keeps changing", remedy: "Find out who else asks, and run this again")
    }
}
