/// Was this Send of mine accepted?
public struct FindQuery: ChatMessage {
    public var receiver: UInt64 = 0
    public var id: [UInt8] = []
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, receiver)
        writer.field(2, id)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: receiver = field.value.uint64 ?? receiver
        case 2: id = field.value.array ?? id
        default: break
        }
    }
}

/// The answer to `FindQuery`.
public struct Found: ChatMessage {
    public enum State: Int32, Sendable { case unspecified, notYet, accepted, absent }

    public var state: State = .unspecified
    public var retryAfter_ms: Int32 = 0
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, state.rawValue)
        writer.field(2, retryAfter_ms)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: state = field.value.int32.flatMap(State.init) ?? .unspecified
        case 2: retryAfter_ms = field.value.int32 ?? retryAfter_ms
        default: break
        }
    }
}

/// The caller's records.
public struct InboxQuery: ChatMessage {
    public var log: String = ""
    public var from: Int64?
    public var to: Int64?
    public var before_ms: Int64?
    public var limit: Int32 = 0
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, log)
        writer.optional(2, from)
        writer.optional(3, to)
        writer.optional(4, before_ms)
        writer.field(5, limit)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: log = try field.value.string("log") ?? log
        case 2: from = field.value.int64 ?? from
        case 3: to = field.value.int64 ?? to
        case 4: before_ms = field.value.int64 ?? before_ms
        case 5: limit = field.value.int32 ?? limit
        default: break
        }
    }
}

/// What the caller exchanged with one peer.
public struct DialogQuery: ChatMessage {
    public var peer: UInt64 = 0
    public var log: String = ""
    public var to: Int64?
    public var before_ms: Int64?
    public var limit: Int32 = 0
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, peer)
        writer.field(2, log)
        writer.optional(3, to)
        writer.optional(4, before_ms)
        writer.field(5, limit)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: peer = field.value.uint64 ?? peer
        case 2: log = try field.value.string("log") ?? log
        case 3: to = field.value.int64 ?? to
        case 4: before_ms = field.value.int64 ?? before_ms
        case 5: limit = field.value.int32 ?? limit
        default: break
        }
    }
}

/// Records, newest first.
public struct Page: ChatMessage {
    public var messages: [Message] = []
    public var more: Bool = false
    public var through: Int64 = 0
    public var log: String = ""
    public var nextLog: String = ""
    public var previousLog: String = ""
    public init() {}

    public func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        for element in messages { writer.nested(1, element.encode()) }
        writer.field(2, more)
        writer.field(3, through)
        writer.field(4, log)
        writer.field(5, nextLog)
        writer.field(6, previousLog)
        return writer.bytes
    }

    public mutating func take(_ number: Int, _ field: ProtobufValue) throws(ProtobufError) {
        switch number {
        case 1: if let message = field.value.message { messages.append(try Message(decoding: message)) }
        case 2: more = field.value.bool ?? more
        case 3: through = field.value.int64 ?? through
        case 4: log = try field.value.string("log") ?? log
        case 5: nextLog = try field.value.string("nextLog") ?? nextLog
        case 6: previousLog = try field.value.string("previousLog") ?? previousLog
        default: break
        }
    }
}
