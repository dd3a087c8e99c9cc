import TLS

/// The limits a server keeps. Every default suits many quiet streams.
public struct ServerConfiguration: Sendable {
    /// Bytes of one received gRPC message; a longer one ends its stream with INVALID_ARGUMENT as soon as its length is known.
    public var messageLimit = 1 << 20
    /// Bytes that may wait on one stream for a slow reader. A message that would exceed it is not appended, so it bounds one message too.
    public var backlog = 256 << 10
    /// Streams open at once on one connection; one more is reset with REFUSED_STREAM.
    public var streamsPerConnection = 100
    /// Connections open at once on all loops; one more is closed as soon as it is accepted.
    public var maximumConnections = Int.max
    /// Bytes of one request's header block, before and after decoding.
    public var headerBytes = 16 << 10
    /// Bytes a peer may send before it is given more, for each stream and for each connection: 65,535 to 2^31-1.
    public var streamWindow = 65_535
    public var connectionWindow = 256 << 10
    /// Silence after which a peer is pinged. nil: never.
    public var keepaliveInterval: Duration? = .seconds(30)
    /// How long a pinged peer may be silent before its connection is closed.
    public var keepaliveTimeout: Duration = .seconds(10)
    /// Pings of a client are welcome this often; beyond `pingBurst` more without data between them: GOAWAY `too_many_pings`.
    public var permittedPingInterval: Duration = .seconds(5)
    public var pingBurst = 20
    /// Time from accepting to TLS, the HTTP/2 preface and the acknowledgement of our SETTINGS.
    public var greetingTimeout: Duration = .seconds(10)
    /// How long a finished stream may wait for a reader that does not open its window.
    public var linger: Duration = .seconds(10)
    /// Age at which a connection is drained, varied by a tenth either way so that clients do not return together. nil: never.
    public var maximumAge: Duration?
    /// Time between that drain's GOAWAY and the end of its streams.
    public var maximumAgeGrace: Duration = .seconds(10)
    /// How long a drain waits for the answer to its ping before it says which stream was the last.
    public var farewellTimeout: Duration = .seconds(1)
    /// Certificate and key; nil: HTTP/2 with prior knowledge.
    public var tls: TLSServerContext?
    /// How often the certificate's files are looked at, and loaded again when they changed.
    public var certificateCheck: Duration = .seconds(5)

    public init() {}
}
