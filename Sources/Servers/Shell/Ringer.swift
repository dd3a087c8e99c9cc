import Synchronization

/// One task waits here until a time, or until somebody rings.
final class Ringer: Sendable {
    private struct State {
        var hasRung = false
        var waiter: CheckedContinuation<Void, Never>?
        var round = 0
    }

    private let state = Mutex(State())
    private let thread: TaskThread

    init(on thread: TaskThread) { self.thread = thread }

    func ring() {
        let waiter = state.withLock { state in
            state.hasRung = state.waiter == nil
            return state.waiter.take()
        }
        waiter?.resume()
    }

    func wait(until time: ContinuousClock.Instant) async {
        await withCheckedContinuation { waiter in
            let round: Int? = state.withLock { state in
                guard !state.hasRung else {
                    state.hasRung = false
                    return nil
                }
                state.waiter = waiter
                state.round += 1
                return state.round
            }
            guard let round else { return waiter.resume() }
            thread.at(time) { [self] in timeIsUp(round) }
        }
    }

    /// A timer of an earlier wait wakes nobody.
    private func timeIsUp(_ round: Int) {
        state.withLock { $0.round == round ? $0.waiter.take() : nil }?.resume()
    }
}
