/// As much of protobuf, and of `contract/chat.proto`, as routing in memory needs.
enum Wire {
    /// A field of a message: its number, and its varint or its bytes.
    struct Field {
        var number: Int
        var value: UInt64 = 0
        var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Takes the next field off `rest`; nil at the end, and at what is malformed.
    static func next(_ rest: inout UnsafeRawBufferPointer) -> Field? {
        guard let tag = varint(&rest) else { return nil }
        var field = Field(number: Int(truncatingIfNeeded: tag >> 3))
        switch tag & 7 {
        case 0:
            guard let value = varint(&rest) else { return nil }
            field.value = value
        case 2:
            guard let length = varint(&rest), length <= UInt64(rest.count) else { return nil }
            field.bytes = UnsafeRawBufferPointer(rebasing: rest[..<(rest.startIndex + Int(length))])
            rest = UnsafeRawBufferPointer(rebasing: rest[(rest.startIndex + Int(length))...])
        default:
            return nil
        }
        return field
    }

    private static func varint(_ rest: inout UnsafeRawBufferPointer) -> UInt64? {
        var value: UInt64 = 0
        for (index, byte) in rest.prefix(10).enumerated() {
            value |= UInt64(byte & 127) << UInt64(7 * index)
            if byte < 128 {
                rest = UnsafeRawBufferPointer(rebasing: rest[(rest.startIndex + index + 1)...])
                return value
            }
        }
        return nil
    }
}

/// A gRPC message being written: five bytes of prefix, then a ServerFrame with one field, whose lengths are filled in at the end.
struct FrameWriter {
    private(set) var bytes: [UInt8] = [0, 0, 0, 0, 0]

    /// A ServerFrame whose field `number` holds `body`.
    static func framed(_ number: Int, _ body: FrameWriter) -> [UInt8] {
        var frame = FrameWriter()
        let content = body.bytes.count - 5
        frame.bytes.reserveCapacity(content + 12)
        frame.tag(number, 2)
        frame.varint(UInt64(content))
        frame.bytes += body.bytes[5...]
        let length = UInt32(frame.bytes.count - 5)
        for index in 0..<4 { frame.bytes[1 + index] = UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * index)) }
        return frame.bytes
    }

    mutating func number(_ field: Int, _ value: UInt64) {
        guard value != 0 else { return }
        tag(field, 0)
        varint(value)
    }

    mutating func data(_ field: Int, _ value: UnsafeRawBufferPointer) {
        guard !value.isEmpty else { return }
        tag(field, 2)
        varint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    private mutating func tag(_ field: Int, _ type: Int) { varint(UInt64(field << 3 | type)) }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 128 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 128)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
