/// Reads Kafka's protocol: big-endian numbers, and lengths before what has one. The first thing that is not there fails all that follows.
struct WireReader {
    struct Truncated: Error {}

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func number<Number: FixedWidthInteger>(_: Number.Type = Number.self) throws -> Number {
        let size = MemoryLayout<Number>.size
        return try take(size).reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
    }

    /// Nil where the length is -1.
    mutating func text() throws -> String? {
        let count: Int16 = try number()
        return count < 0 ? nil : String(decoding: try take(Int(count)), as: UTF8.self)
    }

    mutating func bytes() throws -> ArraySlice<UInt8> {
        let count: Int32 = try number()
        return try take(max(0, Int(count)))
    }

    /// As many as the count before them says, none where it is -1.
    mutating func list<Element>(_ element: (inout WireReader) throws -> Element) throws -> [Element] {
        let count: Int32 = try number()
        var all: [Element] = []
        for _ in 0..<max(0, count) { all.append(try element(&self)) }
        return all
    }

    private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw Truncated() }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
}

/// Writes Kafka's protocol.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    mutating func number<Number: FixedWidthInteger>(_ number: Number) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func text(_ text: String?) {
        guard let text else { return number(Int16(-1)) }
        number(Int16(clamping: text.utf8.count))
        bytes.append(contentsOf: text.utf8.prefix(Int(Int16.max)))
    }

    /// Bytes with their length before them.
    mutating func bytes(_ parts: some Sequence<[UInt8]>) {
        let place = bytes.count
        number(Int32(0))
        for part in parts { bytes.append(contentsOf: part) }
        overwrite(Int32(bytes.count - place - 4), at: place)
    }

    mutating func list<Element>(_ all: [Element], _ write: (inout WireWriter, Element) -> Void) {
        number(Int32(all.count))
        for element in all { write(&self, element) }
    }

    mutating func overwrite<Number: FixedWidthInteger>(_ number: Number, at place: Int) {
        withUnsafeBytes(of: number.bigEndian) { bytes.replaceSubrange(place..<place + $0.count, with: $0) }
    }
}

/// What a broker answers with, of Kafka's codes those that this one needs.
enum WireError: Int16, Error {
    case none = 0
    case offsetOutOfRange = 1
    case corruptMessage = 2
    case unknownTopicOrPartition = 3
    case illegalGeneration = 22
    case inconsistentGroupProtocol = 23
    case unknownMember = 25
    case rebalanceInProgress = 27
    case unsupportedVersion = 35
    case outOfOrderSequence = 45
    case duplicateSequence = 46
}
