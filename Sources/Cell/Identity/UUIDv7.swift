/// 128 bits that begin with a Unix time in milliseconds (RFC 9562, version 7): they sort by the time at which they were made.
public struct UUIDv7: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    /// Nil unless version and variant are those of a UUIDv7.
    public init?(high: UInt64, low: UInt64) {
        guard (high >> 12) & 0xf == 7, low >> 62 == 0b10 else { return nil }
        self.high = high
        self.low = low
    }

    /// Nil unless `bytes` are 16 and a UUIDv7, big-endian as RFC 9562 writes it.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        let halves = bytes.reduce(into: (high: UInt64(0), low: UInt64(0))) { halves, byte in
            halves.high = halves.high << 8 | halves.low >> 56
            halves.low = halves.low << 8 | UInt64(byte)
        }
        self.init(high: halves.high, low: halves.low)
    }

    /// A new one, stamped with `time_ms` (Unix milliseconds).
    public init(time_ms: Int64, using generator: inout some RandomNumberGenerator) {
        high = UInt64(time_ms) << 16 | 0x7000 | UInt64.random(in: 0...0xfff, using: &generator)
        low = UInt64.random(in: .min ... .max, using: &generator) >> 2 | 1 << 63
    }

    /// Nil unless `text` is the usual form, 8-4-4-4-12 hex digits.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [8, 4, 4, 4, 12], parts.allSatisfy({ $0.allSatisfy(\.isHexDigit) }), let a = UInt64(parts[0], radix: 16),
            let b = UInt64(parts[1], radix: 16),
            let c = UInt64(parts[2], radix: 16), let d = UInt64(parts[3], radix: 16), let e = UInt64(parts[4], radix: 16)
        else { return nil }
        self.init(high: a << 32 | b << 16 | c, low: d << 48 | e)
    }

    /// Unix milliseconds.
    public var time_ms: Int64 { Int64(high >> 16) }

    public var bytes: [UInt8] {
        [high, low].flatMap { half in stride(from: UInt64(56), through: 0, by: -8).map { UInt8(truncatingIfNeeded: half >> $0) } }
    }

    public var description: String {
        let digits = [high, low].map { half -> String in
            let text = String(half, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
        var result = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { result.append("-") }
            result.append(digit)
        }
        return result
    }

    public static func < (a: UUIDv7, b: UUIDv7) -> Bool { a.high == b.high ? a.low < b.low : a.high < b.high }
}

/// What a message is known by: chosen by the client, the same in every retry.
public typealias MessageID = UUIDv7

/// The identity of a log: a topic's life. A later log's id is higher.
public struct LogID: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
    public let uuid: UUIDv7
    public init(_ uuid: UUIDv7) { self.uuid = uuid }
    public init?(_ text: some StringProtocol) {
        guard let uuid = UUIDv7(text) else { return nil }
        self.uuid = uuid
    }

    /// When the log was made, Unix milliseconds.
    public var time_ms: Int64 { uuid.time_ms }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let log = LogID(text) else { throw MalformedValue(text, "a log's id", "a UUIDv7") }
        self = log
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    public static func < (a: LogID, b: LogID) -> Bool { a.uuid < b.uuid }
    public var description: String { uuid.description }
}
