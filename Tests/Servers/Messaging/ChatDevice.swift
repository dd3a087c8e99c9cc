import Cell
import Streams
import Support
import Synchronization

@testable import Servers

/// A client's end of one stream, over a connection of its own: what came is kept, in order.
final class ChatDevice: ClientStreamHandler, Sendable {
    private struct Seen {
        var frames: [ServerFrame] = []
        var status: GRPCStatus?
        var failure: StreamError?
    }

    private let seen = Mutex(Seen())
    private let loop: EventLoop
    // Used on the loop's thread only.
    private nonisolated(unsafe) var connection: ClientConnection?
    private nonisolated(unsafe) var stream: ClientStream?

    /// Connects and says Open.
    convenience init(_ user: UInt64, at port: UInt16, on loop: EventLoop, _ open: Open) {
        self.init([("x-user-id", "\(user)")], at: port, on: loop, open)
    }

    init(_ metadata: [(String, String)], at port: UInt16, on loop: EventLoop, _ open: Open, configuration: ClientConfiguration = ClientConfiguration()) {
        self.loop = loop
        loop.execute { [self] in
            connection = ClientConnection.connect(host: "127.0.0.1", port: port, configuration: configuration, on: loop) { [self] result in
                do throws(StreamError) {
                    let connection = try result.get()
                    stream = try connection.open(MessagingService.path, metadata: metadata, handler: self)
                    _ = stream?.send(ClientFrame.open(open).encode())
                } catch {
                    seen.withLock { $0.failure = error }
                }
            }
        }
    }

    func receive(_ message: UnsafeRawBufferPointer, on stream: ClientStream) {
        guard let frame = try? ServerFrame.decode(message) else { return }
        seen.withLock { $0.frames.append(frame) }
    }

    func ended(_ stream: ClientStream, _ status: GRPCStatus, trailers: Metadata) {
        seen.withLock { $0.status = status }
        connection?.close()
    }

    func send(_ send: Send) {
        loop.execute { [self] in _ = stream?.send(ClientFrame.send(send).encode()) }
    }

    @discardableResult
    func send(_ body: String, to receiver: UInt64, id: MessageID = .now(), round: UInt32 = 0) -> MessageID {
        var frame = Send()
        frame.id = id.bytes
        frame.receiver = receiver
        frame.body = Array(body.utf8)
        frame.round = round
        send(frame)
        return id
    }

    func leave() {
        loop.execute { [self] in connection?.close() }
    }

    var frames: [ServerFrame] { seen.withLock { $0.frames } }
    var status: GRPCStatus? { seen.withLock { $0.status } }
    var failure: StreamError? { seen.withLock { $0.failure } }
    var messages: [Message] { frames.compactMap(\.message) }
    var bodies: [String] { messages.map { String(decoding: $0.body, as: UTF8.self) } }
    var opened: Opened? { frames.first?.opened }
    var acks: [[UInt8]] { frames.compactMap { $0.ack?.id } }

    /// The cursor that the contract gives it.
    var cursor: Int64 {
        frames.reduce(-1) { cursor, frame in
            switch frame {
            case .opened(let opened): max(cursor, opened.next - 1)
            case .message(let message): max(cursor, message.offset)
            case .gap(let gap): max(cursor, gap.to - 1)
            case .alive(let alive): max(cursor, alive.next - 1)
            default: cursor
            }
        }
    }
}

extension MessageID {
    static func now() -> MessageID {
        var generator = SystemRandomNumberGenerator()
        return MessageID(time_ms: SystemClock.now.wall_ms, using: &generator)
    }
}

extension Open {
    init(device: String = "phone", session: String = "s", attempt: UInt32 = 0, log: LogID? = nil, cursor: Int64? = nil, epoch: Int64 = 0) {
        self.init()
        self.device = device
        self.session = session
        self.attempt = attempt
        self.log = log?.description ?? ""
        self.cursor = cursor
        self.epoch = epoch
    }
}
