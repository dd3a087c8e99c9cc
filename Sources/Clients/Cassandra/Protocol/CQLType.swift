/// A column's type, by the protocol's option numbers.
public indirect enum CQLType: Sendable, Equatable {
    case ascii, bigint, blob, boolean, counter, decimal, double, float, int, timestamp, uuid, text, varint
    case timeuuid, inet, date, time, smallint, tinyint
    case list(CQLType), map(CQLType, CQLType), set(CQLType), tuple([CQLType]), named(String)

    private static let simple: [UInt16: CQLType] = [
        0x01: .ascii, 0x02: .bigint, 0x03: .blob, 0x04: .boolean, 0x05: .counter, 0x06: .decimal, 0x07: .double,
        0x08: .float, 0x09: .int, 0x0B: .timestamp, 0x0C: .uuid, 0x0D: .text, 0x0E: .varint, 0x0F: .timeuuid,
        0x10: .inet, 0x11: .date, 0x12: .time, 0x13: .smallint, 0x14: .tinyint,
    ]

    /// Types may hold types; `depth` bounds how far a frame can make us follow.
    init(_ cursor: inout Cursor, depth: Int = 0) throws(CassandraError) {
        guard depth < 16 else { throw CassandraError(.malformed, "a type nested deeper than 16") }
        let option = try cursor.short()
        if let simple = Self.simple[option] {
            self = simple
            return
        }
        switch option {
        case 0x00: self = .named(try cursor.string())
        case 0x20: self = .list(try CQLType(&cursor, depth: depth + 1))
        case 0x21: self = .map(try CQLType(&cursor, depth: depth + 1), try CQLType(&cursor, depth: depth + 1))
        case 0x22: self = .set(try CQLType(&cursor, depth: depth + 1))
        case 0x30: self = try Self.userType(&cursor, depth: depth)
        case 0x31:
            var parts: [CQLType] = []
            for _ in 0..<(try cursor.short()) { parts.append(try CQLType(&cursor, depth: depth + 1)) }
            self = .tuple(parts)
        default: throw CassandraError(.malformed, "a column of unknown type \(option)")
        }
    }

    private static func userType(_ cursor: inout Cursor, depth: Int) throws(CassandraError) -> CQLType {
        let keyspace = try cursor.string()
        let name = try cursor.string()
        for _ in 0..<(try cursor.short()) {
            _ = try cursor.string()
            _ = try CQLType(&cursor, depth: depth + 1)
        }
        return .named("\(keyspace).\(name)")
    }
}
