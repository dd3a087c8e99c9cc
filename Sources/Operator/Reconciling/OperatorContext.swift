import Cell
import FoundationEssentials
import Redis

/// What every cell's operator shares.
public struct OperatorContext: Sendable {
    /// How this operator names itself.
    public var name: String
    public var redis: RedisClient
    public var folder: StateFolder
    public var clock = OperatorClock()
    public var log: OperatorLog
    public var metrics: OperatorMetrics
    /// How often the log is probed. Each probe is a request of its own to a broker, so there are few of them where there are thousands of partitions.
    public var canary: Canary.Pace = {
        var pace = Canary.Pace()
        pace.rate = 50
        return pace
    }()
    /// Makes the driver that the spec asks for.
    public var makeDriver: @Sendable (CellSpec, RedisAddress, OperatorClock) throws -> any Driver
    let prober: HealthProber
    let connections: ConnectionWatch
    /// For the state folder: writing it waits for the disk.
    let disk: WorkThread

    public init(
        name: String, redis: RedisClient, folder: StateFolder, log: OperatorLog, metrics: OperatorMetrics,
        makeDriver: @escaping @Sendable (CellSpec, RedisAddress, OperatorClock) throws -> any Driver = standardDriver
    ) throws {
        self.name = name
        self.redis = redis
        self.folder = folder
        self.log = log
        self.metrics = metrics
        self.makeDriver = makeDriver
        prober = try HealthProber()
        connections = try ConnectionWatch()
        disk = try WorkThread("state-folder")
    }
}

/// The driver of `spec.run`.
/// - Throws: `DriverError` for one that this operator does not have, and what the driver throws.
public func standardDriver(_ spec: CellSpec, _ redis: RedisAddress, _ clock: OperatorClock) throws -> any Driver {
    switch spec.run {
    case .process(let process): return try ProcessDriver(spec.name, process, redis: redis, clock: clock)
    case .docker(let docker):
        return try DockerDriver(spec.name, docker, redis: redis, clock: clock, environment: ProcessInfo.processInfo.environment)
    case .kubernetes(let kubernetes):
        return try KubernetesDriver(spec.name, kubernetes, redis: redis, clock: clock, environment: ProcessInfo.processInfo.environment)
    }
}
