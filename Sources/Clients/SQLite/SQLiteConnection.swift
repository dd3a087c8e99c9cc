import CSQLite

/// One open database file, with its prepared statements. Not Sendable: it lives on the thread of its `SQLiteDatabase`.
public final class SQLiteConnection {
    public let path: String
    private let handle: OpaquePointer
    private var statements: [String: OpaquePointer] = [:]

    /// Opens or makes `path`, in WAL mode: readers do not wait for the writer, nor it for them.
    /// `busyTimeout` is how long a statement waits for another process's lock.
    init(path: String, busyTimeout: Duration) throws(SQLiteError) {
        var handle: OpaquePointer?
        let result = sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nil)
        guard result == SQLITE_OK, let handle else {
            let what = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "no memory"
            sqlite3_close_v2(handle)
            throw SQLiteError(SQLiteError.Code(result), path: path, what)
        }
        self.path = path
        self.handle = handle
        let (seconds, attoseconds) = busyTimeout.components
        sqlite3_busy_timeout(handle, Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000))
        _ = try run("PRAGMA journal_mode = WAL")
        // In WAL mode this loses at most what was written last when the machine (not the process) dies, and never breaks the file.
        _ = try run("PRAGMA synchronous = NORMAL")
        // Pages that are written again and again go to the file once for many batches: 64 MB of the log before they do, 16 MB of them at hand.
        _ = try run("PRAGMA wal_autocheckpoint = 16000")
        _ = try run("PRAGMA cache_size = -16384")
    }

    deinit {
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(handle)
    }

    /// Runs one statement, prepared once for each text, and returns its rows.
    @discardableResult
    public func run(_ sql: String, _ values: [SQLiteValue] = []) throws(SQLiteError) -> [SQLiteRow] {
        let statement = try prepared(sql)
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        try bind(values, to: statement, sql)
        var rows: [SQLiteRow] = []
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: rows.append(row(of: statement))
            case SQLITE_DONE: return rows
            case let result: throw failure(result)
            }
        }
    }

    /// Runs `body` as one transaction, all or nothing.
    public func transaction<T>(_ body: () throws -> T) throws -> T {
        try run("BEGIN IMMEDIATE")
        do {
            let result = try body()
            try run("COMMIT")
            return result
        } catch {
            // Some errors have ended the transaction already.
            if sqlite3_get_autocommit(handle) == 0 { _ = try? run("ROLLBACK") }
            throw error
        }
    }

    private func prepared(_ sql: String) throws(SQLiteError) -> OpaquePointer {
        if let known = statements[sql] { return known }
        var statement: OpaquePointer?
        let result = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard result == SQLITE_OK else { throw failure(result) }
        guard let statement else { throw SQLiteError(.syntax, path: path, "no statement in “\(sql)”") }
        statements[sql] = statement
        return statement
    }

    private func bind(_ values: [SQLiteValue], to statement: OpaquePointer, _ sql: String) throws(SQLiteError) {
        guard Int(sqlite3_bind_parameter_count(statement)) == values.count else {
            throw SQLiteError(.wrongValue, path: path, "\(values.count) values for the place holders of “\(sql)”")
        }
        for (index, value) in values.enumerated() {
            let place = Int32(index + 1)
            let result =
                switch value {
                case .null: sqlite3_bind_null(statement, place)
                case .integer(let number): sqlite3_bind_int64(statement, place, number)
                case .real(let number): sqlite3_bind_double(statement, place, number)
                case .text(let text): cell_sqlite_bind_text(statement, place, text, Int32(clamping: text.utf8.count))
                case .blob(let bytes): bytes.withUnsafeBytes { cell_sqlite_bind_blob(statement, place, $0.baseAddress, Int32(clamping: $0.count)) }
                }
            guard result == SQLITE_OK else { throw failure(result) }
        }
    }

    private func row(of statement: OpaquePointer) -> SQLiteRow {
        let values = (0..<sqlite3_column_count(statement)).map { column -> SQLiteValue in
            switch sqlite3_column_type(statement, column) {
            case SQLITE_INTEGER: return .integer(sqlite3_column_int64(statement, column))
            case SQLITE_FLOAT: return .real(sqlite3_column_double(statement, column))
            case SQLITE_TEXT:
                let utf8 = UnsafeBufferPointer(start: sqlite3_column_text(statement, column), count: Int(sqlite3_column_bytes(statement, column)))
                return .text(String(decoding: utf8, as: UTF8.self))
            case SQLITE_BLOB:
                let bytes = UnsafeRawBufferPointer(
                    start: sqlite3_column_blob(statement, column), count: Int(sqlite3_column_bytes(statement, column)))
                return .blob(Array(bytes))
            default: return .null
            }
        }
        return SQLiteRow(values: values, path: path)
    }

    private func failure(_ result: Int32) -> SQLiteError {
        SQLiteError(SQLiteError.Code(result), path: path, String(cString: sqlite3_errmsg(handle)))
    }
}
