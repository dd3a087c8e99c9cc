import Blackboard
import Cell
import Synchronization

/// Writes events and status to Redis, beside the decisions and never before them. What Redis does not take now is tried again.
final class Chronicle: Sendable {
    private struct State {
        var events: [CellEvent] = []
        var status: CellStatus?
        var written: CellStatus?
        var election: Election?
    }

    private static let most = 2_000
    private let board: CellBlackboard
    private let state = Mutex(State())
    private let bell = Bell()

    init(_ board: CellBlackboard) { self.board = board }

    /// Nobody's, while nil: what does not lead writes nothing.
    func lead(_ election: Election?) {
        state.withLock {
            $0.election = election
            $0.written = nil
            if election == nil { $0.status = nil }
        }
        bell.ring()
    }

    func add(_ events: [CellEvent]) {
        guard !events.isEmpty else { return }
        state.withLock { $0.events = ($0.events + events).suffix(Self.most) }
        bell.ring()
    }

    func tell(_ status: CellStatus) {
        let isNew = state.withLock { state -> Bool in
            guard state.status.map({ !$0.tellsTheSame(as: status) }) ?? true else { return false }
            state.status = status
            return true
        }
        if isNew { bell.ring() }
    }

    func run() async {
        while !Task.isCancelled {
            await bell.wait(atMost: .seconds(5))
            guard let work = take() else { continue }
            do {
                try await board.add(work.events, as: work.election)
                if let status = work.status { try await board.write(status, as: work.election) }
            } catch let error as BlackboardError where error.redis != nil {
                giveBack(work)
                try? await Task.sleep(for: .milliseconds(300))
                bell.ring()
            } catch {}
            // A storm of changes is told in steps that people can follow.
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    private struct Work {
        var events: [CellEvent]
        var status: CellStatus?
        var election: Election
    }

    private func take() -> Work? {
        state.withLock { state in
            guard let election = state.election else { return nil }
            let status = state.status == state.written ? nil : state.status
            guard !state.events.isEmpty || status != nil else { return nil }
            defer {
                state.events = []
                state.written = state.status
            }
            return Work(events: state.events, status: status, election: election)
        }
    }

    private func giveBack(_ work: Work) {
        state.withLock {
            $0.events = (work.events + $0.events).suffix(Self.most)
            $0.written = nil
        }
    }
}

extension CellStatus {
    /// But for the time at which it is told.
    func tellsTheSame(as other: CellStatus) -> Bool {
        var copy = other
        copy.updated_ms = updated_ms
        return copy == self
    }
}
