import Glibc
import Support
import Testing

@testable import SQLite

@Suite struct SQLiteTests {
    func code(_ body: () async throws -> Void) async -> SQLiteError.Code? {
        do { try await body() } catch { return (error as? SQLiteError)?.code }
        return nil
    }

    @Test("values come back as they went in, also after closing and opening")
    func roundTrip() async throws {
        let folder = try TemporaryFolder("sqlite")
        let values: [SQLiteValue] = [.integer(.min), .real(2.5), .text("h\u{e9}llo"), .blob([0, 1, 255]), .blob([]), .null, .text(""), .text("a\0b")]
        let first = try await SQLiteDatabase(path: folder.file("a.db"))
        try await first.perform { connection in
            try connection.run("CREATE TABLE t (a, b, c, d, e, f, g, h)")
            try connection.run("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        }
        first.close()
        let second = try await SQLiteDatabase(path: folder.file("a.db"))
        let rows = try await second.perform { try $0.run("SELECT * FROM t") }
        #expect(rows.map(\.values) == [values])
        let mode = try await second.perform { try $0.run("PRAGMA journal_mode") }
        #expect(try mode[0].text(0) == "wal")
    }

    @Test("a transaction is all or nothing")
    func transaction() async throws {
        let folder = try TemporaryFolder("sqlite")
        let database = try await SQLiteDatabase(path: folder.file("a.db"))
        try await database.perform { _ = try $0.run("CREATE TABLE t (a INTEGER PRIMARY KEY)") }
        let failed = await code {
            try await database.perform { connection in
                try connection.transaction {
                    try connection.run("INSERT INTO t VALUES (?)", [.integer(1)])
                    try connection.run("INSERT INTO t VALUES (?)", [.integer(1)])
                }
            }
        }
        #expect(failed == .constraint)
        #expect(try await database.perform { try $0.run("SELECT a FROM t").count } == 0)
        try await database.perform { connection in try connection.transaction { _ = try connection.run("INSERT INTO t VALUES (7)") } }
        #expect(try await database.perform { try $0.run("SELECT a FROM t")[0].integer(0) } == 7)
    }

    @Test("errors have their code, and leave the database working")
    func errors() async throws {
        let folder = try TemporaryFolder("sqlite")
        #expect(await code { _ = try await SQLiteDatabase(path: folder.file("no/such/folder.db")) } == .cannotOpen)
        try folder.write(String(repeating: "no database, ", count: 100), to: "text.db")
        #expect(await code { _ = try await SQLiteDatabase(path: folder.file("text.db")) } == .corrupt)
        let database = try await SQLiteDatabase(path: folder.file("a.db"))
        for (sql, values, expected) in [
            ("SELEC", [], SQLiteError.Code.syntax), ("", [], .syntax), ("SELECT ?", [], .wrongValue), ("SELECT 1", [.null], .wrongValue),
        ] as [(String, [SQLiteValue], SQLiteError.Code)] {
            #expect(await code { _ = try await database.perform { try $0.run(sql, values) } } == expected, "\(sql)")
        }
        let row = try await database.perform { try $0.run("SELECT 'x'")[0] }
        #expect(throws: SQLiteError.self) { try row.integer(0) }
        #expect(throws: SQLiteError.self) { try row.text(1) }
        database.close()
        #expect(await code { _ = try await database.perform { try $0.run("SELECT 1") } } == .closed)
    }

    @Test("a lock that another holds is waited for, and no longer than the time-out")
    func busy() async throws {
        let folder = try TemporaryFolder("sqlite")
        let one = try await SQLiteDatabase(path: folder.file("a.db"))
        let other = try await SQLiteDatabase(path: folder.file("a.db"), busyTimeout: .milliseconds(50))
        try await one.perform { connection in
            try connection.run("CREATE TABLE t (a)")
            try connection.run("BEGIN IMMEDIATE")
            try connection.run("INSERT INTO t VALUES (1)")
        }
        #expect(await code { _ = try await other.perform { try $0.run("INSERT INTO t VALUES (2)") } } == .busy)
        #expect(try await other.perform { try $0.run("SELECT a FROM t").count } == 0)
        try await one.perform { _ = try $0.run("COMMIT") }
        try await other.perform { _ = try $0.run("INSERT INTO t VALUES (2)") }
        #expect(try await one.perform { try $0.run("SELECT a FROM t").count } == 2)
    }

    @Test("work is done in the order in which it was asked for, all of it before the file closes")
    func order() async throws {
        let folder = try TemporaryFolder("sqlite")
        let database = try await SQLiteDatabase(path: folder.file("a.db"))
        try await database.perform { _ = try $0.run("CREATE TABLE t (a INTEGER)") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in Int64(0)..<200 { group.addTask { try await database.perform { _ = try $0.run("INSERT INTO t VALUES (?)", [.integer(number)]) } } }
            try await group.waitForAll()
        }
        #expect(try await database.perform { try $0.run("SELECT count(*) FROM t")[0].integer(0) } == 200)
    }
}
