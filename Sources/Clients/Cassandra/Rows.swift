/// Where a page of a result ended; opaque, to be given back for the next page.
public struct PagingState: Sendable, Equatable {
    public var bytes: [UInt8]

    public init(bytes: [UInt8]) { self.bytes = bytes }
}

/// Which page of a result is wanted.
public struct PageRequest: Sendable, Equatable {
    /// Rows a page; nil: all in one.
    public var size: Int?
    public var state: PagingState?

    public init(size: Int? = nil, after state: PagingState? = nil) {
        self.size = size
        self.state = state
    }

    public static let whole = PageRequest()
}

public struct Column: Sendable, Equatable {
    public var name: String
    public var type: CQLType
}

/// One page of a result. A page without rows is not the end: only `next == nil` is.
public struct Rows: Sendable, Equatable {
    public var columns: [Column]
    public var values: [[CQLValue]]
    /// nil on the last page.
    public var next: PagingState?

    public static let none = Rows(columns: [], values: [], next: nil)

    public var count: Int { values.count }
    public var isEmpty: Bool { values.isEmpty }

    /// The rows, each with typed access to its values.
    public var rows: [Row] { values.map { Row(columns: columns, values: $0) } }
}

/// One row. Asking for what is not there, or for another type, throws `wrongValue`; it never traps.
public struct Row: Sendable {
    let columns: [Column]
    let values: [CQLValue]

    public func bigint(_ index: Int) throws(CassandraError) -> Int64 {
        if case .bigint(let value) = try value(index) { return value }
        throw wrong(index, "a bigint")
    }

    public func int(_ index: Int) throws(CassandraError) -> Int32 {
        if case .int(let value) = try value(index) { return value }
        throw wrong(index, "an int")
    }

    public func text(_ index: Int) throws(CassandraError) -> String {
        switch try value(index) {
        case .text(let value), .inet(let value): return value
        default: throw wrong(index, "a text")
        }
    }

    public func bytes(_ index: Int) throws(CassandraError) -> [UInt8] {
        switch try value(index) {
        case .blob(let value), .uuid(let value): return value
        default: throw wrong(index, "a blob or uuid")
        }
    }

    public func value(_ index: Int) throws(CassandraError) -> CQLValue {
        guard values.indices.contains(index) else {
            throw CassandraError(.wrongValue, "column \(index) of a row that has \(values.count)")
        }
        return values[index]
    }

    private func wrong(_ index: Int, _ wanted: String) -> CassandraError {
        CassandraError(.wrongValue, "column \(index) (\(columns[index].name)) is \(columns[index].type), not \(wanted)")
    }
}
