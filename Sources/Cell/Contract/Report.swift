/// What a server tells about itself with each renewal of its lease.
public struct Report: Equatable, Codable, Sendable {
    public enum State: String, Codable, Sendable { case starting, ready, stopping }

    public var incarnation: Incarnation
    public var state: State
    /// Why it is not ready, for people; empty when it is.
    public var waitsFor: String
    /// HOST:PORT: gRPC, HTTP for connect, Kafka's protocol for the backplane; empty until it listens.
    public var address: String
    /// HOST:PORT of `/healthz`, `/readyz`, `/metrics`, `/statusz`.
    public var http: String
    public var zone: String
    /// Process id in its own namespace.
    public var pid: Int32
    public var build: String
    public var connections: Int
    /// What its descriptors allow, at most the spec's.
    public var maxConnections: Int
    public var messagesPerSecond: Int
    /// By partition, over some seconds; nil for kinds without partitions.
    public var loads: PartitionLoads?
    /// Highest epoch and spec generation that it has applied, and the log it reads.
    public var epoch: Epoch
    public var term: Term
    public var generation: Int64
    public var log: LogID?
    /// Every partition of its assignment that is read up to the log's end: it could own them at once.
    public var warm: PartitionSet
    /// Partitions in `Member.leaves` without a stream that is left.
    public var left: PartitionSet
    /// Partition number → next offset it will read.
    public var positions: [String: Int64]

    public init(incarnation: Incarnation, zone: String, pid: Int32, build: String) {
        self.incarnation = incarnation
        self.zone = zone
        self.pid = pid
        self.build = build
        state = .starting
        waitsFor = ""
        address = ""
        http = ""
        connections = 0
        maxConnections = 0
        messagesPerSecond = 0
        epoch = .none
        term = .none
        generation = 0
        warm = PartitionSet()
        left = PartitionSet()
        positions = [:]
    }
}
