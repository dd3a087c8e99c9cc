import Cell
import FoundationEssentials
import Processes

/// What stands on disk of one server's life, so that an operator that comes later knows it.
struct ServerRecord: Codable, Equatable, Sendable {
    var server: ServerID
    var incarnation: Incarnation
    /// Nil while it is being started.
    var process: ProcessIdentity?
    var zone: String
    var port: UInt16?
    var started_ms: Int64
    /// Unix milliseconds.
    var ended_ms: Int64?
    var reason: String?
    /// It was asked to stop.
    var asked = false
    /// Nil in records of builds before there were any.
    var template: String?

    var life: ServerLife { ServerLife(server, incarnation) }
    var fileName: String { "\(server)_\(incarnation).json" }
}

/// A folder of server records. Damaged ones are set aside, never trusted.
struct ServerRecords: Sendable {
    let folder: String

    func load() throws -> (records: [ServerRecord], damaged: [String]) {
        var records: [ServerRecord] = []
        var damaged: [String] = []
        for name in try Files.names(in: folder) where name.hasSuffix(".json") {
            let path = "\(folder)/\(name)"
            if let bytes = try? Files.read(path), let record = try? JSONDecoder().decode(ServerRecord.self, from: Data(bytes)), record.fileName == name {
                records.append(record)
            } else {
                damaged.append(name)
                try Files.rename(path, to: path + ".damaged")
            }
        }
        return (records.sorted { $0.life < $1.life }, damaged)
    }

    func save(_ record: ServerRecord) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try Files.replace("\(folder)/\(record.fileName)", with: Array(try encoder.encode(record)), durable: false)
    }

    func remove(_ record: ServerRecord) { Files.remove("\(folder)/\(record.fileName)") }
}
