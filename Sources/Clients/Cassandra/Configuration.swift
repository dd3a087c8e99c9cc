/// A role and its password.
public struct Credentials: Sendable, Equatable, CustomStringConvertible {
    public var user: String
    public var password: String

    public init(user: String, password: String) {
        self.user = user
        self.password = password
    }

    /// Never shows the password.
    public var description: String { "\(user):***" }
}

public struct CassandraConfiguration: Sendable {
    /// Where to begin; the other nodes of their data centre are found from there.
    public var contactPoints: [Endpoint]
    public var credentials: Credentials?
    /// nil: that of the first contact point that answers. Nodes of others are not asked.
    public var dataCenter: String?
    /// How long a statement may take with all its attempts.
    public var timeout: Duration = .seconds(5)
    /// How long one node may take for it.
    public var attemptTimeout: Duration = .seconds(2)
    public var connectTimeout: Duration = .seconds(3)
    /// Requests on their way on one connection; those above wait, up to `maxQueued`, and are then refused as `busy`.
    public var maxInFlight = 2_048
    public var maxQueued = 8_192
    /// A quiet connection is asked for a sign of life this often.
    public var heartbeat: Duration = .seconds(5)
    /// Nothing heard for so long while an answer is awaited: the connection is replaced.
    public var silence: Duration = .seconds(10)
    /// An answer that did not come for so long never comes: the connection is replaced.
    public var orphanAge: Duration = .seconds(60)
    public var reconnect: ClosedRange<Duration> = .milliseconds(100)...(.seconds(5))
    /// How often the list of nodes is read again.
    public var discovery: Duration = .seconds(30)
    /// A longer frame is a protocol violation.
    public var maxFrameBytes = 64 << 20
    /// Makes the wire over a connected socket, which it then owns: the place where TLS comes in.
    public var wire: @Sendable (_ socket: Int32, _ endpoint: Endpoint) throws -> any Wire = { socket, _ in PlainWire(socket: socket) }

    public init(contactPoints: [Endpoint], credentials: Credentials? = nil) {
        self.contactPoints = contactPoints
        self.credentials = credentials
    }

}
