import Cell
import History
import Synchronization

/// A real store that fails when told to.
final class BreakableStore: HistoryStore {
    private let real: SQLiteHistoryStore
    private let broken = Mutex(false)

    init(path: String) async throws {
        real = try await SQLiteHistoryStore(path: path)
        try await real.createSchema()
    }

    var isBroken: Bool {
        get { broken.withLock { $0 } }
        set { broken.withLock { $0 = newValue } }
    }

    struct Broken: Error, CustomStringConvertible { var description: String { "broken on demand at 10.1.2.3:9042" } }

    private func check() throws {
        if isBroken { throw Broken() }
    }

    func createSchema() async throws { try await real.createSchema() }
    func missingTables() async throws -> [String] { try await real.missingTables() }
    func close() { real.close() }

    func write(_ batch: HistoryBatch) async throws {
        try check()
        try await real.write(batch)
    }

    func advance(_ log: LogID, _ partition: Partition, to progress: HistoryProgress) async throws {
        try check()
        try await real.advance(log, partition, to: progress)
    }

    func progress(_ log: LogID, _ partition: Partition) async throws -> HistoryProgress {
        try check()
        return try await real.progress(log, partition)
    }

    func rows(_ key: HistoryKey, _ log: LogID, in offsets: Range<Int64>, limit: Int) async throws -> [HistoryRow] {
        try check()
        return try await real.rows(key, log, in: offsets, limit: limit)
    }

    func mark(_ log: LogID, _ partition: Partition, notBefore hour: Hour) async throws -> HourMark? {
        try await real.mark(log, partition, notBefore: hour)
    }

    func mark(_ log: LogID, _ partition: Partition, notAfter hour: Hour) async throws -> HourMark? {
        try await real.mark(log, partition, notAfter: hour)
    }
}
