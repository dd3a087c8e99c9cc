import CMicrohttpd
import Synchronization

/// One request on its way: its body as it comes, and its answer when that takes time.
final class WebExchange: Sendable {
    private struct State {
        var body: [UInt8] = []
        var received = 0
        var isTooLarge = false
        var sleeper: Sleeper?
        var task: Task<Void, Never>?
        var answer: WebResponse?
        var outlet: EventOutlet?
    }

    let engine: WebEngine
    private let state = Mutex(State())

    init(engine: WebEngine) { self.engine = engine }

    /// Keeps what came of the body. False when the client goes on although it is far too much.
    func take(_ bytes: UnsafeRawBufferPointer, limit: Int) -> Bool {
        state.withLock { state in
            state.received += bytes.count
            if state.received > limit {
                state.isTooLarge = true
                state.body = []
            } else {
                state.body += bytes
            }
            return state.received <= 2 * limit + 65536
        }
    }

    /// The whole body; nil when it is too large.
    var body: [UInt8]? { state.withLock { $0.isTooLarge ? nil : $0.body } }

    /// Puts the connection to sleep until `answer` is there. It is the request's own task: the end of the server cancels it.
    func wait(on connection: OpaquePointer, _ answer: @escaping @Sendable () async -> WebResponse) {
        let sleeper = Sleeper(connection)
        state.withLock { state in
            state.sleeper = sleeper
            sleeper.sleep()
            state.task = Task { self.answered(await answer()) }
        }
    }

    private func answered(_ response: WebResponse) {
        state.withLock { state in
            guard let sleeper = state.sleeper.take() else { return }
            state.answer = response
            sleeper.wake()
        }
    }

    func takeAnswer() -> WebResponse? { state.withLock { $0.answer.take() } }

    func keep(_ outlet: EventOutlet) { state.withLock { $0.outlet = outlet } }

    func endEvents() { state.withLock { $0.outlet }?.end() }

    /// Ends the waiting: the server stops.
    func letGo() {
        state.withLock { $0.task }?.cancel()
        answered(.stopping)
        endEvents()
    }

    /// The connection is gone.
    func end() {
        state.withLock { state in
            state.sleeper = nil
            state.task?.cancel()
        }
    }
}
