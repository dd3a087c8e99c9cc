import Synchronization
import Threads

/// A client for any number of HTTP requests at once, on one thread of its own; connections are kept and used again.
///
/// It ends with its last reference, or with ``close()``. Everything it throws is a ``HTTPError``, or `CancellationError` when the task that
/// waits is cancelled; then the connection is closed, too.
public final class HTTPClient: Sendable {
    private let desk: HTTPDesk
    private let numbers = Atomic<UInt64>(0)

    /// - Throws: ``HTTPError`` with code `local`.
    public init() throws(HTTPError) {
        let desk = try HTTPDesk()
        self.desk = desk
        do {
            try OwnThread.start("http") { HTTPLoop(desk).run() }
        } catch {
            desk.end()
            throw HTTPError(.local, "\(error)", url: "")
        }
    }

    deinit { close() }

    /// Ends every request with `closed`. Doing it again changes nothing.
    public func close() { desk.close() }

    /// The whole answer, whatever its status; ``HTTPResponse/checked()`` insists on 2xx.
    public func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        var attempt = 0
        while true {
            do {
                return try await sendOnce(request)
            } catch let error as HTTPError where attempt < request.retries && error.mayBeSentAgain(request) {
                attempt += 1
                try await Task.sleep(for: .milliseconds(50) * attempt)
            }
        }
    }

    /// The answer's head as soon as it is there, and its body as it comes.
    ///
    /// - Throws: also when the status is not 2xx: then the error has the body.
    public func stream(_ request: HTTPRequest) async throws -> HTTPStream {
        let exchange = begin(request)
        let stream = HTTPStream(try await exchange.head(), exchange, of: self)
        guard stream.head.isSuccess else {
            let body = try? await stream.collect(limit: 64 * 1024, strict: false)
            throw HTTPError(status: stream.head.status, body: body ?? [], url: request.url)
        }
        return stream
    }

    private func sendOnce(_ request: HTTPRequest) async throws -> HTTPResponse {
        let exchange = begin(request)
        let stream = HTTPStream(try await exchange.head(), exchange, of: self)
        let body = try await stream.collect(limit: request.bodyLimit_bytes, strict: true)
        return HTTPResponse(head: stream.head, body: body, url: request.url)
    }

    private func begin(_ request: HTTPRequest) -> HTTPExchange {
        let exchange = HTTPExchange(request, number: numbers.wrappingAdd(1, ordering: .relaxed).newValue, desk: desk)
        desk.put(.start(exchange))
        return exchange
    }
}

extension HTTPError {
    /// Whether `request` can be sent again after this without being done twice.
    func mayBeSentAgain(_ request: HTTPRequest) -> Bool {
        switch code {
        case .refused, .unknownHost: true
        case .timeout, .lost: request.mayBeRepeated || !mayHaveRun
        case .tls, .garbled, .status, .tooLarge, .badRequest, .closed, .local: false
        }
    }
}

/// A body as it comes, for one reader. The server has to wait while the reader does; dropping it closes the connection.
public final class HTTPStream: AsyncSequence, Sendable {
    public typealias Element = [UInt8]

    public let head: HTTPHead
    private let exchange: HTTPExchange
    /// Kept, because its requests end with it.
    private let client: HTTPClient

    init(_ head: HTTPHead, _ exchange: HTTPExchange, of client: HTTPClient) {
        self.head = head
        self.exchange = exchange
        self.client = client
    }

    deinit { exchange.abandon() }

    public var status: Int { head.status }

    /// Ends it before its end.
    public func cancel() { exchange.abandon() }

    public func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

    public struct Iterator: AsyncIteratorProtocol {
        let stream: HTTPStream

        /// The next part; nil at the end. A cancelled task gets `CancellationError`.
        public mutating func next() async throws -> [UInt8]? { try await stream.exchange.next() }
    }

    /// - Parameter strict: a longer body is an error; otherwise only its beginning is returned.
    func collect(limit: Int, strict: Bool) async throws -> [UInt8] {
        var body: [UInt8] = []
        while let chunk = try await exchange.next() {
            body += chunk
            guard body.count > limit else { continue }
            guard strict else { return Array(body.prefix(limit)) }
            throw HTTPError(.tooLarge, "the answer is larger than \(limit) bytes", url: exchange.request.url, mayHaveRun: true)
        }
        return body
    }
}
