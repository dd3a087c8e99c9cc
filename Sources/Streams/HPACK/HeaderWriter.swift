/// HPACK encoding without a table: literals that are never indexed, and what RFC 7541's static table has.
///
/// Every block begins with "the table has size 0", which costs a byte and is right whatever size the peer allows.
struct HeaderWriter {
    private(set) var block: [UInt8] = [0x20]

    init() {}

    mutating func status200() { block.append(0x88) }
    mutating func methodPost() { block.append(0x83) }
    mutating func scheme(tls: Bool) { block.append(tls ? 0x87 : 0x86) }
    mutating func path(_ value: String) { literal(nameIndex: 4, Array(value.utf8)) }
    mutating func authority(_ value: String) { literal(nameIndex: 1, Array(value.utf8)) }
    mutating func status(_ value: String) { literal(nameIndex: 8, Array(value.utf8)) }
    mutating func contentType() { literal(nameIndex: 31, Array("application/grpc".utf8)) }

    mutating func literal(_ name: String, _ value: [UInt8]) {
        block.append(0)
        string(Array(name.utf8))
        string(value)
    }

    private mutating func literal(nameIndex: Int, _ value: [UInt8]) {
        integer(nameIndex, bits: 4, flags: 0)
        string(value)
    }

    private mutating func string(_ value: [UInt8]) {
        integer(value.count, bits: 7, flags: 0)
        block += value
    }

    private mutating func integer(_ value: Int, bits: Int, flags: UInt8) {
        let most = (1 << bits) - 1
        guard value >= most else { return block.append(flags | UInt8(value)) }
        block.append(flags | UInt8(most))
        var rest = value - most
        while rest >= 128 {
            block.append(UInt8(rest & 127 | 128))
            rest >>= 7
        }
        block.append(UInt8(rest))
    }
}
