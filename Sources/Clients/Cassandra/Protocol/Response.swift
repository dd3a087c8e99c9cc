/// What a node answered.
enum Response: Sendable, Equatable {
    case ready
    case authenticate(String)
    case authChallenge
    case authSuccess
    case supported([String: [String]])
    case void
    case rows(Rows)
    case keyspace(String)
    case prepared(Prepared)
    case schemaChange
    case event
    case error(CassandraError)

    struct Prepared: Sendable, Equatable {
        var id: [UInt8]
        /// The types of the place holders, in order.
        var types: [CQLType]
    }

    init(_ frame: Frame) throws(CassandraError) {
        guard frame.flags & 0x01 == 0 else { throw CassandraError(.protocolViolation, "a compressed frame, which nobody asked for") }
        var cursor = Cursor(frame.body)
        if frame.flags & 0x02 != 0 { _ = try cursor.take(16, "a tracing id") }
        if frame.flags & 0x08 != 0 { _ = try cursor.stringList() }
        if frame.flags & 0x04 != 0 { try cursor.skipBytesMap() }
        switch frame.opcode {
        case .error: self = .error(try Self.error(&cursor))
        case .ready: self = .ready
        case .authenticate: self = .authenticate(try cursor.string())
        case .supported: self = .supported(try cursor.stringMultimap())
        case .result: self = try Self.result(&cursor)
        case .event: self = .event
        case .authChallenge: self = .authChallenge
        case .authSuccess: self = .authSuccess
        default: throw CassandraError(.protocolViolation, "a node sent a request: \(frame.opcode)")
        }
    }

    private static func result(_ cursor: inout Cursor) throws(CassandraError) -> Response {
        switch try cursor.int() {
        case 1: return .void
        case 2: return .rows(try rows(&cursor))
        case 3: return .keyspace(try cursor.string())
        case 4: return .prepared(try prepared(&cursor))
        case 5: return .schemaChange
        case let kind: throw CassandraError(.malformed, "a result of unknown kind \(kind)")
        }
    }

    private static func rows(_ cursor: inout Cursor) throws(CassandraError) -> Rows {
        let flags = try cursor.int()
        let columnCount = try cursor.int()
        guard columnCount >= 0, columnCount <= Int32(UInt16.max) else { throw CassandraError(.malformed, "\(columnCount) columns") }
        let next: PagingState? =
            flags & 0x02 == 0 ? nil : try cursor.optionalBytes().map { PagingState(bytes: Array($0)) }
        // A layout that nobody sent is not guessed from an earlier answer: such cells stay bytes.
        let columns =
            flags & 0x04 == 0
            ? try Self.columns(Int(columnCount), global: flags & 0x01 != 0, &cursor)
            : Array(repeating: Column(name: "", type: .blob), count: Int(columnCount))
        let rowCount = try cursor.count(each: 4 * Int(columnCount), "rows")
        guard rowCount == 0 || !columns.isEmpty else {
            throw CassandraError(.malformed, "\(rowCount) rows of no columns")
        }
        var values: [[CQLValue]] = []
        values.reserveCapacity(rowCount)
        for _ in 0..<rowCount {
            var row: [CQLValue] = []
            row.reserveCapacity(columns.count)
            for column in columns { row.append(try CQLValue(try cursor.optionalBytes(), column.type)) }
            values.append(row)
        }
        return Rows(columns: columns, values: values, next: next)
    }

    private static func columns(_ count: Int, global: Bool, _ cursor: inout Cursor) throws(CassandraError) -> [Column] {
        guard count <= cursor.remaining / 4 else {
            throw CassandraError(.malformed, "\(count) columns, where \(cursor.remaining) bytes are left")
        }
        if global {
            _ = try cursor.string()
            _ = try cursor.string()
        }
        var columns: [Column] = []
        for _ in 0..<count {
            if !global {
                _ = try cursor.string()
                _ = try cursor.string()
            }
            columns.append(Column(name: try cursor.string(), type: try CQLType(&cursor)))
        }
        return columns
    }

    private static func prepared(_ cursor: inout Cursor) throws(CassandraError) -> Prepared {
        let id = try cursor.shortBytes()
        let flags = try cursor.int()
        let count = try cursor.int()
        guard count >= 0 else { throw CassandraError(.malformed, "\(count) place holders") }
        for _ in 0..<(try cursor.count(each: 2, "key indices")) { _ = try cursor.short() }
        let columns = try Self.columns(Int(count), global: flags & 0x01 != 0, &cursor)
        return Prepared(id: id, types: columns.map(\.type))
    }

    private static func error(_ cursor: inout Cursor) throws(CassandraError) -> CassandraError {
        let code = CassandraError.Code(number: try cursor.int())
        var what = try cursor.string()
        switch code {
        case .unavailable:
            let level = Consistency(rawValue: try cursor.short())
            what += " (\(level?.name ?? "?") needs \(try cursor.int()) replicas, \(try cursor.int()) are alive)"
        case .readTimeout, .writeTimeout, .readFailure, .writeFailure:
            let level = Consistency(rawValue: try cursor.short())
            what += " (\(level?.name ?? "?"): \(try cursor.int()) of \(try cursor.int()) replicas answered)"
        default: break
        }
        return CassandraError(code, what)
    }
}
