/// What one side of a connection allows its peer. Shared by all connections of a server or client.
final class ConnectionRules: Equatable {
    /// Flood limits, for each `floodPeriod`. A reset of a stream that carried a message costs 1, one that did not costs 50.
    static let floodPeriod = Duration.seconds(30)
    static let resetBudget = 10_000
    static let wastedReset = 50
    static let settingsLimit = 200
    static let emptyDataLimit = 200
    static let otherFrameLimit = 1_000
    static let continuationLimit = 16
    /// Window updates beyond four for each DATA frame that we sent.
    static let windowUpdateLimit = 1_000
    /// Bytes of output above which DATA waits on its stream, and above which unread replies end the connection.
    static let highWater = 128 << 10
    static let unreadLimit = 384 << 10

    let isServer: Bool
    let messageLimit: Int
    let backlog: Int
    let maxStreams: Int
    let headerBytes: Int
    let streamWindow: Int
    let connectionWindow: Int
    let keepaliveInterval: Duration?
    let keepaliveTimeout: Duration
    let permittedPingInterval: Duration
    let pingBurst: Int
    let greetingTimeout: Duration
    let linger: Duration
    let maximumAge: Duration?
    let maximumAgeGrace: Duration
    let farewellTimeout: Duration

    init(server configuration: ServerConfiguration) {
        isServer = true
        messageLimit = configuration.messageLimit
        backlog = configuration.backlog
        maxStreams = configuration.streamsPerConnection
        headerBytes = configuration.headerBytes
        streamWindow = max(HTTP2.initialWindow, min(configuration.streamWindow, HTTP2.largestWindow))
        connectionWindow = max(HTTP2.initialWindow, min(configuration.connectionWindow, HTTP2.largestWindow))
        keepaliveInterval = configuration.keepaliveInterval
        keepaliveTimeout = configuration.keepaliveTimeout
        permittedPingInterval = configuration.permittedPingInterval
        pingBurst = configuration.pingBurst
        greetingTimeout = configuration.greetingTimeout
        linger = configuration.linger
        maximumAge = configuration.maximumAge
        maximumAgeGrace = configuration.maximumAgeGrace
        farewellTimeout = configuration.farewellTimeout
    }

    init(client configuration: ClientConfiguration) {
        isServer = false
        messageLimit = configuration.messageLimit
        backlog = configuration.backlog
        maxStreams = 0
        headerBytes = configuration.headerBytes
        streamWindow = max(HTTP2.initialWindow, min(configuration.streamWindow, HTTP2.largestWindow))
        connectionWindow = max(HTTP2.initialWindow, min(configuration.connectionWindow, HTTP2.largestWindow))
        keepaliveInterval = configuration.keepaliveInterval
        keepaliveTimeout = configuration.keepaliveTimeout
        permittedPingInterval = .seconds(1)
        pingBurst = 100
        greetingTimeout = configuration.connectTimeout
        linger = .seconds(10)
        maximumAge = nil
        maximumAgeGrace = .zero
        farewellTimeout = .seconds(1)
    }

    static func == (a: ConnectionRules, b: ConnectionRules) -> Bool {
        a.isServer == b.isServer && a.messageLimit == b.messageLimit && a.backlog == b.backlog && a.maxStreams == b.maxStreams
            && a.headerBytes == b.headerBytes && a.streamWindow == b.streamWindow && a.connectionWindow == b.connectionWindow
            && a.keepaliveInterval == b.keepaliveInterval && a.keepaliveTimeout == b.keepaliveTimeout
            && a.permittedPingInterval == b.permittedPingInterval && a.pingBurst == b.pingBurst && a.greetingTimeout == b.greetingTimeout
            && a.linger == b.linger && a.maximumAge == b.maximumAge && a.maximumAgeGrace == b.maximumAgeGrace
            && a.farewellTimeout == b.farewellTimeout
    }

    /// The shortest of the times that are looked at by the loop's scan.
    var shortestTime: Duration {
        min(greetingTimeout, keepaliveInterval ?? .seconds(3600), keepaliveTimeout, maximumAge ?? .seconds(3600))
    }
}
