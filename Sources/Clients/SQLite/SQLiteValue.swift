/// A value of a column or of a statement's place holder.
public enum SQLiteValue: Sendable, Equatable {
    case null
    case integer(Int64), real(Double), text(String), blob([UInt8])
}

/// One row. Asking for what is not there, or for another type, throws `wrongValue`; it never traps.
public struct SQLiteRow: Sendable, Equatable {
    public let values: [SQLiteValue]
    let path: String

    public func integer(_ index: Int) throws(SQLiteError) -> Int64 {
        if case .integer(let value) = try value(index) { return value }
        throw wrong(index, "an integer")
    }

    public func text(_ index: Int) throws(SQLiteError) -> String {
        if case .text(let value) = try value(index) { return value }
        throw wrong(index, "a text")
    }

    public func blob(_ index: Int) throws(SQLiteError) -> [UInt8] {
        if case .blob(let value) = try value(index) { return value }
        throw wrong(index, "a blob")
    }

    private func value(_ index: Int) throws(SQLiteError) -> SQLiteValue {
        guard values.indices.contains(index) else {
            throw SQLiteError(.wrongValue, path: path, "column \(index) of a row that has \(values.count)")
        }
        return values[index]
    }

    private func wrong(_ index: Int, _ wanted: String) -> SQLiteError {
        SQLiteError(.wrongValue, path: path, "column \(index) is \(values[index]), not \(wanted)")
    }
}
