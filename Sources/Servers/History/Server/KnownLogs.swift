import Cell
import History
import Synchronization

/// The cell's logs as this server knows them. Kept when nobody can be asked: the data plane does not wait for the control plane.
final class KnownLogs: Sendable {
    private struct State {
        var chain = LogChain()
        var asked: ContinuousClock.Instant?
    }

    private let state = Mutex(State())
    private let read: @Sendable () async throws -> [LogID]

    /// - Parameter read: every log of the cell, oldest first; may fail.
    init(read: @escaping @Sendable () async throws -> [LogID]) { self.read = read }

    var chain: LogChain { state.withLock { $0.chain } }

    /// The assignment names the log of this moment.
    func note(_ log: LogID?) {
        guard let log else { return }
        state.withLock { state in
            if !state.chain.contains(log) { state.chain = LogChain((state.chain.logs + [log]).sorted()) }
        }
    }

    /// Reads the chain anew.
    func refresh() async throws {
        let logs = try await read()
        state.withLock { state in
            // A chain once known stays: the blackboard may have come back empty.
            state.chain = LogChain(Set(state.chain.logs).union(logs).sorted())
        }
    }

    /// The chain; read anew first when `log` (as a caller wrote it) is not in it, once a second at most.
    func chain(knowing log: String) async -> LogChain {
        let now = ContinuousClock.now
        let ask = state.withLock { state in
            guard let id = LogID(log), !state.chain.contains(id), state.asked.map({ now - $0 > .seconds(1) }) ?? true else { return false }
            state.asked = now
            return true
        }
        if ask { try? await refresh() }
        return chain
    }
}
