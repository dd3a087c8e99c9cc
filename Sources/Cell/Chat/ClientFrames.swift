/// What a client says.
public enum ClientFrame: Equatable, Sendable {
    case open(Open)
    case send(Send)
}

extension ClientFrame {
    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        switch self {
        case .open(let open): writer.nested(1, open.encode())
        case .send(let send): writer.nested(2, send.encode())
        }
        return writer.bytes
    }

    /// Nil for a frame that this version does not know, or an empty one.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(ProtobufError) -> ClientFrame? {
        var reader = ProtobufReader(bytes)
        var frame: ClientFrame?
        while let (number, value) = try reader.next() {
            guard let message = value.message else { continue }
            switch number {
            case 1: frame = .open(try Open(decoding: message))
            case 2: frame = .send(try Send(decoding: message))
            default: break
            }
        }
        return frame
    }
}

/// The first frame of a stream: who opens, and from where on.
public struct Open: ChatMessage {
    public var device: String = ""
    public var log: String = ""
    public var cursor: Int64?
    public var session: String = ""
    public var attempt: UInt32 = 0
    public var epoch: Int64 = 0
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, device)
        writer.field(2, log)
        writer.optional(3, cursor)
        writer.field(4, session)
        writer.field(5, attempt)
        writer.field(6, epoch)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: device = try field.value.string("device") ?? device
        case 2: log = try field.value.string("log") ?? log
        case 3: cursor = field.value.int64 ?? cursor
        case 4: session = try field.value.string("session") ?? session
        case 5: attempt = field.value.uint32 ?? attempt
        case 6: epoch = field.value.int64 ?? epoch
        default: break
        }
    }
}

/// A message on its way in.
public struct Send: ChatMessage {
    public var id: [UInt8] = []
    public var receiver: UInt64 = 0
    public var body: [UInt8] = []
    public var round: UInt32 = 0
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, id)
        writer.field(2, receiver)
        writer.field(3, body)
        writer.field(4, round)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: id = field.value.array ?? id
        case 2: receiver = field.value.uint64 ?? receiver
        case 3: body = field.value.array ?? body
        case 4: round = field.value.uint32 ?? round
        default: break
        }
    }
}
