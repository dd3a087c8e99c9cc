import Blackboard
import Cell

extension DevCell {
    /// Tells of each server that comes up, until the cell is ready.
    ///
    /// - Returns: the status of then.
    /// - Throws: with what is missing when the cell is not ready within `limit`, or its operator has ended.
    func waitUntilReady(within limit: Duration = .seconds(60), _ say: (String) -> Void) async throws -> CellStatus {
        let began = ContinuousClock.now
        var told: Set<String> = []
        while ContinuousClock.now - began < limit {
            let status = try? await board.status()
            for server in status?.servers ?? [] where server.state == .ready && told.insert("\(server.name)/\(server.incarnation)").inserted {
                let role = server.role.isEmpty ? "ready" : server.role
                say("\(pad(server.name.description, 16)) \(pad(role, 9)) \(pad(server.address, 22)) \(seconds(since: began))")
            }
            if let status, status.condition(.ready)?.status == .yes { return status }
            guard record.operator.isAlive else {
                throw Failure(.failed, "the operator has ended", remedy: "Look into \(folder.logs)/operator.log")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw Failure(
            .failed, "the cell is not ready after \(limit.components.seconds) s: \(await whatIsMissing())",
            remedy: "Look into \(folder.logs) and the servers' logs in \(folder.path)")
    }

    private func whatIsMissing() async -> String {
        guard let status = try? await board.status() else { return "nothing is reported" }
        let waiting = status.servers.filter { $0.state != .ready }.map { "\($0.name) is \($0.state.rawValue) \($0.waitsFor)" }
        return ([status.condition(.ready)?.message ?? "no condition yet"] + waiting).joined(separator: "; ")
    }

    private func seconds(since began: ContinuousClock.Instant) -> String {
        let tenths = (ContinuousClock.now - began).milliseconds / 100
        return "\(tenths / 10).\(tenths % 10) s"
    }
}

/// `text`, with spaces up to `width`.
func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
