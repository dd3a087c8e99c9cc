import Cell
import Redis

/// Runs servers on one substrate. It observes and obeys; it never decides. Each call names the incarnation it means.
public protocol Driver: Sendable {
    /// Every server this driver runs for the cell, whether or not the spec still names it, and those that ended since and are not forgotten.
    func servers() async throws -> [RunningServer]
    /// Makes the server run as `template` says. Doing it again changes nothing.
    func start(_ life: ServerLife, as template: ServerTemplate) async throws
    /// Asks the server to stop, and kills it after `grace`; returns when it was asked. One that is gone is stopped.
    func stop(_ life: ServerLife, grace: Duration) async throws
    /// Ends the server at once.
    func kill(_ life: ServerLife) async throws
    /// Drops what is remembered of a server that ended.
    func forget(_ life: ServerLife) async throws
    /// Starts and exits as they happen; ends when the caller cancels. What happened before is in `servers()`, so listen first and read then.
    func events() -> AsyncStream<DriverEvent>
}

public enum DriverEvent: Sendable, Equatable {
    /// A server's present state.
    case server(RunningServer)
    /// Something may have been missed: read `servers()` again.
    case unsure
}

/// What a server is started as.
public struct ServerTemplate: Equatable, Sendable {
    public var cell: CellName
    public var zone: String
    /// For connect servers; the others take a free one.
    public var port: UInt16?
    /// Who listens on `port` until this one is ready.
    public var replaces: ServerID?
    /// Of the spec that asks for it.
    public var generation: Int64
    /// Names the template, for `RunningServer.template`.
    public var name: String

    public init(cell: CellName, zone: String, port: UInt16? = nil, generation: Int64 = 0, name: String = "") {
        self.name = name
        self.cell = cell
        self.zone = zone
        self.port = port
        self.generation = generation
    }

    /// What `cell-server` is started with as `life`; a driver adds what only it knows.
    func arguments(_ life: ServerLife, _ redis: RedisAddress) -> [String] {
        var arguments = [life.id.kind.rawValue, "--cell", "\(cell)", "--server", "\(life.id)", "--incarnation", "\(life.incarnation)"]
        // A password must not stand where everyone on the machine can read it.
        if redis.password == nil { arguments += ["--redis", "\(redis)"] }
        if !zone.isEmpty { arguments += ["--zone", zone] }
        if let port { arguments += ["--port", "\(port)"] }
        if let replaces { arguments += ["--replaces", "\(replaces)"] }
        return arguments
    }
}

/// A driver cannot do what it was asked.
public struct DriverError: Error, Sendable, CustomStringConvertible {
    public var problem: String
    /// What to do next.
    public var remedy: String

    public init(_ problem: String, remedy: String) {
        self.problem = problem
        self.remedy = remedy
    }

    public var description: String { "\(problem). \(remedy)" }
}
