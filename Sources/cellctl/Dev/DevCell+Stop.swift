import Blackboard
import Cell
import Glibc
import Processes

extension DevCell {
    /// Takes everything down: the operator first, so that it starts nothing again, then the servers, messaging before what it needs, then Redis. The cell's
    /// data stay in the folder.
    func stop(_ say: (String) -> Void) async {
        let servers = await runningServers()
        await end([record.operator], within: .seconds(5))
        for kind in [ServerKind.connect, .messaging, .history, .materialize, .backplane] {
            let processes = servers.filter { $0.kind == kind }.map(\.process)
            if processes.isEmpty { continue }
            say("stopping \(processes.count) \(kind.rawValue)")
            await end(processes, within: .seconds(5))
        }
        await end([record.redis], within: .seconds(5))
        folder.forgetRecord()
    }

    /// The cell's servers as their operator reported them, each only if its process is still the one that was reported.
    private func runningServers() async -> [(kind: ServerKind, process: ProcessIdentity)] {
        guard let status = try? await board.status() else { return [] }
        return status.servers.compactMap { server in
            guard let pid = server.pid, let process = ProcessIdentity(of: pid),
                ProcessIdentity.commandLine(of: pid).contains(server.incarnation.description)
            else { return nil }
            return (server.kind, process)
        }
    }

    private func end(_ processes: [ProcessIdentity], within grace: Duration) async {
        for process in processes { process.signal(SIGTERM) }
        let deadline = ContinuousClock.now + grace
        while processes.contains(where: \.isAlive), ContinuousClock.now < deadline {
            reapChildren()
            try? await Task.sleep(for: .milliseconds(10))
        }
        for process in processes { process.signalGroup(SIGKILL) }
    }

    /// Redis and the operator may be our children.
    private func reapChildren() {
        while waitpid(-1, nil, WNOHANG) > 0 {}
    }
}
