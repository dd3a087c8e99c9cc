/// What servers may change while they run: from the spec, or set by hand on top of it. Durations are whole milliseconds.
public struct Settings: Equatable, Codable, Sendable {
    /// Higher with every change.
    public var epoch: Int64 = 0
    /// Of the spec that it comes from.
    public var generation: Int64 = 0
    public var limits = MessagingSpec.Limits()
    public var maxConnections = 50_000
    public var windowAge_ms: Int64 = 600_000
    public var windowBytes = 1 << 30
    public var alive_ms: Int64 = 10_000
    public var heartbeat_ms: Int64 = 500
    public var lease_ms: Int64 = 1_500
    public var movedPerSecond = 2_000
    public var moveGrace_ms: Int64 = 10_000

    public init() {}

    /// Whether a server can go by them. What an operator writes is; what else stands in Redis may not be.
    public var isUsable: Bool {
        let counts = [
            limits.bodyBytes, limits.userRate, limits.partitionRate, limits.unacknowledged, limits.backlog, limits.streamsPerUser, maxConnections,
            windowBytes, movedPerSecond,
        ]
        let times_ms = [windowAge_ms, alive_ms, heartbeat_ms, lease_ms, moveGrace_ms]
        return counts.allSatisfy { (1...1 << 40).contains($0) } && times_ms.allSatisfy { (0...7 * 86_400_000).contains($0) } && heartbeat_ms > 0
            && alive_ms > 0
    }

    public init(_ spec: CellSpec, generation: Int64, epoch: Int64) {
        self.epoch = epoch
        self.generation = generation
        limits = spec.messaging.limits
        maxConnections = spec.messaging.maxConnections
        windowAge_ms = spec.messaging.window.age.milliseconds
        windowBytes = spec.messaging.window.bytes
        alive_ms = spec.messaging.alive.milliseconds
        heartbeat_ms = spec.failover.heartbeat.milliseconds
        lease_ms = spec.failover.lease.milliseconds
        movedPerSecond = spec.moves.clientsPerSecond
        moveGrace_ms = spec.moves.grace.milliseconds
    }
}
