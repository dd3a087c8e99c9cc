import Blackboard
import Cell

/// Why a cell is not what generation `wanted` of its spec asks for yet; nil when it is. Pure.
///
/// A condition counts only with the generation that it was judged by, and a server only with the one that it has applied: what was ready
/// under the spec before says nothing (kubernetes/kubectl#962).
func obstacle(to wanted: Int64, in snapshot: Snapshot) -> String? {
    guard let status = snapshot.status, status.observedGeneration >= wanted else {
        let leader = snapshot.leader == nil ? "no operator serves the cell: start cell-operator" : "the operator has not looked at generation \(wanted) yet"
        return leader
    }
    guard let ready = status.condition(.ready), ready.observedGeneration >= wanted else { return "nothing is known about generation \(wanted) yet" }
    guard ready.status == .yes else { return ready.message.isEmpty ? ready.reason : ready.message }
    for server in status.servers where server.state == .ready {
        guard let report = snapshot.servers.reports[server.name], report.incarnation == server.incarnation else { continue }
        if report.generation < wanted { return "\(server.name) has applied generation \(report.generation) of \(wanted)" }
    }
    return nil
}

extension Session {
    /// Waits until each cell is what its generation asks for.
    ///
    /// - Throws: `timedOut` with what it waited for last.
    func waitUntilReady(_ cells: [(name: CellName, generation: Int64)], within limit: Duration, _ terminal: Terminal) async throws {
        let deadline = ContinuousClock.now + limit
        for (name, generation) in cells {
            try await wait(for: name, "to become ready", until: deadline, limit, terminal, topics: [.status, .spec, .servers]) {
                let snapshot = try await snapshot(name)
                guard let spec = snapshot.spec, !spec.isDeleted else {
                    throw Failure(.failed, "cell \(name) was deleted meanwhile", remedy: "Apply it again if that was not meant")
                }
                return obstacle(to: generation, in: snapshot)
            }
            terminal.say("cell/\(name) ready")
        }
    }

    func waitUntilGone(_ names: [CellName], within limit: Duration, _ terminal: Terminal) async throws {
        let deadline = ContinuousClock.now + limit
        for name in names {
            try await wait(for: name, "to go", until: deadline, limit, terminal, topics: [.status, .spec]) {
                let snapshot = try await snapshot(name)
                guard let spec = snapshot.spec, spec.isDeleted else { return nil }
                guard snapshot.leader != nil else { return "no operator serves the cell: start cell-operator" }
                let left = snapshot.status?.servers.filter { $0.state != .dead }.map(\.name.description) ?? []
                let shown = left.prefix(8).joined(separator: ", ") + (left.count > 8 ? " and \(left.count - 8) others" : "")
                return left.isEmpty ? "its operator removes it" : "\(shown) still there"
            }
        }
    }

    /// Asks `obstacle` after each change until there is none. A Redis that is away is one.
    func wait(
        for cell: CellName, _ what: String, until deadline: ContinuousClock.Instant, _ limit: Duration, _ terminal: Terminal,
        topics: Set<BlackboardListener.Topic>,
        obstacle: @Sendable () async throws -> String?
    ) async throws {
        var told = ""
        let isDone = try await following(board(cell), topics, until: deadline) {
            var now: String?
            do { now = try await obstacle() } catch let error as BlackboardError where error.redis != nil { now = "Redis is away" }
            guard let now else { return true }
            if now != told { terminal.progress("cell/\(cell): \(now)") }
            told = now
            return false
        }
        terminal.endProgress()
        guard !isDone else { return }
        throw Failure(
            .timedOut, "cell \(cell) took longer than \(Quantity.text(limit)) \(what): \(told)",
            remedy: "cellctl status --cell \(cell) tells more; it goes on meanwhile")
    }
}
