import Blackboard
import Cell
import FoundationEssentials
import Glibc
import Support
import Synchronization

/// A whole cell of real processes: a Redis, an operator, and the servers that it starts. All of it ends with `stop()`.
final class CellUnderTest: Sendable {
    let folder: TemporaryFolder
    let redis: RedisProcess
    let name: String
    private let password: String?
    private let operators = Mutex<[ChildProcess]>([])

    /// The repository, and where its executables are built.
    static let repository = String(#filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/"))
    static let binaries = environment("CELL_BINARIES") ?? "\(repository)/.build/debug"

    /// - Parameters:
    ///   - spec: a cell.yaml's text; `DIR` in it stands for the cell's own folder.
    ///   - redisPassword: what its Redis asks for; the programs get it by their environment.
    ///   - runsItself: false where others run the operator and apply the spec.
    init(_ name: String, spec: String, redisPassword: String? = nil, runsItself: Bool = true) async throws {
        self.name = name
        folder = try TemporaryFolder(name)
        redis = try await RedisProcess(password: redisPassword, appendOnly: true)
        password = redisPassword
        try folder.write(spec.replacing("DIR", with: folder.path), to: "cell.yaml")
        guard runsItself else { return }
        try startOperator()
        try await expect("apply", "-f", folder.file("cell.yaml"))
    }

    /// Servers outlive their operator, and would outlive a test that failed as well.
    deinit {
        for child in operators.withLock({ $0 }) { child.signal(SIGKILL) }
        for pid in (try? FileManager.default.contentsOfDirectory(atPath: "/proc"))?.compactMap({ pid_t($0) }) ?? [] {
            guard let output = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/1"), output.hasPrefix(folder.path) else { continue }
            kill(pid, SIGKILL)
        }
    }

    /// The address of its Redis, with what it asks for.
    var redisURL: String { "redis://\(password.map { ":\($0)@" } ?? "")127.0.0.1:\(redis.port)" }
    private var variables: [String: String] { ["CELL_REDIS": redisURL] }

    // MARK: The operator

    func startOperator() throws {
        let number = operators.withLock { $0.count }
        let child = try ChildProcess(
            "\(Self.binaries)/cell-operator", ["--state", folder.file("state"), "--name", "operator-\(number)"], environment: variables)
        operators.withLock { $0.append(child) }
    }

    func killOperator() async throws {
        try await operators.withLock { $0.last }?.kill()
    }

    func signalOperator(_ number: Int, _ signal: Int32) { operators.withLock { $0[number] }.signal(signal) }

    /// What it has logged.
    func operatorLog(_ number: Int) -> String { operators.withLock { $0[number] }.errors }

    /// What stands in its Redis.
    func board() throws -> CellBlackboard {
        guard let cell = CellName(name) else { throw CellFault("\(name) is no cell's name") }
        return CellBlackboard(cell, on: try redis.client())
    }

    // MARK: cellctl

    func cellctl(_ arguments: String..., within limit: Duration = .seconds(120)) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run("\(Self.binaries)/cellctl", arguments, environment: variables, within: limit)
    }

    /// Runs cellctl, which must succeed.
    @discardableResult
    func expect(_ arguments: String..., within limit: Duration = .seconds(120)) async throws -> String { try await expect(arguments, within: limit) }

    @discardableResult
    func expect(_ arguments: [String], within limit: Duration = .seconds(120)) async throws -> String {
        let outcome = try await ChildProcess.run("\(Self.binaries)/cellctl", arguments, environment: variables, within: limit)
        guard outcome.exit == .code(0) else { throw CellFault("cellctl \(arguments): \(outcome.exit) \(outcome.errors) \(outcome.output)") }
        return outcome.output
    }

    /// An item of `cellctl get servers -o json`.
    struct Server: Decodable {
        var name: String, kind: String, role: String, state: String, incarnation: String, address: String, http: String
        var pid: Int32?
        var container: String?
        var pod: String?
        var partitions: [String]
        var connections: Int
    }

    private struct Items<Item: Decodable>: Decodable { var items: [Item] }

    func servers(_ kind: String? = nil) async throws -> [Server] {
        let text = try await expect("get", "servers", "--cell", name, "-o", "json")
        return try JSONDecoder().decode(Items<Server>.self, from: Data(text.utf8)).items.filter { kind == nil || $0.kind == kind }
    }

    struct Event: Decodable {
        var kind: String, text: String
        var server: String?
    }

    func events() async throws -> [Event] {
        let text = try await expect("get", "events", "--cell", name, "-o", "json")
        return try JSONDecoder().decode(Items<Event>.self, from: Data(text.utf8)).items
    }

    /// Waits until all that the spec asks for is ready.
    func waitUntilReady(within limit: Duration = .seconds(120)) async throws {
        try await expect("apply", "-f", folder.file("cell.yaml"), "--wait=\(limit.components.seconds)s", within: limit + .seconds(30))
    }

    /// Waits for `count` messaging servers that own partitions, and none that is draining.
    func waitForOwners(_ count: Int, within limit: Duration = .seconds(120)) async throws {
        try await eventually("\(count) owners", within: limit) {
            let messaging = try await servers("messaging")
            let owners = messaging.filter { $0.role == "owner" && $0.state == "ready" && !$0.partitions.isEmpty }
            return owners.count == count && !messaging.contains { $0.role == "draining" }
        }
    }

    /// Waits until this life of `server` owns nothing any more: what is true before its death was noticed says nothing.
    func waitForLoss(of server: Server, within limit: Duration = .seconds(120)) async throws {
        try await eventually("the loss of \(server.name)", within: limit) {
            try await !servers("messaging").contains { $0.incarnation == server.incarnation && $0.role == "owner" }
        }
    }

    /// A ready messaging server that owns partitions, the lowest by name.
    func owner(_ index: Int = 0) async throws -> Server {
        let owners = try await servers("messaging").filter { $0.role == "owner" && $0.state == "ready" && $0.pid != nil }
        guard index < owners.count else { throw CellFault("there are only \(owners.count) owners: \(try await servers())") }
        return owners[index]
    }

    func connectURL() async throws -> String {
        let address = try await eventually("a connect server", within: .seconds(90)) {
            try await servers("connect").first { $0.state == "ready" }?.address
        }
        return "http://\(address)"
    }

    /// Deletes the cell and ends what it started.
    func stop() async throws {
        let pids = (try? await servers())?.compactMap(\.pid) ?? []
        defer { for pid in pids where pid > 1 { Glibc.kill(pid, SIGKILL) } }
        if operators.withLock({ $0.last?.isRunning }) != true { try startOperator() }
        try await expect("delete", "cell", name, "--wait=90s")
        for child in operators.withLock({ $0 }) { try await child.stop() }
        try await redis.stop()
    }

    /// What its processes wrote, for a failure's report.
    var diagnosis: String {
        let operatorsText = operators.withLock { $0.map { String($0.errors.suffix(4_000)) } }.joined(separator: "\n---\n")
        return "operator:\n\(operatorsText)"
    }
}

struct CellFault: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
