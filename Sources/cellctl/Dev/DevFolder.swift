import FoundationEssentials
import Glibc
import Processes

/// Where a cell of one machine keeps what it has: Redis's data, the operator's state, the history, the logs.
struct DevFolder {
    let path: String

    /// Makes the folder where there is none.
    init(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard let absolute = realpath(path, nil) else {
            throw Failure(.failed, "\(path) cannot be used: \(String(cString: strerror(errno)))", remedy: "Name another folder with --dir")
        }
        defer { free(absolute) }
        self.path = String(cString: absolute)
        for folder in [redis, state, logs] { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }
    }

    var redis: String { "\(path)/redis" }
    var state: String { "\(path)/operator" }
    var logs: String { "\(path)/logs" }
    private var recordPath: String { "\(path)/dev.json" }

    /// What runs in this folder.
    struct Record: Codable {
        var cell: String
        var redisPort: UInt16
        var redis: ProcessIdentity
        var `operator`: ProcessIdentity

        var isAlive: Bool { redis.isAlive || `operator`.isAlive }
        var redisURL: String { "redis://127.0.0.1:\(redisPort)" }
    }

    /// Nil when nothing was started here.
    var record: Record? {
        guard let data = FileManager.default.contents(atPath: recordPath) else { return nil }
        return try? JSONDecoder().decode(Record.self, from: data)
    }

    func write(_ record: Record) throws {
        try JSONEncoder().encode(record).write(to: URL(filePath: recordPath), options: .atomic)
    }

    func forgetRecord() { unlink(recordPath) }
}
