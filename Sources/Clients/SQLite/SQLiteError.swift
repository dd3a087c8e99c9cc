import CSQLite

/// What went wrong with a database file: a closed code, where, what, and what to do instead.
public struct SQLiteError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable, CaseIterable {
        case cannotOpen, busy, readOnly, full, corrupt, ioError, constraint, syntax, wrongValue, noMemory, closed, other
    }

    public var code: Code
    /// The database's file.
    public var path: String
    public var what: String

    public init(_ code: Code, path: String, _ what: String) {
        self.code = code
        self.path = path
        self.what = what
    }

    public var description: String { "sqlite \(path): \(code.rawValue): \(what). \(code.remedy)" }
}

extension SQLiteError.Code {
    public var remedy: String {
        switch self {
        case .cannotOpen: "Check that the folder is there and may be written"
        case .busy: "Another process writes for too long; try again"
        case .readOnly: "Make the file and its folder writable"
        case .full: "Free space on the disk"
        case .corrupt: "Put the file aside and restore it, or let it be made anew from the log"
        case .ioError: "Look at the disk and the system's log"
        case .constraint, .syntax, .wrongValue: "Mend the statement"
        case .noMemory: "Give the process more memory"
        case .closed: "Open the database again"
        case .other: "See what SQLite says of this result code"
        }
    }

    /// By SQLite's primary result codes.
    init(_ result: Int32) {
        self =
            switch result & 0xff {
            case SQLITE_CANTOPEN, SQLITE_AUTH, SQLITE_PERM: .cannotOpen
            case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL: .busy
            case SQLITE_READONLY: .readOnly
            case SQLITE_FULL: .full
            case SQLITE_CORRUPT, SQLITE_NOTADB: .corrupt
            case SQLITE_IOERR: .ioError
            case SQLITE_CONSTRAINT: .constraint
            case SQLITE_ERROR: .syntax
            case SQLITE_RANGE, SQLITE_MISMATCH, SQLITE_TOOBIG: .wrongValue
            case SQLITE_NOMEM: .noMemory
            default: .other
            }
    }
}
