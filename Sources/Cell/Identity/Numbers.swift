/// The assignment's version: one more with every publication, and never less than what anyone has seen.
public struct Epoch: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
    public let value: Int64
    public init(_ value: Int64) { self.value = value }
    public static let none = Epoch(0)
    /// The highest has none after it and stays.
    public var next: Epoch { Epoch(value == .max ? value : value + 1) }
    public init(from decoder: any Decoder) throws { value = try decoder.singleValueContainer().decode(Int64.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
    public static func < (a: Epoch, b: Epoch) -> Bool { a.value < b.value }
    public var description: String { String(value) }
}

/// A leader's number: higher than that of every leader before.
public struct Term: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
    public let value: Int64
    public init(_ value: Int64) { self.value = value }
    public static let none = Term(0)
    public init(from decoder: any Decoder) throws { value = try decoder.singleValueContainer().decode(Int64.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
    public static func < (a: Term, b: Term) -> Bool { a.value < b.value }
    public var description: String { String(value) }
}

/// A user: any unsigned 64-bit integer but 0, written in decimal.
public struct UserID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let value: UInt64

    /// Nil for 0, which is no user.
    public init?(_ value: UInt64) {
        guard value != 0 else { return nil }
        self.value = value
    }

    /// Nil unless `text` is a decimal number from 1 to 2^64 - 1, in digits alone and without leading zeros.
    public init?(_ text: some StringProtocol) {
        guard let first = text.utf8.first, first != UInt8(ascii: "0"), text.utf8.allSatisfy({ (48...57).contains($0) }), let value = UInt64(text)
        else { return nil }
        self.init(value)
    }

    /// The user's partition of `count`: FNV-1a 64 of the id's 8 little-endian bytes, modulo `count`. Fixed for a cell's life.
    public func partition(of count: Int) -> Partition { Partition(Int32(hash % UInt64(count))) }

    /// FNV-1a 64 of the id's 8 little-endian bytes (http://www.isthe.com/chongo/tech/comp/fnv).
    public var hash: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            hash = (hash ^ ((value >> shift) & 0xff)) &* 0x100_0000_01b3
        }
        return hash
    }

    public static func < (a: UserID, b: UserID) -> Bool { a.value < b.value }
    public var description: String { String(value) }
}

/// A partition of the cell's topic, from 0.
public struct Partition: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let number: Int32
    public init(_ number: Int32) { self.number = number }
    public init(_ number: Int) { self.number = Int32(number) }
    public static func < (a: Partition, b: Partition) -> Bool { a.number < b.number }
    public var description: String { String(number) }
}
