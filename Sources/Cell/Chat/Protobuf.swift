/// Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding), as much as chat.proto needs.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Proto3: a default value is left out.
    mutating func field(_ number: Int, _ value: UInt64) {
        if value != 0 { present(number, value) }
    }

    mutating func field(_ number: Int, _ value: Int64) { field(number, UInt64(bitPattern: value)) }
    mutating func field(_ number: Int, _ value: Int32) { field(number, Int64(value)) }
    mutating func field(_ number: Int, _ value: UInt32) { field(number, UInt64(value)) }
    mutating func field(_ number: Int, _ value: Bool) { field(number, value ? 1 as UInt64 : 0) }

    /// A field with presence: written also when it is 0.
    mutating func present(_ number: Int, _ value: UInt64) {
        varint(UInt64(number) << 3)
        varint(value)
    }

    mutating func optional(_ number: Int, _ value: Int64?) {
        if let value { present(number, UInt64(bitPattern: value)) }
    }

    mutating func field(_ number: Int, _ value: String) {
        if !value.isEmpty { nested(number, Array(value.utf8)) }
    }

    mutating func field(_ number: Int, _ value: [UInt8]) {
        if !value.isEmpty { nested(number, value) }
    }

    /// A submessage, or an element of a repeated field: written also when it is empty.
    mutating func nested(_ number: Int, _ value: [UInt8]) {
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(value.count))
        bytes += value
    }
}

/// Why bytes are no message of chat.proto.
public struct ProtobufError: Error, Equatable, Sendable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}

/// Reads the fields of one message in place, in their order; unknown ones are skipped. The bytes must outlive the reader.
struct ProtobufReader {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0
    private static let deepestGroup = 32

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    enum Value {
        case varint(UInt64)
        case fixed
        case bytes(UnsafeRawBufferPointer)

        var int64: Int64? { if case .varint(let value) = self { Int64(bitPattern: value) } else { nil } }
        var int32: Int32? { int64.map { Int32(truncatingIfNeeded: $0) } }
        var uint32: UInt32? { int64.map { UInt32(truncatingIfNeeded: $0) } }
        var uint64: UInt64? { if case .varint(let value) = self { value } else { nil } }
        var bool: Bool? { uint64.map { $0 != 0 } }
        var message: UnsafeRawBufferPointer? { if case .bytes(let bytes) = self { bytes } else { nil } }
        var array: [UInt8]? { message.map { Array($0) } }
    }

    /// The next field of a known or unknown number; nil at the end.
    mutating func next() throws(ProtobufError) -> (number: Int, value: Value)? {
        while index < bytes.count {
            let key = try varint()
            let number = try number(of: key)
            switch key & 7 {
            case 0: return (number, .varint(try varint()))
            case 1: try skip(8)
            case 2: return (number, .bytes(try chunk()))
            case 3: try skipGroup(number, depth: 1)
            case 5: try skip(4)
            default: throw ProtobufError("field \(number) has wire type \(key & 7), which does not begin a field")
            }
        }
        return nil
    }

    private func number(of key: UInt64) throws(ProtobufError) -> Int {
        guard (1...UInt64(1 << 29 - 1)).contains(key >> 3) else { throw ProtobufError("\(key >> 3) is no field number") }
        return Int(key >> 3)
    }

    private mutating func varint() throws(ProtobufError) -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard index < bytes.count else { throw ProtobufError("the message ends inside a number") }
            let byte = bytes[index]
            index += 1
            result |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return result }
        }
        throw ProtobufError("a number is longer than 10 bytes")
    }

    private mutating func chunk() throws(ProtobufError) -> UnsafeRawBufferPointer {
        let length = try varint()
        guard length <= UInt64(bytes.count - index) else { throw ProtobufError("a length of \(length) bytes goes beyond the message") }
        defer { index += Int(length) }
        return UnsafeRawBufferPointer(rebasing: bytes[index..<index + Int(length)])
    }

    private mutating func skip(_ count: Int) throws(ProtobufError) {
        guard count <= bytes.count - index else { throw ProtobufError("the message ends inside a field") }
        index += count
    }

    private mutating func skipGroup(_ group: Int, depth: Int) throws(ProtobufError) {
        guard depth <= Self.deepestGroup else { throw ProtobufError("groups lie deeper than \(Self.deepestGroup)") }
        while index < bytes.count {
            let key = try varint()
            let number = try number(of: key)
            switch key & 7 {
            case 0: _ = try varint()
            case 1: try skip(8)
            case 2: _ = try chunk()
            case 3: try skipGroup(number, depth: depth + 1)
            case 4:
                guard number == group else { throw ProtobufError("group \(group) ends as \(number)") }
                return
            case 5: try skip(4)
            default: throw ProtobufError("field \(number) has wire type \(key & 7)")
            }
        }
        throw ProtobufError("the message ends inside group \(group)")
    }
}

extension ProtobufReader.Value {
    /// Proto3 strings are UTF-8.
    func string(_ field: String) throws(ProtobufError) -> String? {
        guard let message else { return nil }
        guard let text = String(validating: message, as: UTF8.self) else { throw ProtobufError("\(field) is not UTF-8") }
        return text
    }
}
