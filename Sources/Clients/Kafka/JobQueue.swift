import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Something that can be told that it will not be done.
protocol Refusable: Sendable {
    func fail(_ error: KafkaError)
}

/// A thread that does jobs, all that wait at a time together.
final class JobQueue<Work: Refusable>: Sendable {
    private struct State {
        var waiting: [Work] = []
        var closed = false
    }
    private let name: String
    private let state = Mutex(State())
    private let bell = Semaphore()

    init(_ name: String) { self.name = name }

    /// Starts the thread; called once.
    func run(_ body: @escaping @Sendable ([Work]) -> Void) {
        startThread(name) { [self] in
            while true {
                bell.wait()
                let (jobs, closed) = state.withLock { state in
                    defer { state.waiting = [] }
                    return (state.waiting, state.closed)
                }
                if closed {
                    jobs.forEach { $0.fail(Self.closed) }
                    return
                }
                if !jobs.isEmpty { body(jobs) }
            }
        }
    }

    func add(_ job: Work) {
        let taken = state.withLock { state in
            if !state.closed { state.waiting.append(job) }
            return !state.closed
        }
        if taken { bell.ring() } else { job.fail(Self.closed) }
    }

    func close() {
        state.withLock { $0.closed = true }
        bell.ring()
    }

    private static var closed: KafkaError { KafkaError(.closed, "queries", remedy: KafkaError.Code.closed.remedy) }
}

/// A POSIX semaphore.
private final class Semaphore: Sendable {
    // The semaphore is made for use from every thread, and stays where it is.
    private nonisolated(unsafe) let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }
    func ring() { sem_post(semaphore) }
    func wait() { while sem_wait(semaphore) != 0 {} }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }
}
