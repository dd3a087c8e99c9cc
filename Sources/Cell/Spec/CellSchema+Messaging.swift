extension CellSchema {
    static let messaging = Shape.group(
        MessagingSpec(),
        [
            .field("servers", \.servers, servers, "How many own partitions."),
            .field("standbys", \.standbys, .integer(0...10_000), "How many more stand by to take over at once; at most as many as servers."),
            .field(
                "maxConnections", \.maxConnections, .integer(1...1_000_000, example: "50000"),
                "Streams of one server. One whose descriptors do not suffice takes fewer, and status says so."),
            .optional("autoscale", \.autoscale, autoscale, otherwise: "none", "Lets the operator choose the number of servers."),
            .field("window", \.window, window, "What a resuming client gets without the history."),
            .field("limits", \.limits, limits, "What one client, user or partition may ask for."),
            .field("alive", \.alive, .duration(.seconds(1) ... .seconds(300)), "How long a client hears nothing before an Alive."),
            .optional("tls", \.tls, tlsFiles, otherwise: "none: HTTP/2 with prior knowledge", "TLS of the streams and of the history."),
            .optional(
                "advertise", \.advertise, .text(.host), otherwise: "the address the server is reached at from where it runs", "The host that clients are told."),
        ])

    private static let autoscale = Shape.group(
        MessagingSpec.Autoscale(min: 1, max: 1),
        [
            .field("min", \.min, servers, required: true, "At least so many servers."),
            .field("max", \.max, servers, required: true, "At most so many servers."),
            .optional(
                "targetConnections", \.targetConnections, .integer(1...1_000_000, example: "35000"), otherwise: "none", "Connections of one server to aim at."),
            .optional(
                "targetMessagesPerSecond", \.targetMessagesPerSecond, .integer(1...10_000_000, example: "5000"), otherwise: "none",
                "Messages a second of one server to aim at."),
            .field("up", \.up, holding, "How long more must be wanted before servers are added."),
            .field("down", \.down, holding, "How long fewer must do before servers are taken away."),
        ])

    private static let holding = Shape.duration(.seconds(1) ... .seconds(86_400))

    private static let window = Shape.group(
        MessagingSpec.Window(),
        [
            .field("age", \.age, .duration(.seconds(1) ... .seconds(86_400)), "Records older than this leave the window."),
            .field(
                "bytes", \.bytes, .size(1 << 20...1 << 40, example: "1Gi"),
                "For a server's partitions together; beyond it the largest partition gives way first."),
        ])

    private static let limits = Shape.group(
        MessagingSpec.Limits(),
        [
            .field("bodyBytes", \.bodyBytes, .size(1...1 << 20, example: "8Ki"), "The largest body of a message."),
            .field("userRate", \.userRate, .integer(1...1_000_000, example: "50"), "Messages a second of one user."),
            .field("partitionRate", \.partitionRate, .integer(1...1_000_000, example: "2000"), "Messages a second towards one partition."),
            .field("unacknowledged", \.unacknowledged, .integer(1...10_000, example: "64"), "Ids that a client may keep unanswered on one stream."),
            .field("backlog", \.backlog, .size(1 << 10...1 << 30, example: "256Ki"), "Bytes that wait for one slow client; beyond them its stream ends."),
            .field("streamsPerUser", \.streamsPerUser, .integer(1...1_000, example: "16"), "Streams of one user on one server."),
        ])
}
