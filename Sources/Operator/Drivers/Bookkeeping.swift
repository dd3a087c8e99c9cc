import Synchronization

/// What a driver that follows its substrate has around its book: whether the book holds, who waits for the first look, who listens, and errands.
final class Bookkeeping<Book: Sendable>: Sendable {
    private struct State {
        var book: Book
        /// The book is what the substrate says, or said a moment ago.
        var isSynced = false
        var problem: DriverError?
        var waiting: [CheckedContinuation<Void, Never>] = []
        var listeners: [Int: AsyncStream<DriverEvent>.Continuation] = [:]
        var nextListener = 0
    }

    private let state: Mutex<State>
    private let errands: AsyncStream<@Sendable () async -> Void>
    private let errand: AsyncStream<@Sendable () async -> Void>.Continuation

    init(_ book: Book) {
        state = Mutex(State(book: book))
        (errands, errand) = AsyncStream.makeStream()
    }

    /// Follows, and runs errands beside it, until it is cancelled.
    func run(following: @escaping @Sendable () async -> Void) async {
        await withDiscardingTaskGroup { group in
            group.addTask(operation: following)
            for await work in errands { group.addTask(operation: work) }
            group.cancelAll()
        }
        fail(DriverError("the driver was closed", remedy: "Make another."))
    }

    /// Runs `work` beside its caller.
    func spawn(_ work: @escaping @Sendable () async -> Void) { errand.yield(work) }

    func withBook<Value: Sendable>(_ body: (inout sending Book) -> sending Value) -> Value {
        state.withLock { body(&$0.book) }
    }

    // MARK: For the driver's callers

    /// - Throws: the problem with the substrate, while there is one.
    func servers(_ read: (Book) -> [RunningServer]) async throws -> [RunningServer] {
        // The first look is bounded by the limits of its calls.
        await withCheckedContinuation { continuation in
            let isKnown = state.withLock { state in
                if state.isSynced || state.problem != nil { return true }
                state.waiting.append(continuation)
                return false
            }
            if isKnown { continuation.resume() }
        }
        let (book, problem) = state.withLock { ($0.book, $0.isSynced ? nil : $0.problem) }
        if let problem { throw problem }
        return read(book)
    }

    func listen() -> AsyncStream<DriverEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: DriverEvent.self)
        let number = state.withLock { state in
            state.nextListener += 1
            state.listeners[state.nextListener] = continuation
            return state.nextListener
        }
        continuation.onTermination = { [weak self] _ in _ = self?.state.withLock { $0.listeners.removeValue(forKey: number) } }
        return stream
    }

    func tell(_ event: DriverEvent) {
        for listener in state.withLock({ Array($0.listeners.values) }) { listener.yield(event) }
    }

    /// Nobody listens any more.
    func endListening() {
        for listener in state.withLock({ Array($0.listeners.values) }) { listener.finish() }
    }

    // MARK: For who follows

    /// The book is what the substrate says.
    func synced() { settle(nil) }

    /// Nothing is known any more, and why.
    func fail(_ problem: DriverError) { settle(problem) }

    private func settle(_ problem: DriverError?) {
        let (waiting, isNews) = state.withLock { state in
            defer {
                state.waiting = []
                state.isSynced = problem == nil
                state.problem = problem
            }
            return (state.waiting, state.isSynced != (problem == nil))
        }
        for continuation in waiting { continuation.resume() }
        if isNews { tell(.unsure) }
    }
}
