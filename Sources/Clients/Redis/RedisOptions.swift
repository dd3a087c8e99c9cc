/// How patient a client is.
public struct RedisOptions: Sendable {
    /// For resolving the name, connecting, AUTH and SELECT together. Whoever waits for a connection waits no longer than this.
    public var connectTimeout: Duration
    /// From asking to the whole answer. Past it the connection is given up, with everything under way on it.
    public var commandTimeout: Duration
    /// The least time between two attempts to connect; a request in between fails at once with the last attempt's error.
    public var retryAfter: Duration
    /// Commands that may wait or be under way at once; more are refused with `overloaded`.
    public var limit: Int

    public init(
        connectTimeout: Duration = .seconds(1), commandTimeout: Duration = .seconds(2), retryAfter: Duration = .milliseconds(100), limit: Int = 8192
    ) {
        self.connectTimeout = connectTimeout
        self.commandTimeout = commandTimeout
        self.retryAfter = retryAfter
        self.limit = limit
    }
}
