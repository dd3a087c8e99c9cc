/// A value of a column or of a statement's place holder.
public enum CQLValue: Sendable, Equatable {
    case null
    case bigint(Int64), int(Int32), smallint(Int16), tinyint(Int8), boolean(Bool), double(Double)
    case text(String), blob([UInt8])
    /// Unix milliseconds.
    case timestamp(Int64)
    /// 16 bytes.
    case uuid([UInt8])
    /// In its usual notation.
    case inet(String)
    /// A type that this client does not take apart, as it came.
    case other(CQLType, [UInt8])

    /// Whether a column of `type` takes this value.
    func suits(_ type: CQLType) -> Bool {
        switch (self, type) {
        case (.null, _), (.bigint, .bigint), (.bigint, .counter), (.int, .int), (.smallint, .smallint), (.tinyint, .tinyint),
            (.boolean, .boolean), (.double, .double), (.text, .text), (.text, .ascii), (.blob, .blob),
            (.timestamp, .timestamp):
            true
        case (.uuid(let bytes), .uuid), (.uuid(let bytes), .timeuuid): bytes.count == 16
        case (.other(let own, _), _): own == type
        default: false
        }
    }

    func write(into writer: inout Writer) {
        switch self {
        case .null: writer.int(-1)
        case .bigint(let value), .timestamp(let value):
            writer.int(8)
            writer.long(value)
        case .int(let value):
            writer.int(4)
            writer.int(value)
        case .smallint(let value):
            writer.int(2)
            writer.short(UInt16(bitPattern: value))
        case .tinyint(let value): writer.longBytes([UInt8(bitPattern: value)])
        case .boolean(let value): writer.longBytes([value ? 1 : 0])
        case .double(let value):
            writer.int(8)
            writer.long(Int64(bitPattern: value.bitPattern))
        case .text(let value), .inet(let value): writer.longString(value)
        case .blob(let bytes), .uuid(let bytes), .other(_, let bytes): writer.longBytes(bytes)
        }
    }
}

extension CQLValue {
    /// The value of a cell of `type`. Throws `malformed` when the bytes cannot be one.
    init(_ bytes: ArraySlice<UInt8>?, _ type: CQLType) throws(CassandraError) {
        guard let bytes else {
            self = .null
            return
        }
        var cursor = Cursor(bytes)
        switch type {
        case .bigint, .counter: self = .bigint(try cursor.long())
        case .timestamp: self = .timestamp(try cursor.long())
        case .int: self = .int(try cursor.int())
        case .smallint: self = .smallint(Int16(bitPattern: try cursor.short()))
        case .tinyint: self = .tinyint(Int8(bitPattern: try cursor.byte()))
        case .boolean: self = .boolean(try cursor.byte() != 0)
        case .double: self = .double(Double(bitPattern: UInt64(bitPattern: try cursor.long())))
        case .text, .ascii: self = .text(String(decoding: try cursor.take(cursor.remaining), as: UTF8.self))
        case .blob: self = .blob(Array(try cursor.take(cursor.remaining)))
        case .uuid, .timeuuid: self = .uuid(Array(try cursor.take(16, "a uuid")))
        case .inet: self = .inet(try Self.address(Array(try cursor.take(cursor.remaining))))
        default: self = .other(type, Array(try cursor.take(cursor.remaining)))
        }
        guard cursor.remaining == 0 else {
            throw CassandraError(.malformed, "a \(type) of \(bytes.count) bytes")
        }
    }

    private static func address(_ bytes: [UInt8]) throws(CassandraError) -> String {
        switch bytes.count {
        case 4: return bytes.map(String.init).joined(separator: ".")
        case 16:
            return stride(from: 0, to: 16, by: 2)
                .map { String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16) }.joined(separator: ":")
        default: throw CassandraError(.malformed, "an address of \(bytes.count) bytes")
        }
    }
}
