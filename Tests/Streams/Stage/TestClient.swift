import Dispatch
@testable import Streams
import Support
import Synchronization

/// A loop for client connections, and one connection on it as tests use it: from any thread, awaiting.
final class TestClient: Sendable {
    let loop: EventLoop
    // Used on the loop's thread only.
    nonisolated(unsafe) private(set) var connection: ClientConnection?
    private let log = Mutex(Log())

    struct Log: Sendable {
        var leaving: [String] = []
        var closed: StreamError?
    }

    var events: Log { log.withLock { $0 } }

    /// - Throws: StreamError when there is no connection.
    init(port: UInt16, host: String = "127.0.0.1", loop given: EventLoop? = nil, _ change: (inout ClientConfiguration) -> Void = { _ in }) async throws {
        var configuration = ClientConfiguration()
        configuration.connectTimeout = .seconds(30)
        change(&configuration)
        loop = try given ?? EventLoop(name: "client")
        if given == nil { loop.start() }
        ownsLoop = given == nil
        let chosen = configuration
        try await withCheckedThrowingContinuation { (waiting: CheckedContinuation<Void, any Error>) in
            loop.execute { [self] in
                ClientConnection.connect(host: host, port: port, configuration: chosen, on: loop) { [self] result in
                    switch result {
                    case .success(let connection):
                        self.connection = connection
                        connection.onLeaving = { [weak self] text in self?.log.withLock { $0.leaving.append(text) } }
                        connection.onClosed = { [weak self] error in self?.log.withLock { $0.closed = error } }
                        waiting.resume()
                    case .failure(let error): waiting.resume(throwing: error)
                    }
                }
            }
        }
    }

    private let ownsLoop: Bool

    deinit {
        // The last reference may go on the loop's own thread, which cannot wait for itself.
        if ownsLoop { DispatchQueue.global().async { [loop] in loop.stop() } }
    }

    func call(_ path: String, _ message: [UInt8] = [], metadata: [(String, String)] = [], deadline: Duration? = nil) async throws -> [UInt8] {
        try await withCheckedThrowingContinuation { waiting in
            loop.execute { [self] in
                connection!.call(path, message, metadata: metadata, deadline: deadline) { waiting.resume(with: $0) }
            }
        }
    }

    func open(_ path: String, metadata: [(String, String)] = [], deadline: Duration? = nil) async throws -> Conversation {
        let conversation = Conversation(loop)
        try await withCheckedThrowingContinuation { (waiting: CheckedContinuation<Void, any Error>) in
            loop.execute { [self] in
                do {
                    conversation.stream = try connection!.open(path, metadata: metadata, deadline: deadline, handler: conversation)
                    waiting.resume()
                } catch {
                    waiting.resume(throwing: error)
                }
            }
        }
        return conversation
    }

    func close() { loop.execute { [self] in connection?.close() } }
}

/// One call and everything that came back on it.
final class Conversation: ClientStreamHandler, Sendable {
    struct Log: Sendable {
        var messages: [[UInt8]] = []
        var metadata: Metadata?
        var trailers: Metadata?
        var status: GRPCStatus?
        var ends = 0
        var wasUnprocessed = false
    }

    private let loop: EventLoop
    private let log = Mutex(Log())
    // Used on the loop's thread only.
    nonisolated(unsafe) var stream: ClientStream?

    init(_ loop: EventLoop) {
        self.loop = loop
    }

    var messages: [[UInt8]] { log.withLock { $0.messages } }
    var status: GRPCStatus? { log.withLock { $0.status } }
    var all: Log { log.withLock { $0 } }

    func send(_ message: [UInt8]) { loop.execute { [self] in _ = stream!.send(message) } }
    func halfClose() { loop.execute { [self] in stream!.halfClose() } }
    func cancel() { loop.execute { [self] in stream!.cancel() } }

    func ended(within limit: Duration = .seconds(30)) async throws -> GRPCStatus {
        try await eventually("the call's end", within: limit) { status }
    }

    func began(_ stream: ClientStream, metadata: Metadata) { log.withLock { $0.metadata = metadata } }
    func receive(_ message: UnsafeRawBufferPointer, on stream: ClientStream) { log.withLock { $0.messages.append(Array(message)) } }
    func ended(_ stream: ClientStream, _ status: GRPCStatus, trailers: Metadata) {
        log.withLock {
            $0.ends += 1
            $0.status = status
            $0.trailers = trailers
            $0.wasUnprocessed = stream.wasUnprocessed
        }
    }
}
