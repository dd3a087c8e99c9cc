import Blackboard
import Cell

/// A cell in one screen. Pure.
struct Overview {
    let snapshot: Snapshot
    let events: [CellEvent]
    let now_ms: Int64

    init(_ snapshot: Snapshot, events: [CellEvent], now_ms: Int64) {
        self.snapshot = snapshot
        self.events = events
        self.now_ms = now_ms
    }

    func lines(_ terminal: Terminal) -> [String] {
        let ready = Readiness(snapshot)
        let colour: Terminal.Colour = ready.word == "True" ? .green : ready.word == "False" ? .red : .yellow
        let word = terminal.coloured(ready.word == "True" ? "ready" : "not ready", colour)
        var lines = ["cell/\(snapshot.cell) is \(word)" + (ready.word == "True" ? "" : ": \(ready.message)"), ""]
        lines += facts.map { "  \($0):" + String(repeating: " ", count: 12 - $0.count) + $1 }
        lines += section("Conditions", conditions) + section("Servers", servers) + section("Not as it should be", troubles) + section("Last events", lastEvents)
        return lines
    }

    private var facts: [(String, String)] {
        let status = snapshot.status
        let generation = snapshot.spec.map { "\($0.generation), of which the operator has seen \(status?.observedGeneration ?? 0)" } ?? "none"
        let leader = snapshot.leader.map { "\($0.name), term \($0.term)" } ?? "none: start cell-operator"
        return [
            ("Generation", generation), ("Operator", leader), ("Epoch", "\(snapshot.assignment.epoch)"),
            ("Log", snapshot.assignment.log?.description ?? "none yet"),
        ]
    }

    private var conditions: [[String]] {
        (snapshot.status?.conditions ?? []).map {
            [$0.type.rawValue, $0.status.rawValue, $0.reason, age(since: $0.lastTransition_ms, now_ms: now_ms), $0.message]
        }
    }

    private var servers: [[String]] {
        let all = ServerItems(snapshot).all
        return ServerKind.allCases.compactMap { kind in
            let these = all.filter { $0.kind == kind && $0.state != .dead }
            guard !these.isEmpty else { return nil }
            let roles = Dictionary(grouping: these.filter { !$0.role.isEmpty }, by: \.role).sorted { $0.key < $1.key }.map { "\($1.count) \($0)" }
            return [
                kind.rawValue, "\(these.filter { $0.state == .ready }.count) of \(these.count) ready", roles.joined(separator: ", "),
                "\(these.reduce(0) { $0 + $1.connections }) connections",
            ]
        }
    }

    private var troubles: [[String]] {
        ServerItems(snapshot).all.filter { $0.state != .ready || !$0.waitsFor.isEmpty }.map { [$0.name.description, $0.state.rawValue, $0.waitsFor] }
            + snapshot.servers.malformed.sorted { $0.key < $1.key }.map { [$0, "malformed", $1] }
    }

    private var lastEvents: [[String]] {
        events.map { [timestamp($0.time_ms), $0.kind, $0.text] }
    }

    private func section(_ title: String, _ rows: [[String]]) -> [String] {
        guard let first = rows.first else { return [] }
        return ["", "\(title):"] + Table(columns: first.map { _ in "" }, rows: rows).lines(header: false).map { "  " + $0 }
    }
}
