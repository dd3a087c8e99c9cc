import Blackboard
import Cell
import Glibc
import Processes
import Redis
import YAML

/// A whole cell on one machine: a Redis and an operator in a folder, and the servers that the operator starts.
struct DevCell: Sendable {
    let folder: DevFolder
    let record: DevFolder.Record
    let board: CellBlackboard

    /// The cell.yaml of `cellctl dev` without a file.
    static let defaultSpec = """
        apiVersion: cecochat.io/v1alpha1
        kind: Cell
        metadata: {name: dev}
        spec:
          partitions: 12
          messaging: {servers: 2, standbys: 1}
          connect: {servers: 1, port: 8080}
          backplane: {embedded: {}}
          store: {sqlite: {}}
          auth: {none: {}}
          run: {process: {}}

        """

    /// Starts what a cell needs and gives it its spec; its servers come up after that.
    static func start(in folder: DevFolder, spec text: String, file: String) async throws -> DevCell {
        if let record = folder.record, record.isAlive {
            throw Failure(
                .failed, "cell \(record.cell) runs in \(folder.path) already (Redis on port \(record.redisPort))",
                remedy: "Stop it with `cellctl dev stop --dir \(folder.path)`, or name another folder with --dir")
        }
        let spec = try read(text, file, folder)
        let port = try freePort()
        let redis = try startRedis(in: folder, port: port)
        let address = RedisAddress(host: "127.0.0.1", port: Int(port))
        let client = try RedisClient(address)
        do {
            try await waitForRedis(client, redis, folder)
            let board = CellBlackboard(spec.name, on: client)
            try await put(spec, on: board)
            let operatorProcess = try startOperator(in: folder, redis: "redis://127.0.0.1:\(port)")
            let record = DevFolder.Record(cell: spec.name.description, redisPort: port, redis: redis, operator: operatorProcess)
            try folder.write(record)
            return DevCell(folder: folder, record: record, board: board)
        } catch {
            redis.signal(SIGTERM)
            throw error
        }
    }

    /// The cell that was started in `folder`, whether or not it still runs.
    static func find(in folder: DevFolder) throws -> DevCell {
        guard let record = folder.record, let name = CellName(record.cell) else {
            throw Failure(.failed, "no cell was started in \(folder.path)", remedy: "Start one with `cellctl dev`, or name its folder with --dir")
        }
        let client = try RedisClient(RedisAddress(host: "127.0.0.1", port: Int(record.redisPort)))
        return DevCell(folder: folder, record: record, board: CellBlackboard(name, on: client))
    }

    // MARK: Starting

    private static func read(_ text: String, _ file: String, _ folder: DevFolder) throws -> CellSpec {
        let documents = try YAML.documents(in: Array(text.utf8), file: file)
        guard documents.count == 1, let document = documents.first else {
            throw Failure(.failed, "\(file) holds \(documents.count) cells", remedy: "cellctl dev runs one: give it a file with one document")
        }
        var spec = try CellSpec.read(document)
        guard case .process(var process) = spec.run else {
            throw Failure(.failed, "\(file): spec.run asks for containers or pods", remedy: "cellctl dev runs local processes: write run: {process: {}}")
        }
        if process.directory == "." { process.directory = folder.path }
        spec.run = .process(process)
        return spec
    }

    private static func startRedis(in folder: DevFolder, port: UInt16) throws -> ProcessIdentity {
        let spawn = Spawn(
            "redis-server",
            ["--port", "\(port)", "--bind", "127.0.0.1", "--dir", folder.redis, "--appendonly", "yes", "--save", ""],
            output: "\(folder.logs)/redis.log")
        do throws(SpawnError) {
            return try identity(of: try spawn.start(), "redis-server", log: spawn.output)
        } catch {
            throw Failure(.failed, "\(error)", remedy: "Install Redis with scripts/setup")
        }
    }

    private static func startOperator(in folder: DevFolder, redis: String) throws -> ProcessIdentity {
        let executable = beside("cell-operator")
        let spawn = Spawn(executable, ["--redis", redis, "--state", folder.state], output: "\(folder.logs)/operator.log")
        return try identity(of: try spawn.start(), executable, log: spawn.output)
    }

    private static func identity(of pid: pid_t, _ name: String, log: String) throws(SpawnError) -> ProcessIdentity {
        // It is our child, so its id stays taken even when it has ended already.
        guard let identity = ProcessIdentity(of: pid) else { throw SpawnError(executable: "\(name) (see \(log))", code: ESRCH) }
        return identity
    }

    private static func waitForRedis(_ client: RedisClient, _ process: ProcessIdentity, _ folder: DevFolder) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline, process.isAlive {
            if (try? await client.command("PING")) != nil { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Failure(.failed, "Redis did not come up", remedy: "Look into \(folder.logs)/redis.log")
    }

    private static func put(_ spec: CellSpec, on board: CellBlackboard) async throws {
        guard let stored = try await board.spec(), !stored.isDeleted else {
            _ = try await board.putSpec(spec.canonicalJSON, replacing: 0)
            return
        }
        let old = try CellSpec.read(json: stored.json, source: "the cell in \(board.cell)")
        if let refused = CellSpec.refusedChanges(from: old, to: spec).first {
            throw Failure(.failed, "\(refused.path) \(refused.problem)", remedy: "\(refused.remedy), or start anew in another folder (--dir)")
        }
        if stored.json != spec.canonicalJSON { _ = try await board.putSpec(spec.canonicalJSON, replacing: stored.generation) }
    }

    /// The path of another of the project's executables.
    static func beside(_ name: String) -> String {
        var path = [CChar](repeating: 0, count: 4_096)
        let length = readlink("/proc/self/exe", &path, path.count - 1)
        let own = String(decoding: path[..<max(length, 0)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/\(name)"
    }
}

/// A port on loopback that nobody listens on.
func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1 }
    }
    guard code == 0 else { throw Failure(.failed, "no port is free: \(String(cString: strerror(errno)))", remedy: "Close what holds them") }
    return UInt16(bigEndian: address.sin_port)
}
