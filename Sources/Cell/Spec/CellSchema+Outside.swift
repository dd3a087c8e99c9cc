/// What the cell stands on: backplane, store, authentication.
extension CellSchema {
    private struct Empty: Equatable, Sendable {}
    private static let empty = Shape.group(Empty(), [])

    static let backplane = Shape<BackplaneSpec>.oneOf([
        .option("kafka", kafka, "Apache Kafka.", make: BackplaneSpec.kafka, take: { if case .kafka(let kafka) = $0 { kafka } else { nil } }),
        .option(
            "embedded", empty, "A broker in a process of the cell, for a first try: loopback only, and it forgets everything when it stops.",
            make: { _ in .embedded }, take: { $0 == .embedded ? Empty() : nil }),
    ])

    private static let kafka = Shape.group(
        BackplaneSpec.Kafka(brokers: [], topic: ""),
        [
            .field("brokers", \.brokers, .list(of: .text(.hostPort), 1...256), required: true, "Where the brokers are; a few of them suffice."),
            .field(
                "topic", \.topic, .text(.topic), otherwise: "NAME-messages", fixed: "the messages are in the topic it has; another topic needs a new cell",
                "The cell's own topic. The operator creates and verifies it."),
            .field(
                "replicationFactor", \.replicationFactor, .integer(1...100, example: "3"), "Replicas of the topic; min.insync.replicas is one less, at least 1."
            ),
            .field("retention", \.retention, .duration(.seconds(60) ... .seconds(3_650 * 86_400)), "How long the topic keeps messages."),
            .field(
                "properties", \.properties, .map(.property, .line, refuse: KafkaProperties.refusal), "librdkafka's properties, from a list of those allowed."),
            .field("secretFiles", \.secretFiles, .map(.property, .path, refuse: KafkaProperties.refusalOfSecret), "Property to the file that holds its value."),
        ])

    static let store = Shape<StoreSpec>.oneOf([
        .option(
            "cassandra", cassandra, "Apache Cassandra.", make: StoreSpec.cassandra, take: { if case .cassandra(let cassandra) = $0 { cassandra } else { nil } }),
        .option("sqlite", empty, "A file beside the servers, on one machine.", make: { _ in .sqlite }, take: { $0 == .sqlite ? Empty() : nil }),
    ])

    private static let cassandra = Shape.group(
        StoreSpec.Cassandra(contactPoints: [], keyspace: ""),
        [
            .field(
                "contactPoints", \.contactPoints, .list(of: .text(.hostPort), 1...256), required: true,
                "Nodes to begin with; the others are found through them."),
            .field(
                "keyspace", \.keyspace, .text(.keyspace), required: true, fixed: "the history is in the keyspace it has; another one needs a new cell",
                "The cell's own keyspace."),
            .field("replicationFactor", \.replicationFactor, .integer(1...100, example: "3"), "Only where the keyspace is made."),
            .section(
                "consistency",
                [
                    .field("write", \.write, .choice, "Nodes that must have a row before it counts as written."),
                    .field("read", \.read, .choice, "Nodes that must agree on what is read."),
                ], "Consistency levels.", required: false),
            .optional("user", \.user, .text(.word), otherwise: "none: no login", "Whom to log in as, with passwordFile."),
            .optional("passwordFile", \.passwordFile, .text(.path), otherwise: "none", "The file that holds the user's password."),
            .section(
                "tls", [.optional("ca", \.tlsCA, .text(.path), otherwise: "none: no TLS", "PEM file of who signed the nodes' certificates.")],
                "TLS to the nodes.", required: false),
        ])

    static let auth = Shape<AuthSpec>.oneOf([
        .option("jwt", jwt, "Signed tokens: sub is the user, exp is required.", make: AuthSpec.jwt, take: { if case .jwt(let jwt) = $0 { jwt } else { nil } }),
        .option("none", empty, "Clients say who they are, and are believed: for a first try.", make: { _ in .none }, take: { $0 == .none ? Empty() : nil }),
    ])

    private static let jwt = Shape.group(
        AuthSpec.JWT(keyFile: "", algorithm: .es256),
        [
            .field(
                "keyFile", \.keyFile, .text(.path), required: true,
                "Public keys as PEM, one after another, any of which may have signed; for HS256 the secret's bytes."),
            .field("algorithm", \.algorithm, .choice, required: true, "The only algorithm that tokens may have."),
            .field("leeway", \.leeway, .duration(.zero ... .seconds(600)), "For clocks that differ, when exp, nbf and iat are checked."),
        ])
}
