import Glibc
import TLS

/// One HTTP/2 connection to a gRPC server. Made, used and dropped on its loop's thread.
///
/// It does not reconnect: who uses it decides when and where to. A connection is ready once the server's SETTINGS are in.
public final class ClientConnection {
    public enum State: Sendable, Equatable {
        case connecting, ready
        /// The server goes away, or stream ids ran out: open calls go on, new ones are refused.
        case leaving
        case closed
    }

    public let loop: EventLoop
    /// `host:port` as given.
    public let target: String
    public private(set) var state = State.connecting
    /// The server said GOAWAY, with its text; open calls go on.
    public var onLeaving: ((String) -> Void)?
    /// The connection is over, for any reason; once, after `ready` was told. Its calls were ended before.
    public var onClosed: ((StreamError) -> Void)?

    private let host: String
    private let port: UInt16
    private let configuration: ClientConfiguration
    private var ready: ((Result<ClientConnection, StreamError>) -> Void)?
    private var connection: Connection?
    private var timer: TimerID?
    /// What the server's last GOAWAY said.
    private var farewell: String?

    /// Connects, and tells `ready` once, later: the connection, or why there is none within `connectTimeout`. Loop thread only.
    /// - Returns: what `close` gives up.
    @discardableResult
    public static func connect(
        host: String, port: UInt16, configuration: ClientConfiguration = .init(), on loop: EventLoop,
        _ ready: @escaping (Result<ClientConnection, StreamError>) -> Void
    ) -> ClientConnection {
        let client = ClientConnection(host: host, port: port, configuration: configuration, loop: loop, ready: ready)
        client.begin()
        return client
    }

    private init(
        host: String, port: UInt16, configuration: ClientConfiguration, loop: EventLoop,
        ready: @escaping (Result<ClientConnection, StreamError>) -> Void
    ) {
        self.host = host
        self.port = port
        self.configuration = configuration
        self.loop = loop
        self.ready = ready
        target = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Opens a call. `handler` is held until it is told the end.
    /// - Parameters:
    ///   - metadata: names in lower case; values of names that end in `-bin` as base64.
    ///   - deadline: sent to the server and kept here too; nil: none.
    /// - Throws: `closed`, `goingAway`: no stream was opened.
    public func open(
        _ path: String, metadata: [(String, String)] = [], deadline: Duration? = nil,
        handler: any ClientStreamHandler
    ) throws(StreamError) -> ClientStream {
        guard state == .ready, let connection else {
            throw state == .leaving
                ? StreamError(.goingAway, "\(target) is going away", remedy: "Open the call on a new connection.")
                : StreamError(.closed, "no connection to \(target)", remedy: "Connect again.")
        }
        guard connection.streamCount < connection.peerMaxStreams else {
            throw StreamError(
                .goingAway, "\(target) allows \(connection.peerMaxStreams) calls at once on a connection", remedy: "End one, or open another connection.")
        }
        let id = connection.nextStream
        connection.nextStream += 2
        if connection.nextStream > HTTP2.largestStream { leave("stream ids ran out") }
        let stream = ClientStream(id: id, connection: connection, path: path, deadline: deadline, handler: handler)
        connection.add(stream)
        connection.writeHeaders(request(path, metadata, deadline), endStream: false, on: stream)
        return stream
    }

    /// One request, one response. `done` is called once, later, on the loop's thread.
    @discardableResult
    public func call(
        _ path: String, _ message: [UInt8], metadata: [(String, String)] = [], deadline: Duration? = nil,
        _ done: @escaping (Result<[UInt8], GRPCStatus.Failure>) -> Void
    ) -> ClientStream? {
        let single = SingleCall(done)
        do {
            let stream = try open(path, metadata: metadata, deadline: deadline, handler: single)
            if stream.send(message) == .overflow {
                stream.cancel()
                single.overflowed(message.count)
            } else {
                stream.halfClose()
            }
            return stream
        } catch {
            _ = loop.schedule(after: .zero) { done(.failure(GRPCStatus.Failure(status: GRPCStatus(.unavailable, "\(error)")))) }
            return nil
        }
    }

    /// Ends every call and the connection; `ready`, if it was not told yet, is told `closed`.
    public func close() {
        guard state != .closed else { return }
        let error = StreamError(.closed, "the connection to \(target) was closed by its user")
        guard let connection else { return finish(error) }
        for stream in connection.streams { stream.endForDrain() }
        connection.output.goAway(last: 0, .none, "", connection.state.pool)
        connection.terminate(.stopped, error)
    }

    /// Calls that are open.
    public var streamCount: Int { connection?.streamCount ?? 0 }

    // MARK: connecting

    private func begin() {
        timer = loop.schedule(after: configuration.connectTimeout) { [self] in timedOut() }
        if let address = try? Socket.resolve(host, port, numericOnly: true) { return connect(address) }
        let (host, port, loop) = (host, port, loop)
        // The box goes to another thread and back unopened.
        nonisolated(unsafe) let waiting = self
        Resolver.shared.resolve(host, port) { result in
            loop.execute { waiting.resolved(result) }
        }
    }

    private func resolved(_ result: Result<Socket.Address, StreamError>) {
        guard state == .connecting else { return }
        switch result {
        case .success(let address): connect(address)
        case .failure(let error): finish(error)
        }
    }

    private func connect(_ address: Socket.Address) {
        do {
            let descriptor = try Socket.connect(address)
            let connection = Connection(state: loop.state, rules: loop.state.rules(for: configuration), tally: loop.state.clientTally, owner: self)
            self.connection = connection
            let session = configuration.tls.map { TLSSession($0, transport: loop.state.tls.transport, serverName: configuration.serverName ?? host) }
            let channel = Channel(descriptor: descriptor, state: loop.state, connection: connection, tls: session, isConnecting: true)
            if !loop.watch(channel) { channel.close() }
        } catch {
            finish(error)
        }
    }

    private func timedOut() {
        timer = nil
        guard state == .connecting else { return }
        let error = StreamError(
            .timedOut, "no connection to \(target) within \(configuration.connectTimeout)", remedy: "Check that a gRPC server listens there.")
        guard let connection else { return finish(error) }
        connection.dropOutput()
        connection.terminate(.connectionLost, error)
    }

    private func request(_ path: String, _ metadata: [(String, String)], _ deadline: Duration?) -> [UInt8] {
        var headers = HeaderWriter()
        headers.methodPost()
        headers.scheme(tls: configuration.tls != nil)
        headers.path(path)
        headers.authority(target)
        headers.literal("te", Array("trailers".utf8))
        headers.contentType()
        if let deadline { headers.literal("grpc-timeout", Array(CallTimeout.encode(deadline).utf8)) }
        for (name, value) in metadata { headers.literal(name, Array(value.utf8)) }
        return headers.block
    }

    fileprivate func leave(_ text: String) {
        guard state == .ready else { return }
        state = .leaving
        onLeaving?(text)
    }

    fileprivate func finish(_ error: StreamError) {
        guard state != .closed else { return }
        state = .closed
        connection = nil
        if let timer { loop.cancel(timer) }
        timer = nil
        let (ready, onClosed) = (ready, onClosed)
        self.ready = nil
        self.onClosed = nil
        self.onLeaving = nil
        if let ready { return ready(.failure(error)) }
        onClosed?(error)
    }
}

extension ClientConnection: ConnectionOwner {
    func open(_ id: UInt32, on connection: Connection, fields: HeaderFields, endStream: Bool) {}

