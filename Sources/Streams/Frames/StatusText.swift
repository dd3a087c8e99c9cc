/// grpc-message on the wire: UTF-8, then bytes below 0x20, above 0x7e and `%` as `%XX`.
enum StatusText {
    /// Bytes of the text before encoding; longer header lists make peers close the connection.
    static let limit = 1024

    /// Cut to `limit` bytes at a character's end, then encoded.
    static func encode(_ text: String) -> [UInt8] {
        var out: [UInt8] = []
        for byte in cut(text) {
            if byte < 0x20 || byte > 0x7e || byte == UInt8(ascii: "%") {
                out += [UInt8(ascii: "%"), hex(byte >> 4), hex(byte & 15)]
            } else {
                out.append(byte)
            }
        }
        return out
    }

    /// A `%` without two hexadecimal digits stays as it is; what is no UTF-8 becomes U+FFFD.
    static func decode(_ bytes: some Collection<UInt8>) -> String {
        let bytes = Array(bytes)
        var out: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count, let high = digit(bytes[index + 1]), let low = digit(bytes[index + 2]) {
                out.append(high << 4 | low)
                index += 3
            } else {
                out.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func cut(_ text: String) -> [UInt8] {
        guard text.utf8.count > limit else { return Array(text.utf8) }
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            let next = UTF8.encode(scalar)!
            if bytes.count + next.count > limit { break }
            bytes += next
        }
        return bytes
    }

    private static func hex(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 55 + value }
    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }
}
