/// The header fields of one decoded block, in one buffer that is used again for the next.
final class HeaderFields {
    struct Field {
        var name: Range<Int>
        var value: Range<Int>
    }

    private var bytes: [UInt8] = []
    private(set) var fields: [Field] = []
    /// As SETTINGS_MAX_HEADER_LIST_SIZE counts: names, values and 32 for each field.
    private(set) var listSize = 0

    func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
        listSize = 0
    }

    func append(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        let start = bytes.count
        bytes.append(contentsOf: name)
        bytes.append(contentsOf: value)
        fields.append(Field(name: start..<start + name.count, value: start + name.count..<bytes.count))
        listSize += name.count + value.count + 32
    }

    func name(_ field: Field) -> ArraySlice<UInt8> { bytes[field.name] }
    func value(_ field: Field) -> ArraySlice<UInt8> { bytes[field.value] }

    /// The value of the first field of that name; nil without one.
    func first(_ name: String) -> ArraySlice<UInt8>? {
        for field in fields where matches(field, name) { return bytes[field.value] }
        return nil
    }

    func all(_ name: String) -> [ArraySlice<UInt8>] {
        fields.filter { matches($0, name) }.map { bytes[$0.value] }
    }

    func matches(_ field: Field, _ name: String) -> Bool {
        field.name.count == name.utf8.count && bytes[field.name].elementsEqual(name.utf8)
    }

    /// Whether the block may stand for a request (RFC 9113, 8.2 and 8.3): lower-case names, pseudo-fields first and once, none of HTTP/1's
    /// connection fields.
    func isWellFormed(pseudo allowed: [String]) -> Bool {
        var regular = false
        var seen = 0
        for field in fields {
            guard let head = bytes[field.name].first else { return false }
            if head == UInt8(ascii: ":") {
                guard !regular, let index = allowed.firstIndex(where: { matches(field, $0) }), seen & 1 << index == 0 else { return false }
                seen |= 1 << index
                continue
            }
            regular = true
            if bytes[field.name].contains(where: { (65...90).contains($0) || $0 <= 0x20 || $0 >= 0x7f }) { return false }
            if bytes[field.value].contains(where: { $0 == 0 || $0 == 10 || $0 == 13 }) { return false }
            if Self.forbidden.contains(where: { matches(field, $0) }) { return false }
            if matches(field, "te"), !bytes[field.value].elementsEqual("trailers".utf8) { return false }
        }
        return true
    }

    private static let forbidden = ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"]
}
