/// What Redis answers.
public enum RedisValue: Sendable, Equatable {
    case null
    case integer(Int64)
    case bytes([UInt8])
    /// A simple string such as `OK`.
    case status(String)
    case array([RedisValue])
    /// An error inside an array, as in the answer to EXEC. An error that is the whole answer is thrown instead.
    case error(RedisError)

    /// The text of bytes (malformed UTF-8 repaired) or of a status; the digits of an integer.
    public var string: String? {
        switch self {
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .status(let text): text
        case .integer(let number): String(number)
        case .null, .array, .error: nil
        }
    }

    /// The raw bytes of a bulk string or status.
    public var bytes: [UInt8]? {
        switch self {
        case .bytes(let bytes): bytes
        case .status(let text): Array(text.utf8)
        case .null, .integer, .array, .error: nil
        }
    }

    /// An integer, or the number that bytes spell in decimal.
    public var integer: Int64? {
        switch self {
        case .integer(let number): number
        case .bytes, .status: string.flatMap { Int64($0) }
        case .null, .array, .error: nil
        }
    }

    public var array: [RedisValue]? {
        if case .array(let values) = self { values } else { nil }
    }

    public var isNull: Bool { self == .null }

    /// The pairs of a flat array (HGETALL, ZRANGE WITHSCORES), in Redis's order; nil when it is no array of even length with named keys.
    public var pairs: [(key: String, value: RedisValue)]? {
        guard let array, array.count.isMultiple(of: 2) else { return nil }
        var result: [(key: String, value: RedisValue)] = []
        result.reserveCapacity(array.count / 2)
        for at in stride(from: 0, to: array.count, by: 2) {
            guard let key = array[at].string else { return nil }
            result.append((key, array[at + 1]))
        }
        return result
    }

    /// The first error in it, at any depth.
    var firstError: RedisError? {
        switch self {
        case .error(let error): error
        case .array(let values): values.lazy.compactMap(\.firstError).first
        case .null, .integer, .bytes, .status: nil
        }
    }
}

/// What can stand in a command.
public protocol RedisArgument: Sendable {
    var redisBytes: [UInt8] { get }
}

extension String: RedisArgument {
    public var redisBytes: [UInt8] { Array(utf8) }
}

extension Substring: RedisArgument {
    public var redisBytes: [UInt8] { Array(utf8) }
}

extension Array: RedisArgument where Element == UInt8 {
    public var redisBytes: [UInt8] { self }
}

extension Int: RedisArgument {}
extension Int64: RedisArgument {}
extension UInt64: RedisArgument {}
extension Double: RedisArgument {}
extension RedisArgument where Self: LosslessStringConvertible {
    public var redisBytes: [UInt8] { Array(description.utf8) }
}
