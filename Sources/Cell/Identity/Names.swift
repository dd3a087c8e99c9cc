/// A cell's name: a DNS label of at most 40 characters. It names Redis keys, containers and pods.
public struct CellName: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let description: String

    /// Nil unless `text` is a DNS label (a-z, 0-9 and inner hyphens, beginning with a letter) of at most 40 characters.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard (1...40).contains(bytes.count), bytes.allSatisfy(Self.isAllowed), let first = bytes.first, let last = bytes.last,
            Self.isLetter(first), last != UInt8(ascii: "-")
        else { return nil }
        description = text
    }

    public static func < (a: CellName, b: CellName) -> Bool { a.description < b.description }

    private static func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    private static func isAllowed(_ byte: UInt8) -> Bool {
        isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
    }
}

/// What a server does in its cell.
public enum ServerKind: String, CaseIterable, Codable, Sendable, Comparable {
    case backplane, materialize, history, messaging, connect

    public static func < (a: ServerKind, b: ServerKind) -> Bool { a.rawValue < b.rawValue }
}

/// A server's name within its cell: its kind and a number, like `messaging-3`. A name may come back; an incarnation never does.
public struct ServerID: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
    public let kind: ServerKind
    public let number: Int

    public init(_ kind: ServerKind, _ number: Int) {
        self.kind = kind
        self.number = number
    }

    /// Nil unless `text` is KIND-NUMBER.
    public init?(_ text: String) {
        guard let hyphen = text.lastIndex(of: "-"), let kind = ServerKind(rawValue: String(text[..<hyphen])),
            let number = Int(text[text.index(after: hyphen)...]), number > 0, text == "\(kind.rawValue)-\(number)"
        else { return nil }
        self.init(kind, number)
    }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let id = ServerID(text) else { throw MalformedValue(text, "a server's name", "KIND-NUMBER, like messaging-3") }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    public var description: String { "\(kind.rawValue)-\(number)" }

    /// Looked up very often by the planner: the kind's text is left out, since numbers alone tell most apart.
    public func hash(into hasher: inout Hasher) { hasher.combine(number) }

    public static func < (a: ServerID, b: ServerID) -> Bool { a.kind == b.kind ? a.number < b.number : a.kind < b.kind }
}

/// One life of a server: leases, reports and assignments that name it end with it, also when the server's name comes back.
/// Sixteen hex digits: made by whoever starts the server.
public struct Incarnation: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
    public let description: String

    /// Nil when empty, longer than 64 characters, or with characters other than letters, digits and hyphens.
    public init?(_ text: String) {
        guard (1...64).contains(text.utf8.count), text.utf8.allSatisfy(Self.isAllowed) else { return nil }
        description = text
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        [48...57, 65...90, 97...122, 45...45].contains { $0.contains(byte) }
    }

    public static func random(using generator: inout some RandomNumberGenerator) -> Incarnation {
        let digits = String(UInt64.random(in: .min ... .max, using: &generator), radix: 16)
        return Incarnation(unchecked: String(repeating: "0", count: 16 - digits.count) + digits)
    }

    private init(unchecked text: String) { description = text }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let incarnation = Incarnation(text) else { throw MalformedValue(text, "an incarnation", "hex digits") }
        self = incarnation
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    public static func < (a: Incarnation, b: Incarnation) -> Bool { a.description < b.description }
}

/// A value that reached us from Redis or a file and is not what it should be.
public struct MalformedValue: Error, CustomStringConvertible, Sendable {
    public let value: String, what: String, expected: String

    public init(_ value: String, _ what: String, _ expected: String) {
        self.value = value
        self.what = what
        self.expected = expected
    }

    public var description: String { "\"\(value.prefix(80))\" is not \(what); expected \(expected)" }
}
