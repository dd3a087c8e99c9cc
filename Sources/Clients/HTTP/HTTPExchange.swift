import Synchronization

/// What passes between one request's reader and the client's thread: head, body and end, as they come.
final class HTTPExchange: Sendable {
    private struct State {
        var head: HTTPHead?
        var chunks: [[UInt8]] = []
        var buffered = 0
        var isPaused = false
        var end: Result<Void, HTTPError>?
        var isAbandoned = false
        var waiter: CheckedContinuation<Void, Never>?
        /// Counts what happened, so that a reader that is about to wait sees that it is too late.
        var news = 0
    }

    /// So much may wait for the reader before the sender has to.
    static let room = 256 * 1024

    let number: UInt64
    let request: HTTPRequest
    private let desk: HTTPDesk
    private let state = Mutex(State())

    init(_ request: HTTPRequest, number: UInt64, desk: HTTPDesk) {
        self.request = request
        self.number = number
        self.desk = desk
    }

    // MARK: The reader's side

    /// - Throws: ``HTTPError``, or `CancellationError`.
    func head() async throws -> HTTPHead {
        while true {
            let (head, end, news) = state.withLock { ($0.head, $0.end, $0.news) }
            if let head { return head }
            if let end {
                try end.get()
                throw HTTPError(.garbled, "an answer without a head", url: request.url, mayHaveRun: true)
            }
            try await wait(since: news)
        }
    }

    /// The next part of the body; nil at its end.
    func next() async throws -> [UInt8]? {
        while true {
            let (chunk, end, resumes, news) = state.withLock { state in
                guard !state.chunks.isEmpty else { return (nil as [UInt8]?, state.end, false, state.news) }
                let chunk = state.chunks.removeFirst()  // At most `room` bytes, so few.
                state.buffered -= chunk.count
                let resumes = state.isPaused && state.buffered < Self.room / 2
                if resumes { state.isPaused = false }
                return (chunk, nil, resumes, state.news)
            }
            if resumes { desk.put(.goOn(number)) }
            if let chunk { return chunk }
            if let end {
                try end.get()
                return nil
            }
            try await wait(since: news)
        }
    }

    /// The reader does not want the rest.
    func abandon() {
        let isNews = state.withLock { state in
            defer { state.isAbandoned = true }
            return !state.isAbandoned && state.end == nil
        }
        if isNews { desk.put(.cancel(number)) }
    }

    /// Until something happens; a cancelled task abandons the request.
    private func wait(since news: Int) async throws {
        try await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let isLate = state.withLock { state in
                    if state.isAbandoned || state.news != news { return true }
                    state.waiter = waiter
                    return false
                }
                if isLate { waiter.resume() }
            }
            try Task.checkCancellation()
        } onCancel: {
            abandon()
            wake { _ in }
        }
        if state.withLock({ $0.isAbandoned && $0.end == nil && $0.chunks.isEmpty }) { throw CancellationError() }
    }

    // MARK: The thread's side

    func came(_ head: HTTPHead) { wake { $0.head = head } }

    /// False when there is no room: the same bytes come again after `goOn`.
    func came(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var fits = true
        wake { state in
            fits = state.buffered == 0 || state.buffered + bytes.count <= Self.room
            guard fits else {
                state.isPaused = true
                return
            }
            state.chunks.append(Array(bytes))
            state.buffered += bytes.count
        }
        return fits
    }

    func ended(_ result: Result<Void, HTTPError>) { wake { $0.end = $0.end ?? result } }

    var isPaused: Bool { state.withLock { $0.isPaused } }

    private func wake(_ change: (inout State) -> Void) {
        let waiter = state.withLock { state in
            change(&state)
            state.news += 1
            return state.waiter.take()
        }
        waiter?.resume()
    }
}
