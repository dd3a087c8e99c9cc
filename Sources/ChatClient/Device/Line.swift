import Cell
import Streams

/// One stream to a messaging server, on a connection of its own. On its loop's thread only.
final class Line: ClientStreamHandler {
    enum Event {
        case frame(ServerFrame)
        case over(GRPCStatus)
    }

    private let address: String
    private let credentials: Credentials
    private let security: Security
    private let loop: EventLoop
    private let tell: (Event) -> Void
    private var connection: ClientConnection?
    private var stream: ClientStream?
    private var isClosed = false

    init(to address: String, _ credentials: Credentials, _ security: Security = Security(), on loop: EventLoop, tell: @escaping (Event) -> Void) {
        self.address = address
        self.credentials = credentials
        self.security = security
        self.loop = loop
        self.tell = tell
    }

    func connect(saying first: ClientFrame) {
        guard let (host, port) = splitAddress(address) else { return fail("\"\(address)\" is not HOST:PORT") }
        let configuration: ClientConfiguration
        do { configuration = try security.configuration() } catch { return fail(error.description) }
        connection = ClientConnection.connect(host: host, port: port, configuration: configuration, on: loop) { [weak self] result in
            guard let self, !self.isClosed else { return }
            switch result {
            case .success(let connection): self.open(on: connection, saying: first)
            case .failure(let error): self.fail(error.description)
            }
        }
    }

    func send(_ frame: ClientFrame) {
        // An overflow or an end is told by `ended`, and what was not sent is sent again on the next stream.
        if case .overflow? = stream?.send(frame.encode()) { stream?.cancel() }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        stream?.cancel()
        connection?.close()
    }

    private func open(on connection: ClientConnection, saying first: ClientFrame) {
        do {
            stream = try connection.open("/cecochat.v1.Messaging/Converse", metadata: credentials.metadata, handler: self)
            send(first)
        } catch {
            fail(error.description)
        }
    }

    private func fail(_ why: String) {
        _ = loop.schedule(after: .zero) { [weak self] in
            if let self, !self.isClosed { self.tell(.over(GRPCStatus(.unavailable, why))) }
        }
    }

    func receive(_ message: UnsafeRawBufferPointer, on stream: ClientStream) {
        guard !isClosed else { return }
        do throws(ProtobufError) {
            if let frame = try ServerFrame.decode(message) { tell(.frame(frame)) }
        } catch {
            fail("the server sent what is no frame: \(error)")
        }
    }

    func ended(_ stream: ClientStream, _ status: GRPCStatus, trailers: Metadata) {
        if !isClosed { tell(.over(status)) }
    }
}

/// HOST:PORT, or [V6]:PORT.
func splitAddress(_ text: String) -> (host: String, port: UInt16)? {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), colon != text.startIndex else { return nil }
    let host = text[..<colon]
    return (host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : String(host), port)
}
