/// What is bounded and counted when a peer sends more of it than it may.
public enum FloodKind: String, Sendable, CaseIterable {
    case resets, madeResets, pings, settings, continuations, emptyData, windowUpdates, headers, otherFrames
    /// Control frames that the peer makes us answer and does not read.
    case unreadReplies
}

/// Totals since the start, for `/metrics`; gauges are named `open…`.
public struct StreamCounters: Sendable, Equatable {
    public var openConnections = 0, openStreams = 0
    public var accepted = 0, turnedAway = 0, begun = 0
    /// Accepted connections whose handshake has not begun, and those whose peer had gone before it did.
    public var inLine = 0, leftInLine = 0
    public var messagesReceived = 0, messagesSent = 0
    public var bytesReceived = 0, bytesSent = 0
    /// System calls: what the layer costs.
    public var receiveCalls = 0, sendCalls = 0, waits = 0
    /// Messages refused because the reader was too slow.
    public var overflows = 0
    /// Streams ended by this layer: too long, compressed, malformed.
    public var refusedStreams = 0
    /// Connections that did not greet in time, that stopped answering, and that broke the protocol.
    public var greetingTimeouts = 0, keepaliveTimeouts = 0, protocolErrors = 0
    public var tlsFailures = 0, tlsResumed = 0
    public var floods: [FloodKind: Int] = [:]
    /// Bytes of the blocks that hold incomplete frames, unsent rests and backlogs now.
    public var openBlockBytes = 0
    /// How often freed memory was given back to the system, and how long that took in all.
    public var trims = 0, trimTime_ns = 0

    public init() {}
}
