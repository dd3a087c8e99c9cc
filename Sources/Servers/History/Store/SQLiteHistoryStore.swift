import Cell
import SQLite

/// The history in one file, for a cell on one machine. Several processes may have it open.
public final class SQLiteHistoryStore: HistoryStore {
    private let writer: SQLiteDatabase
    private let reader: SQLiteDatabase

    /// Opens or makes the file. Throws `SQLiteError` when that cannot be.
    public init(path: String) async throws {
        writer = try await SQLiteDatabase(path: path)
        reader = try await SQLiteDatabase(path: path)
    }

    public func close() {
        writer.close()
        reader.close()
    }

    private static let tables = [
        // The offset is that of the owner's partition, so log, owner and offset name one record; both indices are in the log's order.
        "rows": """
        CREATE TABLE IF NOT EXISTS rows (log BLOB NOT NULL, owner INTEGER NOT NULL, peer INTEGER NOT NULL, offset INTEGER NOT NULL,
            id BLOB NOT NULL, sender INTEGER NOT NULL, receiver INTEGER NOT NULL, time_ms INTEGER NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (log, owner, offset)) WITHOUT ROWID
        """,
        "hours": """
        CREATE TABLE IF NOT EXISTS hours (log BLOB NOT NULL, part INTEGER NOT NULL, hour INTEGER NOT NULL, first INTEGER NOT NULL,
            PRIMARY KEY (log, part, hour)) WITHOUT ROWID
        """,
        "progress": """
        CREATE TABLE IF NOT EXISTS progress (log BLOB NOT NULL, part INTEGER NOT NULL, through INTEGER NOT NULL, time_ms INTEGER NOT NULL,
            PRIMARY KEY (log, part)) WITHOUT ROWID
        """,
    ]

    public func createSchema() async throws {
        try await writer.perform { connection in
            try connection.transaction {
                for (_, statement) in Self.tables.sorted(by: { $0.key < $1.key }) { try connection.run(statement) }
                try connection.run("CREATE INDEX IF NOT EXISTS dialogs ON rows (log, owner, peer, offset)")
            }
        }
    }

    public func missingTables() async throws -> [String] {
        let there = try await reader.perform { connection in
            try connection.run("SELECT name FROM sqlite_master WHERE type = 'table'").map { row throws(SQLiteError) in try row.text(0) }
        }
        return Set(Self.tables.keys).subtracting(there).sorted()
    }

    public func write(_ batch: HistoryBatch) async throws {
        try await writer.perform { connection in
            try connection.transaction {
                for entry in batch.entries {
                    try connection.run("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", Self.values(entry, batch.log))
                }
                for mark in batch.marks {
                    try connection.run(
                        "INSERT OR REPLACE INTO hours VALUES (?, ?, ?, ?)",
                        [batch.log.sqlite, .integer(Int64(batch.partition.number)), .integer(mark.hour.number), .integer(mark.first)])
                }
            }
        }
    }

    private static func values(_ entry: HistoryEntry, _ log: LogID) -> [SQLiteValue] {
        let row = entry.row
        return [
            log.sqlite, entry.owner.sqlite, entry.peer.sqlite, .integer(row.offset), .blob(row.id.bytes), row.sender.sqlite,
            row.receiver.sqlite, .integer(row.time_ms), .blob(row.body),
        ]
    }

    public func advance(_ log: LogID, _ partition: Partition, to progress: HistoryProgress) async throws {
        try await writer.perform { connection in
            _ = try connection.run(
                """
                INSERT INTO progress VALUES (?, ?, ?, ?) ON CONFLICT (log, part)
                DO UPDATE SET through = excluded.through, time_ms = excluded.time_ms WHERE excluded.through > through
                """,
                [log.sqlite, .integer(Int64(partition.number)), .integer(progress.through), .integer(progress.time_ms)])
        }
    }

    public func progress(_ log: LogID, _ partition: Partition) async throws -> HistoryProgress {
        let rows = try await read("SELECT through, time_ms FROM progress WHERE log = ? AND part = ?", [log.sqlite, .integer(Int64(partition.number))])
        guard let row = rows.first else { return .none }
        return HistoryProgress(through: try row.integer(0), time_ms: try row.integer(1))
    }

    public func rows(_ key: HistoryKey, _ log: LogID, in offsets: Range<Int64>, limit: Int) async throws -> [HistoryRow] {
        var values = [log.sqlite, key.owner.sqlite]
        var peer = ""
        if case .dialog(_, let other) = key {
            peer = "AND peer = ?"
            values.append(other.sqlite)
        }
        let rows = try await read(
            """
            SELECT offset, id, sender, receiver, time_ms, body FROM rows
            WHERE log = ? AND owner = ? \(peer) AND offset >= ? AND offset < ? ORDER BY offset DESC LIMIT ?
            """, values + [.integer(offsets.lowerBound), .integer(offsets.upperBound), .integer(Int64(limit))])
        return try rows.map { row in
            try HistoryRow(
                offset: try row.integer(0), id: try row.blob(1), sender: try row.integer(2), receiver: try row.integer(3),
                time_ms: try row.integer(4), body: try row.blob(5))
        }
    }

    public func mark(_ log: LogID, _ partition: Partition, notBefore hour: Hour) async throws -> HourMark? {
        try await mark("hour >= ? ORDER BY hour ASC", log, partition, hour)
    }

    public func mark(_ log: LogID, _ partition: Partition, notAfter hour: Hour) async throws -> HourMark? {
        try await mark("hour <= ? ORDER BY hour DESC", log, partition, hour)
    }

    private func mark(_ which: String, _ log: LogID, _ partition: Partition, _ hour: Hour) async throws -> HourMark? {
        let rows = try await read(
            "SELECT hour, first FROM hours WHERE log = ? AND part = ? AND \(which) LIMIT 1",
            [log.sqlite, .integer(Int64(partition.number)), .integer(hour.number)])
        return try rows.first.map { HourMark(hour: Hour(try $0.integer(0)), first: try $0.integer(1)) }
    }

    private func read(_ sql: String, _ values: [SQLiteValue]) async throws -> [SQLiteRow] {
        try await reader.perform { try $0.run(sql, values) }
    }
}

extension LogID {
    fileprivate var sqlite: SQLiteValue { .blob(uuid.bytes) }
}

extension UserID {
    /// SQLite's integers are signed; the bits are kept.
    fileprivate var sqlite: SQLiteValue { .integer(Int64(bitPattern: value)) }
}
