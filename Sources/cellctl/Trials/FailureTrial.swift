import Blackboard
import Cell
import ChatClient
import FoundationEssentials
import Glibc
import Processes

/// One messaging server taken away under load, and how its clients fared.
struct FailureTrial: Sendable {
    enum Blow: Equatable, Sendable {
        /// `kill -9`.
        case kill
        /// SIGSTOP: it keeps its connections and answers nothing.
        case hang
        /// For `sh`, which finds the victim in SERVER, POD, CONTAINER and PID.
        case command(String)

        var name: String {
            switch self {
            case .kill: "kill"
            case .hang: "hang"
            case .command(let text): text
            }
        }
    }

    struct Outcome: Sendable {
        var server: ServerID
        var blow: Blow
        /// What the operator told of it, each with the time since the blow.
        var witnesses: [(kind: String, text: String, after: Duration)]
        var outages: Outages
    }

    let board: CellBlackboard
    let fleet: Fleet

    /// Strikes the owner with the most clients, and waits until all of them are served again.
    func run(_ blow: Blow, within limit: Duration = .seconds(30)) async throws -> Outcome {
        let victim = try await victim()
        let affected = await fleet.devices(on: victim.address)
        let seen = try await board.latestEvents(1).last?.id ?? "0-0"
        let (time_ms, time) = (try await board.time(), fleet.now)
        try strike(victim, blow)
        let outages = try await fleet.recovery(of: affected, since: time, within: limit)
        let events = try await board.events(after: seen, limit: 100).map(\.event)
        let witnesses = events.filter { $0.time_ms >= time_ms }.map { (kind: $0.kind, text: $0.text, after: Duration.milliseconds($0.time_ms - time_ms)) }
        return Outcome(server: victim.name, blow: blow, witnesses: witnesses, outages: outages)
    }

    private struct Victim {
        let server: CellStatus.ServerStatus
        /// Nil where it is no process of this machine that we may see.
        let process: ProcessIdentity?
        var name: ServerID { server.name }
        var address: String { server.address }
    }

    private func strike(_ victim: Victim, _ blow: Blow) throws {
        let signal: Int32
        switch blow {
        case .kill: signal = SIGKILL
        case .hang: signal = SIGSTOP
        case .command(let text):
            let names = ["SERVER": "\(victim.name)", "POD": victim.server.pod, "CONTAINER": victim.server.container, "PID": victim.process.map { "\($0.pid)" }]
            _ = try Spawn("/bin/sh", ["-c", text], environment: names.compactMapValues { $0 }, output: "/dev/stderr").start()
            return
        }
        guard let process = victim.process else {
            throw Failure(
                .failed, "\(victim.name) runs as no process of this machine",
                remedy: "Run this where its servers run, or say with --with how a server is taken away there")
        }
        process.signal(signal)
    }

    private func victim() async throws -> Victim {
        let owners = (try await board.status()?.servers ?? []).filter { $0.kind == .messaging && $0.role == "owner" && $0.state == .ready }
        var best: (clients: Int, server: CellStatus.ServerStatus)?
        for server in owners {
            let clients = await fleet.devices(on: server.address).count
            if clients > best?.clients ?? -1 { best = (clients, server) }
        }
        guard let best else {
            throw Failure(.failed, "no messaging server of cell \(board.cell) owns partitions and is ready", remedy: "See what it waits for: cellctl status")
        }
        return Victim(server: best.server, process: try Self.process(of: best.server))
    }

    /// Of this machine, by its arguments: what a server in a container calls its own id is another's here.
    private static func process(of server: CellStatus.ServerStatus) throws -> ProcessIdentity? {
        let pids = try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }
        for pid in pids {
            let line = ProcessIdentity.commandLine(of: pid)
            if line.first?.hasSuffix("cell-server") == true, line.contains(server.incarnation.description) { return ProcessIdentity(of: pid) }
        }
        return nil
    }
}

extension FailureTrial.Outcome {
    /// For people: `p50 41 ms, p99 120 ms, longest 133 ms`.
    var times: String {
        guard outages.returned > 0 else { return "none was served again" }
        return "p50 \(text(outages.times.percentile(0.5))), p99 \(text(outages.times.percentile(0.99))), longest \(text(outages.times.longest))"
    }
}

/// Milliseconds with one digit below ten; `-` for none.
func text(_ time: Duration?) -> String {
    guard let time else { return "-" }
    let micros = time.components.seconds * 1_000_000 + time.components.attoseconds / 1_000_000_000_000
    return micros < 10_000 ? "\(micros / 1_000).\(micros % 1_000 / 100) ms" : "\(micros / 1_000) ms"
}
