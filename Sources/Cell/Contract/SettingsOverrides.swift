/// Settings set by hand, on top of the spec's; they last until they are taken back, also when the spec changes.
///
/// They stand beside the settings in Redis, the operator lays them over the spec and publishes what comes of it, and remembers both.
public struct SettingsOverrides: Equatable, Codable, Sendable {
    /// Higher with each change, whatever Redis forgot in between; 0: there never were any.
    public var revision: Int64 = 0
    /// By their place in cell.yaml without `spec.`, as written there: `messaging.limits.bodyBytes` → `8Ki`.
    public var values: [String: String] = [:]

    public init(revision: Int64 = 0, values: [String: String] = [:]) {
        self.revision = revision
        self.values = values
    }

    /// What running servers obey, by its place in cell.yaml.
    public static let names = [
        "failover.heartbeat", "failover.lease", "messaging.alive", "messaging.limits.backlog", "messaging.limits.bodyBytes",
        "messaging.limits.partitionRate", "messaging.limits.streamsPerUser", "messaging.limits.unacknowledged", "messaging.limits.userRate",
        "messaging.maxConnections", "messaging.window.age", "messaging.window.bytes", "moves.clientsPerSecond", "moves.grace",
    ]
}
