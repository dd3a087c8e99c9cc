import Blackboard
import Cell
import FoundationEssentials
import Redis
import Support
import Testing

/// The built `cell-server`, for a cell whose operator is the test.
struct ServerUnderTest {
    let process: ChildProcess
    let id: ServerID
    let incarnation: Incarnation

    static let binary: String = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return (environment("CELL_BINARIES") ?? folder.appending(path: ".build/debug").path) + "/cell-server"
    }()

    /// - Parameter url: with user and password, given by the environment, where nobody reads it.
    init(_ id: ServerID, _ incarnation: String, redis: RedisAddress, url: String? = nil, _ more: [String] = []) throws {
        self.id = id
        self.incarnation = Incarnation(incarnation)!
        process = try ChildProcess(
            Self.binary,
            [id.kind.rawValue, "--cell", "eu-1", "--server", id.description, "--incarnation", incarnation]
                + (url == nil ? ["--redis", redis.description] : []) + more,
            environment: url.map { ["CELL_REDIS": $0] } ?? [:])
    }

    /// Its report, as soon as it fulfils `condition`.
    func report(on board: CellBlackboard, within limit: Duration = .seconds(60), where condition: (Report) -> Bool = { _ in true }) async throws -> Report {
        try await eventually("\(id)'s report; \(process.errors)", within: limit) {
            guard let report = try await board.servers().reports[id], report.incarnation == incarnation, condition(report) else { return nil }
            return report
        }
    }

    /// Its lease, while it is live.
    func lease(on board: CellBlackboard) async throws -> ServersInRedis.Lease? {
        let servers = try await board.servers()
        return servers.leases.first { $0.server == id && $0.incarnation == incarnation && servers.isLive($0) }
    }
}

/// What curl got.
struct Fetched {
    var status: Int
    var headers: String
    var body: String

    init(_ url: String, _ headers: [String] = []) async throws {
        let fetched = try await ChildProcess.run("curl", ["-s", "-i", "--max-time", "20"] + headers.flatMap { ["-H", $0] } + [url])
        let parts = fetched.output.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        self.headers = String(parts.first ?? "").lowercased()
        body = parts.count == 2 ? String(parts[1]) : ""
        status = self.headers.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    }
}
