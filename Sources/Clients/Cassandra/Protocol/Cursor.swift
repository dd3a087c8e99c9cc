/// Reads the protocol's notations from a frame's body. Every length is checked against what is there before it is believed.
struct Cursor {
    private let bytes: [UInt8]
    private var position: Int
    private let end: Int

    init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    init(_ slice: ArraySlice<UInt8>) {
        bytes = Array(slice)
        position = 0
        end = bytes.count
    }

    var remaining: Int { end - position }

    mutating func take(_ count: Int, _ what: String = "bytes") throws(CassandraError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else {
            throw CassandraError(.malformed, "\(what) of \(count) bytes at byte \(position), where \(remaining) are left")
        }
        defer { position += count }
        return bytes[position..<position + count]
    }

    private mutating func number<N: FixedWidthInteger>(_: N.Type) throws(CassandraError) -> N {
        var value: N = 0
        for byte in try take(N.bitWidth / 8, "a number") { value = value << 8 | N(truncatingIfNeeded: byte) }
        return value
    }

    mutating func byte() throws(CassandraError) -> UInt8 { try take(1, "a byte").first ?? 0 }
    mutating func short() throws(CassandraError) -> UInt16 { try number(UInt16.self) }
    mutating func int() throws(CassandraError) -> Int32 { try number(Int32.self) }
    mutating func long() throws(CassandraError) -> Int64 { try number(Int64.self) }

    mutating func string() throws(CassandraError) -> String {
        String(decoding: try take(Int(try short()), "a string"), as: UTF8.self)
    }

    mutating func shortBytes() throws(CassandraError) -> [UInt8] { Array(try take(Int(try short()), "short bytes")) }

    /// nil for a negative length: null.
    mutating func optionalBytes() throws(CassandraError) -> ArraySlice<UInt8>? {
        let count = try int()
        return count < 0 ? nil : try take(Int(count))
    }

    mutating func stringList() throws(CassandraError) -> [String] {
        var list: [String] = []
        for _ in 0..<(try short()) { list.append(try string()) }
        return list
    }

    mutating func stringMultimap() throws(CassandraError) -> [String: [String]] {
        var map: [String: [String]] = [:]
        for _ in 0..<(try short()) { map[try string()] = try stringList() }
        return map
    }

    mutating func skipBytesMap() throws(CassandraError) {
        for _ in 0..<(try short()) {
            _ = try string()
            _ = try optionalBytes()
        }
    }

    /// A count that is followed by at least `each` bytes an item: refused when the items cannot be there.
    mutating func count(each: Int, _ what: String) throws(CassandraError) -> Int {
        let count = Int(try int())
        guard count >= 0, count <= remaining / max(each, 1) else {
            throw CassandraError(.malformed, "\(count) \(what), where \(remaining) bytes are left")
        }
        return count
    }
}
