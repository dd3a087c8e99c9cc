import Blackboard
import Cell
import ChatClient
import YAML

/// A cell's life in a minute, without a keyboard: people chat while a server is killed, another hangs, and the fleet grows and shrinks.
struct WholeTour: Sendable {
    let cell: DevCell
    let fleet: Fleet
    let size: Fleet.Size
    let terminal: Terminal

    /// The cell.yaml of the tour.
    static let spec = DevCell.defaultSpec.replacing("name: dev", with: "name: tour").replacing("port: 8080", with: "port: PORT")

    struct Summary: Sendable {
        var verdict: Ledger.Verdict
        var history: HistoryComparison
        var deliveries: Latencies
        var acknowledgements: Latencies
        var endings: [String]

        var isClean: Bool { verdict.isClean && history.different == 0 && endings.isEmpty && verdict.acknowledged > 0 }
    }

    /// - Returns: true when nothing was lost, doubled or reordered.
    func run() async throws -> Bool {
        heading("\(size.users) people connect")
        try await fleet.open { open in
            if open % 250 == 0, open > 0 { terminal.progress("\(open) connected") }
        }
        terminal.endProgress()
        heading("They send \(size.rate) messages a second")
        await fleet.send(for: .seconds(600))
        try await Task.sleep(for: .seconds(3))
        await tellLatencies()

        let trial = FailureTrial(board: cell.board, fleet: fleet)
        try await strike(.kill, "kill -9", trial)
        try await untilReady("a standby is ready again")
        try await strike(.hang, "SIGSTOP: it hangs", trial)
        try await untilReady("a standby is ready again")
        try await scale(to: 4)
        try await scale(to: 2)

        let summary = try await finish()
        tell(summary)
        return summary.isClean
    }

    // MARK: The stations

    private func strike(_ blow: FailureTrial.Blow, _ how: String, _ trial: FailureTrial) async throws {
        heading("A messaging server goes down (\(how))")
        let outcome = try await trial.run(blow)
        terminal.say("  \(outcome.server) is gone, with \(outcome.outages.affected) clients")
        for witness in outcome.witnesses { terminal.say("  \(pad(text(witness.after), 8)) \(pad(witness.kind, 16)) \(witness.text)") }
        terminal.say("  served again: \(outcome.outages.returned) of \(outcome.outages.affected); \(outcome.times)")
    }

    private func scale(to servers: Int) async throws {
        heading("Scale to \(servers) messaging servers")
        let (seen, before) = (try await cell.board.latestEvents(1).last?.id ?? "0-0", await fleet.onLoop { $0.moves })
        try await Self.change(cell.board) { $0.messaging.servers = servers }
        try await untilReady("the fleet is as asked", owners: servers)
        let moved = try await cell.board.events(after: seen, limit: 1_000).filter { $0.event.kind.contains("Move") }
        for event in moved.prefix(6) { terminal.say("  \(pad(event.event.kind, 16)) \(event.event.text)") }
        if moved.count > 6 { terminal.say("  … and \(moved.count - 6) more (cellctl get events)") }
        terminal.say("  \(await fleet.onLoop { $0.moves } - before) clients were told Moved, and followed")
    }

    /// Waits until the cell is ready as its present spec asks, and the partitions are with `owners` servers.
    private func untilReady(_ what: String, owners: Int? = nil) async throws {
        let began = fleet.now
        while fleet.now - began < .seconds(60) {
            if let status = try await cell.board.status(), let ready = status.condition(.ready), ready.status == .yes,
                ready.observedGeneration == (try await cell.board.spec()?.generation),
                owners == nil || status.servers.filter({ $0.role == "owner" && !$0.partitions.isEmpty }).count == owners,
                !status.servers.contains(where: { $0.role == "draining" })
            {
                terminal.say("  after \(text(fleet.now - began)): \(what)")
                return
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        let status = try await cell.board.status()
        throw Failure(
            .timedOut, "the cell is not ready after 60 s: \(status?.condition(.ready)?.message ?? "no status")", remedy: "Look into \(cell.folder.logs)")
    }

    static func change(_ board: CellBlackboard, _ edit: (inout CellSpec) -> Void) async throws {
        guard let stored = try await board.spec() else { throw Failure(.failed, "cell \(board.cell) is gone", remedy: "Apply it again") }
        var spec = try CellSpec.read(json: stored.json, source: "the spec in Redis")
        edit(&spec)
        _ = try await board.putSpec(spec.canonicalJSON, replacing: stored.generation)
    }

    private func finish() async throws -> Summary {
        heading("They stop; what came of it")
        let history = try await cell.historyAddress()
        let verdict = try await fleet.settle(history: history, within: .seconds(30))
        let comparison = try await fleet.compareHistory(within: .seconds(30))
        let (deliveries, acknowledgements, endings) = await fleet.onLoop { ($0.deliveries, $0.acknowledgements, $0.endings) }
        return Summary(verdict: verdict, history: comparison, deliveries: deliveries, acknowledgements: acknowledgements, endings: endings)
    }

    // MARK: Telling

    private func heading(_ text: String) { terminal.say(terminal.coloured("\n\(text)", .bold)) }

    private func tellLatencies() async {
        let (deliveries, acknowledgements) = await fleet.onLoop { ($0.deliveries, $0.acknowledgements) }
        for (name, times) in [("delivered", deliveries), ("accepted", acknowledgements)] {
            terminal.say("  \(name) within p50 \(text(times.percentile(0.5))), p99 \(text(times.percentile(0.99)))")
        }
    }

    private func tell(_ summary: Summary) {
        let verdict = summary.verdict
        for (name, value) in [
            ("sent", verdict.sent), ("acknowledged", verdict.acknowledged), ("deliveries", verdict.deliveries), ("lost", verdict.lost),
            ("doubled", verdict.doubled), ("reordered", verdict.reordered), ("users whose history differs", summary.history.different),
        ] { terminal.say("  \(pad(name, 28)) \(value)") }
        for example in verdict.examples + summary.endings.prefix(5) { terminal.say("  \(terminal.coloured(example, .red))") }
        let word = summary.isClean ? terminal.coloured("Nothing was lost, doubled or reordered.", .green) : terminal.coloured("The promises were broken.", .red)
        terminal.say("\n\(word)")
    }
}

extension DevCell {
    /// HOST:PORT of a ready history server.
    func historyAddress() async throws -> String {
        guard let server = try await board.status()?.servers.first(where: { $0.kind == .history && $0.state == .ready }) else {
            throw Failure(.failed, "cell \(board.cell) has no ready history server", remedy: "Ask for one: spec.history.servers")
        }
        return server.address
    }

    /// `http://HOST:PORT` of a ready connect server.
    func connectURL() async throws -> String {
        guard let server = try await board.status()?.servers.first(where: { $0.kind == .connect && $0.state == .ready }) else {
            throw Failure(.failed, "cell \(board.cell) has no ready connect server", remedy: "Ask for one: spec.connect.servers")
        }
        return "http://\(server.address)"
    }
}
