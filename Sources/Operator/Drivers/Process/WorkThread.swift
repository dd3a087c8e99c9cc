import Cell
import Glibc
import Synchronization
import Threads

/// One thread for calls that block, one after the other, and for what has to be done now and then.
final class WorkThread: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())
    private let bell: Doorbell

    /// - Parameter tick: called on the thread about every `period`.
    /// - Throws: when the system has no thread or descriptor left.
    init(_ name: String, every period: Duration? = nil, tick: @escaping @Sendable () -> Void = {}) throws(ThreadError) {
        bell = try Doorbell()
        let timeout = period.map { Int32(clamping: $0.milliseconds) } ?? -1
        try OwnThread.start(name) { [weak self, bell] in
            var waiting = pollfd(fd: bell.descriptor, events: Int16(POLLIN), revents: 0)
            while true {
                poll(&waiting, 1, timeout)
                bell.quiet()
                guard let jobs = self?.take() else { return }
                for job in jobs { job() }
                tick()
            }
        }
    }

    deinit { bell.ring() }

    func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Value, any Error>) in
            post { continuation.resume(with: Result(catching: body)) }
        }
    }

    /// Runs `body` after what was posted before, and does not wait for it.
    func post(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.jobs.append(body) }
        bell.ring()
    }

    private func take() -> [@Sendable () -> Void] {
        state.withLock { state in
            defer { state.jobs = [] }
            return state.jobs
        }
    }
}
