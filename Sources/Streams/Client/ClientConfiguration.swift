import TLS

/// How a client speaks to one server.
public struct ClientConfiguration: Sendable {
    /// Time for name, TCP, TLS and the server's SETTINGS together.
    public var connectTimeout: Duration = .seconds(5)
    /// Bytes of one received message.
    public var messageLimit = 4 << 20
    /// Bytes that may wait on one stream for a slow server; it bounds one sent message too.
    public var backlog = 4 << 20
    public var headerBytes = 16 << 10
    /// Bytes the server may send before it is given more, for each stream and for the connection: 65,535 to 2^31-1.
    public var streamWindow = 65_535
    public var connectionWindow = 256 << 10
    /// Silence after which the server is pinged; at least the interval that it permits. nil: never.
    public var keepaliveInterval: Duration? = .seconds(10)
    /// How long a pinged server may be silent before the connection is given up.
    public var keepaliveTimeout: Duration = .seconds(5)
    /// nil: HTTP/2 with prior knowledge.
    public var tls: TLSContext?
    /// The name that the certificate must carry; nil: the host that is connected to.
    public var serverName: String?

    public init() {}
}