    func greeted(_ connection: Connection) {
        state = .ready
        if let timer { loop.cancel(timer) }
        timer = nil
        let ready = ready
        self.ready = nil
        ready?(.success(self))
    }

    func goingAway(_ connection: Connection, text: String) {
        if !text.isEmpty { farewell = text }
        leave(text)
    }

    func ended(_ connection: Connection, _ error: StreamError?) {
        var error = error ?? StreamError(.goingAway, "\(target) went away")
        if error.code == .refused { error.problem = "\(target): \(error.problem)" }
        if error.code == .closed, let farewell {
            error = StreamError(.goingAway, "\(target) ended the connection: \(farewell)", remedy: Self.remedy(farewell))
        }
        finish(error)
    }
}

extension ClientConnection {
    fileprivate static func remedy(_ farewell: String) -> String {
        farewell == "too_many_pings" ? "Raise keepaliveInterval to what the server permits." : ""
    }
}

extension GRPCStatus {
    /// A status that ended a call without its answer.
    public struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
        public var status: GRPCStatus
        public var description: String { status.description }

        public init(status: GRPCStatus) {
            self.status = status
        }
    }
}

/// Collects the one response of a call.
private final class SingleCall: ClientStreamHandler {
    private let done: (Result<[UInt8], GRPCStatus.Failure>) -> Void
    private var response: [UInt8]?
    private var tooLong: GRPCStatus?

    init(_ done: @escaping (Result<[UInt8], GRPCStatus.Failure>) -> Void) {
        self.done = done
    }

    func overflowed(_ count: Int) {
        tooLong = GRPCStatus(.resourceExhausted, "a request of \(count) bytes is more than the client's backlog")
    }

    func receive(_ message: UnsafeRawBufferPointer, on stream: ClientStream) { response = Array(message) }

    func ended(_ stream: ClientStream, _ status: GRPCStatus, trailers: Metadata) {
        let status = tooLong ?? status
        if status.code == .ok, let response { return done(.success(response)) }
        done(.failure(GRPCStatus.Failure(status: status.code == .ok ? GRPCStatus(.internal, "the server answered OK without a message") : status)))
    }
}
