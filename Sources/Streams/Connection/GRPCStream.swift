/// One gRPC call on one HTTP/2 stream, seen from either side. Loop thread only.
public class GRPCStream {
    struct Flags: OptionSet {
        let rawValue: UInt16
        /// We have sent END_STREAM; the peer has; the stream left its connection.
        static let localClosed = Flags(rawValue: 1), remoteClosed = Flags(rawValue: 2), over = Flags(rawValue: 4)
        /// `finish` or `halfClose` was called: what is queued goes out, then the end.
        static let closing = Flags(rawValue: 8)
        static let headersSent = Flags(rawValue: 16)
        /// It stands in its connection's list of those with queued bytes.
        static let enlisted = Flags(rawValue: 32)
        /// A grpc-encoding other than identity was announced.
        static let encoded = Flags(rawValue: 64)
        /// A whole message came in.
        static let carried = Flags(rawValue: 128)
        static let headersReceived = Flags(rawValue: 256)
    }

    final let id: UInt32
    final let connection: Connection
    final var flags: Flags = []
    /// Bytes that we may send, and that the peer may send. The first can be negative (RFC 9113, 6.9.2).
    final var sendWindow: Int32
    final var receiveWindow: Int32
    /// The received part of an incomplete message, and the framed messages that wait for the reader.
    final var assembly = ByteQueue()
    final var queue = ByteQueue()
    final var deadlineTimer: TimerID?

    init(id: UInt32, connection: Connection) {
        self.id = id
        self.connection = connection
        sendWindow = connection.peerWindow
        receiveWindow = Int32(connection.rules.streamWindow)
    }

    /// Bytes queued on this stream and not yet handed to the connection.
    public final var backlog: Int { queue.count }

    /// Whether messages can still be sent.
    public final var isOpen: Bool { flags.isDisjoint(with: [.over, .closing, .localClosed]) }

    /// Sends one message, behind a prefix of five bytes.
    public final func send(_ message: [UInt8]) -> SendResult {
        message.withUnsafeBytes { put($0, isFramed: false) }
    }

    /// Sends one message; the bytes stand anywhere.
    public final func send(_ message: UnsafeRawBufferPointer) -> SendResult { put(message, isFramed: false) }

    /// Sends what has its five-byte prefix already: one encoding serves many streams. It may be several messages.
    public final func send(framed: [UInt8]) -> SendResult {
        framed.withUnsafeBytes { put($0, isFramed: true) }
    }

    // MARK: what the sides add

    /// The block that must go out before the first DATA; nil when it has.
    func openingBlock() -> [UInt8]? { nil }
    func deliver(_ message: UnsafeRawBufferPointer) {}
    func deliverHalfClose() {}
    /// HEADERS after the request's, or of the response.
    func receiveHeaders(_ fields: HeaderFields, endStream: Bool) {}
    /// What was queued is written and `closing` was asked for.
    func writeEnd() {}
    func reportEnd(_ reason: EndReason) {}
    /// The layer ends the call because of what the peer did.
    func refuse(_ status: GRPCStatus, acceptEncoding: Bool) {}
    func receiveReset(_ code: ErrorCode) {}
    func deadlinePassed() {}
    /// The grace of a drain is over.
    func endForDrain() {}
}

extension GRPCStream {
    final func put(_ bytes: UnsafeRawBufferPointer, isFramed: Bool) -> SendResult {
        guard isOpen else { return .ended }
        let size = bytes.count + (isFramed ? 0 : 5)
        connection.tally.count.messagesSent += 1
        if queue.isEmpty, size <= HTTP2.frameSize, size <= Int(sendWindow), connection.takesData(size) {
            writeOpening()
            connection.writeData(bytes, prefixed: !isFramed, on: self)
            return .sent
        }
        guard queue.count + size <= connection.rules.backlog else {
            connection.tally.count.messagesSent -= 1
            connection.tally.count.overflows += 1
            return .overflow
        }
        writeOpening()
        if !isFramed { queue.messagePrefix(bytes.count, connection.state.pool) }
        queue.append(bytes, connection.state.pool)
        connection.enlist(self)
        connection.pump()
        return queue.isEmpty ? .sent : .backlogged(queue.count)
    }

    final func refuse(_ status: GRPCStatus) { refuse(status, acceptEncoding: false) }

    final func writeOpening() {
        guard !flags.contains(.headersSent), let block = openingBlock() else { return }
        flags.insert(.headersSent)
        connection.writeHeaders(block, endStream: false, on: self)
    }

    /// Takes a part of the peer's DATA; whole messages are handed on in place.
    final func absorb(_ part: UnsafeRawBufferPointer) {
        var rest = part
        while !rest.isEmpty, flags.isDisjoint(with: [.over]) {
            if assembly.isEmpty, rest.count >= 5 {
                guard let length = messageLength(rest) else { return }
                if rest.count >= 5 + length {
                    let message = rest.from(5).first(length)
                    rest = rest.from(5 + length)
                    arrived(message)
                    continue
                }
            }
            let held = assembly.count
            var missing = 5 - held
            if held >= 5 {
                guard let length = messageLength(assembly.bytes) else { return }
                missing = 5 + length - held
            }
            let piece = rest.first(min(rest.count, assembly.isEmpty ? rest.count : missing))
            guard connection.mayAssemble(piece.count, on: self) else { return }
            assembly.append(piece, connection.state.pool)
            rest = rest.from(piece.count)
            completeAssembly()
        }
    }

    private final func completeAssembly() {
        guard assembly.count >= 5, let length = messageLength(assembly.bytes), assembly.count == 5 + length else { return }
        // Taken out first: whoever receives it may end the stream, which gives its blocks back.
        var whole = assembly
        assembly = ByteQueue()
        connection.assembled -= whole.count
        arrived(whole.bytes.from(5))
        whole.removeAll(connection.state.pool)
    }

    private final func arrived(_ message: UnsafeRawBufferPointer) {
        flags.insert(.carried)
        connection.tally.count.messagesReceived += 1
        deliver(message)
    }

    /// The length behind a five-byte prefix; nil when the call was refused because of it.
    private final func messageLength(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let length = Int(bytes.bigEndian32(at: 1))
        if bytes[0] == 1 {
            refuse(
                flags.contains(.encoded)
                    ? GRPCStatus(.unimplemented, "messages are accepted without compression only")
                    : GRPCStatus(.internal, "a message is marked as compressed but grpc-encoding names no compression"), acceptEncoding: true)
        } else if bytes[0] != 0 {
            refuse(GRPCStatus(.internal, "a message begins with \(bytes[0]) where 0 or 1 says whether it is compressed"))
        } else if length > connection.rules.messageLimit {
            refuse(GRPCStatus(.invalidArgument, "a message of \(length) bytes is announced; at most \(connection.rules.messageLimit) are accepted"))
        } else {
            return length
        }
        return nil
    }

    /// The peer sends nothing more.
    final func closeRemote() {
        guard flags.isDisjoint(with: [.over, .remoteClosed]) else { return }
        flags.insert(.remoteClosed)
        if !assembly.isEmpty {
            return refuse(GRPCStatus(.invalidArgument, "the call ended within a message"))
        }
        deliverHalfClose()
    }
}

extension ByteQueue {
    /// gRPC's five bytes: not compressed, and the length.
    mutating func messagePrefix(_ length: Int, _ pool: BlockPool) {
        let start = extend(5, pool)
        start.storeBytes(of: 0, as: UInt8.self)
        start.storeBytes(of: UInt32(length), big: 1)
    }
}
