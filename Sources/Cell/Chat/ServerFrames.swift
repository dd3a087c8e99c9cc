/// What a messaging server says.
public enum ServerFrame: Equatable, Sendable {
    case opened(Opened)
    case message(Message)
    case ack(Ack)
    case refused(Refused)
    case gap(Gap)
    case moved(Moved)
    case alive(Alive)
}

extension ServerFrame {
    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        switch self {
        case .opened(let opened): writer.nested(1, opened.encode())
        case .message(let message): writer.nested(2, message.encode())
        case .ack(let ack): writer.nested(3, ack.encode())
        case .refused(let refused): writer.nested(4, refused.encode())
        case .gap(let gap): writer.nested(5, gap.encode())
        case .moved(let moved): writer.nested(6, moved.encode())
        case .alive(let alive): writer.nested(7, alive.encode())
        }
        return writer.bytes
    }

    /// Nil for a frame that this version does not know, or an empty one.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(ProtobufError) -> ServerFrame? {
        var reader = ProtobufReader(bytes)
        var frame: ServerFrame?
        while let (number, value) = try reader.next() {
            guard let message = value.message else { continue }
            switch number {
            case 1: frame = .opened(try Opened(decoding: message))
            case 2: frame = .message(try Message(decoding: message))
            case 3: frame = .ack(try Ack(decoding: message))
            case 4: frame = .refused(try Refused(decoding: message))
            case 5: frame = .gap(try Gap(decoding: message))
            case 6: frame = .moved(try Moved(decoding: message))
            case 7: frame = .alive(try Alive(decoding: message))
            default: break
            }
        }
        return frame
    }
}

/// Why a Send was refused.
public enum Reason: Int32, Sendable {
    case unspecified, invalid, tooLarge, tooFast, overloaded, unknownOutcome, expired

    /// Whether it ends the round, and asks for a retry.
    public var endsRound: Bool { self == .tooFast || self == .overloaded || self == .unknownOutcome }
    /// Whether the client gives the id up.
    public var isFinal: Bool { self == .invalid || self == .tooLarge || self == .expired }
}

/// The stream is open: what it delivers from where, and what the client must know.
public struct Opened: ChatMessage {
    public var log: String = ""
    public var next: Int64 = 0
    public var partition: Int32 = 0
    public var time_ms: Int64 = 0
    public var idWindow_ms: Int32 = 0
    public var alive_ms: Int32 = 0
    public var maxBodyBytes: Int32 = 0
    public var fallback: String = ""
    public var maxUnacknowledged: Int32 = 0
    public var epoch: Int64 = 0
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, log)
        writer.field(2, next)
        writer.field(3, partition)
        writer.field(4, time_ms)
        writer.field(5, idWindow_ms)
        writer.field(6, alive_ms)
        writer.field(7, maxBodyBytes)
        writer.field(8, fallback)
        writer.field(9, maxUnacknowledged)
        writer.field(10, epoch)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: log = try field.value.string("log") ?? log
        case 2: next = field.value.int64 ?? next
        case 3: partition = field.value.int32 ?? partition
        case 4: time_ms = field.value.int64 ?? time_ms
        case 5: idWindow_ms = field.value.int32 ?? idWindow_ms
        case 6: alive_ms = field.value.int32 ?? alive_ms
        case 7: maxBodyBytes = field.value.int32 ?? maxBodyBytes
        case 8: fallback = try field.value.string("fallback") ?? fallback
        case 9: maxUnacknowledged = field.value.int32 ?? maxUnacknowledged
        case 10: epoch = field.value.int64 ?? epoch
        default: break
        }
    }
}

/// A record of the user's own partition.
public struct Message: ChatMessage {
    public var id: [UInt8] = []
    public var offset: Int64 = 0
    public var sender: UInt64 = 0
    public var receiver: UInt64 = 0
    public var body: [UInt8] = []
    public var time_ms: Int64 = 0
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, id)
        writer.field(2, offset)
        writer.field(3, sender)
        writer.field(4, receiver)
        writer.field(5, body)
        writer.field(6, time_ms)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: id = field.value.array ?? id
        case 2: offset = field.value.int64 ?? offset
        case 3: sender = field.value.uint64 ?? sender
        case 4: receiver = field.value.uint64 ?? receiver
        case 5: body = field.value.array ?? body
        case 6: time_ms = field.value.int64 ?? time_ms
        default: break
        }
    }
}

/// Accepted: in the log for the receiver and for the sender's own devices.
public struct Ack: ChatMessage {
    public var id: [UInt8] = []
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, id)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: id = field.value.array ?? id
        default: break
        }
    }
}

/// Not taken, or not known to be taken, and why.
public struct Refused: ChatMessage {
    public var id: [UInt8] = []
    public var reason: Reason = .unspecified
    public var detail: String = ""
    public var retryAfter_ms: Int32 = 0
    public var round: UInt32 = 0
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, id)
        writer.field(2, reason.rawValue)
        writer.field(3, detail)
        writer.field(4, retryAfter_ms)
        writer.field(5, round)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: id = field.value.array ?? id
        case 2: reason = field.value.int32.flatMap(Reason.init) ?? .unspecified
        case 3: detail = try field.value.string("detail") ?? detail
        case 4: retryAfter_ms = field.value.int32 ?? retryAfter_ms
        case 5: round = field.value.uint32 ?? round
        default: break
        }
    }
}

/// Records `from` to before `to` are to be read from the history.
public struct Gap: ChatMessage {
    public var from: Int64 = 0
    public var to: Int64 = 0
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, from)
        writer.field(2, to)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: from = field.value.int64 ?? from
        case 2: to = field.value.int64 ?? to
        default: break
        }
    }
}

/// Everything below `next` has been delivered or announced.
public struct Alive: ChatMessage {
    public var next: Int64 = 0
    public var fallback: String = ""
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, next)
        writer.field(2, fallback)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: next = field.value.int64 ?? next
        case 2: fallback = try field.value.string("fallback") ?? fallback
        default: break
        }
    }
}

/// The partition has a new owner: open there.
public struct Moved: ChatMessage {
    public var messaging: String = ""
    public var epoch: Int64 = 0
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, messaging)
        writer.field(2, epoch)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: messaging = try field.value.string("messaging") ?? messaging
        case 2: epoch = field.value.int64 ?? epoch
        default: break
        }
    }
}
