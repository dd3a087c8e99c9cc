import Blackboard

/// Calls `body` now, after each change of `topics`, and every second in case a change was not told, until it returns true.
///
/// - Returns: false when `deadline` passed first.
func following(
    _ board: CellBlackboard, _ topics: Set<BlackboardListener.Topic>, until deadline: ContinuousClock.Instant? = nil,
    isolation: isolated (any Actor)? = #isolation,
    _ body: () async throws -> Bool
) async throws -> Bool {
    let listener = try BlackboardListener(to: topics, of: board)
    defer { listener.close() }
    let (turns, turn) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    return try await withThrowingTaskGroup(of: Void.self) { group in
        defer { group.cancelAll() }
        group.addTask {
            for await _ in listener.changes { turn.yield() }
        }
        group.addTask {
            while true {
                turn.yield()
                try await Task.sleep(for: .seconds(1))
            }
        }
        for await _ in turns {
            if try await body() { return true }
            if let deadline, ContinuousClock.now >= deadline { return false }
        }
        return false
    }
}
