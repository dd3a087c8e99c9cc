import FoundationEssentials
import Glibc
import Redis
import Synchronization

/// A real redis-server of one test, on a port and in a folder of its own. It ends with its last reference.
public final class RedisProcess: Sendable {
    public let port: Int
    public let folder: TemporaryFolder
    public let address: RedisAddress
    private let arguments: [String]
    private let process = Mutex<ChildProcess?>(nil)

    /// - Parameters:
    ///   - appendOnly: keeps every write on disk at once, so that it survives ``kill()``.
    ///   - options: further lines of a redis.conf, such as `["--maxmemory", "2mb"]`.
    ///   - started: false leaves ``start(loaded:)`` to the caller.
    ///   - folder: another, stopped, Redis's folder, to go on with its data.
    public init(
        password: String? = nil, appendOnly: Bool = false, options: [String] = [], started: Bool = true, in folder: TemporaryFolder? = nil
    ) async throws {
        let folder = try folder ?? TemporaryFolder("redis")
        port = freePort()
        self.folder = folder
        address = RedisAddress(.tcp(host: "127.0.0.1", port: port), password: password)
        arguments =
            ["--port", "\(port)", "--bind", "127.0.0.1", "--dir", folder.path, "--save", "", "--unixsocket", folder.file("socket")]
            + (password.map { ["--requirepass", $0] } ?? []) + (appendOnly ? ["--appendonly", "yes", "--appendfsync", "always"] : []) + options
        if started { try await start() }
    }

    /// The path of its unix socket.
    public var socket: String { folder.file("socket") }
    public var pid: pid_t? { process.withLock { $0?.pid } }
    /// What it logged since its last start.
    public var log: String { process.withLock { $0 }?.output ?? "" }

    /// A client of its own, which waits for a machine that is busy; `address` names it for others.
    public func client(_ options: RedisOptions = .patient) throws -> RedisClient {
        try RedisClient(address, options: options)
    }

    /// Starts it and waits until it answers: also that it is still loading, when `loaded` is false.
    public func start(loaded: Bool = true) async throws {
        let child = try ChildProcess("redis-server", arguments)
        process.withLock { $0 = child }
        let client = try RedisClient(address)
        try await eventually("redis-server on port \(port)", within: .seconds(60)) {
            guard child.isRunning else { throw RedisError(.refused, "redis-server ended: \(child.output)\(child.errors)") }
            do {
                return try await client.command("PING") == .status("PONG")
            } catch let error as RedisError where error.code == .loading && !loaded {
                return true
            }
        }
    }

    /// `kill -9`.
    public func kill() async throws {
        try await process.withLock { $0 }?.kill()
    }

    /// Ends it in peace.
    public func stop() async throws {
        try await process.withLock { $0 }?.stop()
    }

    /// Stops and starts it; without `appendOnly` it comes back empty.
    public func restart() async throws {
        try await stop()
        try await start()
    }

    /// Removes its data; only while it does not run.
    public func wipe() throws {
        try folder.wipe()
    }

    /// SIGSTOP: it keeps its connections and answers nothing until ``resume()``. It stands still when this returns.
    public func pause() {
        guard let child = process.withLock({ $0 }) else { return }
        child.signal(SIGSTOP)
        while child.isRunning, !child.isStopped { usleep(500) }
    }
    public func resume() { process.withLock { $0 }?.signal(SIGCONT) }
}

extension RedisOptions {
    /// For tests that are not about time-outs: longer than a busy machine holds anything up.
    public static let patient = RedisOptions(connectTimeout: .seconds(30), commandTimeout: .seconds(30))
}
