import Glibc
import Support
import Testing

/// A cell whose every door has a lock: its own streams, history and connect server, and the real peers behind it.
@Suite("a cell behind locks", .serialized, .timeLimit(.minutes(15)))
struct LockedCellTests {
    private static let (kafkaPassword, cassandraPassword, secret) = ("kafka-hunter-4", "cassandra", "token-hunter-5-with-enough-bytes-for-hs256")

    /// Changes the peers' own configurations before their Java reads them: Kafka's clients come by `door`, and Cassandra asks for TLS and a password.
    private static func locks(_ authority: Authority, _ identity: Authority.Identity, _ door: String, _ more: String) -> String {
        """
        #!/bin/sh
        for last in "$@"; do :; done
        case "$*" in
        *kafka.Kafka*)
            sed -i -e 's/^listeners=PLAINTEXT:/listeners=\(door):/' -e 's/^advertised.listeners=PLAINTEXT:/advertised.listeners=\(door):/' \\
                -e 's/PLAINTEXT:PLAINTEXT$/\(door):\(door)/' "$last"
            cat >>"$last" <<CONFIG
        security.inter.broker.protocol=\(door)
        ssl.keystore.type=PEM
        ssl.keystore.location=\(identity.both)
        ssl.truststore.type=PEM
        ssl.truststore.location=\(authority.certificate)
        \(more)
        CONFIG
            ;;
        *CassandraDaemon*)
            for word in "$@"; do case "$word" in -Dcassandra.config=file://*) yaml=${word#*file://} ;; esac; done
            sed -i 's/AllowAllAuthenticator/PasswordAuthenticator/' "$yaml"
            printf 'client_encryption_options: {enabled: true, optional: false, keystore: \(identity.keystore), keystore_password: keystore, store_type: PKCS12}\\n' >>"$yaml"
            ;;
        esac
        PATH=${PATH#*:} exec java "$@"
        """
    }

    private static func folder(_ locks: String) throws -> TemporaryFolder {
        let folder = try TemporaryFolder("locks")
        try folder.write(locks, to: "java")
        chmod(folder.file("java"), 0o755)
        return folder
    }

    @Test(
        "TLS and tokens for clients, Kafka by SASL over TLS, Cassandra by TLS and password: independent clients chat, and new certificates are taken while they do",
        .enabled(if: Peers.wanted))
    func everything() async throws {
        let authority = try await Authority()
        let (server, peers) = (try await authority.sign("server"), try await authority.sign("peers"))
        let folder = try Self.folder(
            Self.locks(
                authority, peers, "SASL_SSL",
                """
                sasl.enabled.mechanisms=PLAIN
                sasl.mechanism.inter.broker.protocol=PLAIN
                listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="cell" \
                password="\(Self.kafkaPassword)" user_cell="\(Self.kafkaPassword)";
                """))
        let kafka = try await Peers.kafka(path: folder.path)
        let cassandra = try await Peers.cassandra(path: folder.path)
        let files = try (
            kafka: folder.write(Self.kafkaPassword, to: "kafka"), cassandra: folder.write(Self.cassandraPassword, to: "cassandra"),
            secret: folder.write(Self.secret, to: "secret")
        )
        let tls = "{certificate: \(server.certificate), key: \(server.key)}"
        let cell = try await CellUnderTest(
            "locks",
            spec: """
                apiVersion: cecochat.io/v1alpha1
                kind: Cell
                metadata: {name: locks}
                spec:
                  partitions: 12
                  messaging: {servers: 2, standbys: 1, maxConnections: 2000, tls: \(tls)}
                  connect: {servers: 1, port: \(freePorts([0, 1, 2, 3])), tls: \(tls)}
                  backplane:
                    kafka:
                      brokers: ["\(kafka.addresses)"]
                      topic: locks-messages
                      replicationFactor: 1
                      properties: {security.protocol: SASL_SSL, sasl.mechanisms: PLAIN, sasl.username: cell, ssl.ca.location: \(authority.certificate)}
                      secretFiles: {sasl.password: \(files.kafka)}
                  store:
                    cassandra:
                      contactPoints: ["\(cassandra.addresses)"]
                      keyspace: locks
                      replicationFactor: 1
                      user: cassandra
                      passwordFile: \(files.cassandra)
                      tls: {ca: \(authority.certificate)}
                  auth: {jwt: {keyFile: \(files.secret), algorithm: HS256}}
                  failover: {lease: 4s}
                  run: {process: {directory: DIR}}
                """)
        try await cell.waitUntilReady(within: .seconds(240))
        let before = try await cell.servers().filter { $0.kind != "materialize" }
        let connect = try #require(before.first { $0.kind == "connect" }).address
        let chat = try IndependentChat(
            connect: "https://\(connect)", users: 30, rate: 30, least: 400, trusting: authority.certificate, secret: files.secret)
        try await chat.opened()

        // New certificates: new connections see them, streams that are open go on, and nobody was started again.
        let renewed = try await authority.serial(of: authority.sign("server"))
        for server in before {
            try await eventually("\(server.name)'s new certificate", within: .seconds(120)) {
                let shown = try await authority.serial(at: server.address)
                return shown != nil && shown == renewed
            }
        }
        // A file that is none changes nothing.
        try authority.folder.write("no certificate", to: "server.pem")
        let report = try await chat.finish()
        #expect(report.good, "\(report) \(cell.diagnosis)")
        #expect(report.outage_ms.count == 0, "nobody lost a stream: \(report.counters)")
        #expect(report.history?.rows ?? 0 >= 2 * report.acked, "each message stands in the sender's and in the receiver's history: \(report)")
        for server in before { #expect(try await authority.serial(at: server.address) == renewed, "\(server.name)") }
        #expect(try await cell.servers().filter { $0.kind != "materialize" }.map(\.incarnation).sorted() == before.map(\.incarnation).sorted())

        try await strangers(at: connect, before, authority)
        try await cell.stop()
        try await kafka.stop()
        try await cassandra.stop()
    }

    /// Who speaks no TLS, trusts nobody here, or has no token.
    private func strangers(at connect: String, _ servers: [CellUnderTest.Server], _ authority: Authority) async throws {
        for (address, options) in [("http://\(connect)", ["--cacert", authority.certificate]), ("https://\(connect)", [])] {
            let asked = try await ChildProcess.run("curl", ["-s", "--max-time", "10"] + options + ["\(address)/v1/connect"])
            #expect(asked.exit != .code(0), "\(address) \(options): \(asked.output)")
        }
        let asked = try await ChildProcess.run(
            "curl", ["-s", "--max-time", "10", "--cacert", authority.certificate, "-w", "%{http_code}", "https://\(connect)/v1/connect"])
        #expect(asked.output.hasSuffix("401"), "\(asked.output)")
        let messaging = try #require(servers.first { $0.kind == "messaging" })
        let plain = try await ChildProcess.run("curl", ["-s", "--max-time", "10", "--http2-prior-knowledge", "http://\(messaging.address)/"])
        #expect(plain.exit != .code(0), "\(plain.output)")
    }

    @Test("Kafka by TLS with certificates on both sides", .enabled(if: Peers.wanted))
    func mutual() async throws {
        let authority = try await Authority()
        let (broker, client) = (try await authority.sign("broker"), try await authority.sign("client"))
        let folder = try Self.folder(Self.locks(authority, broker, "SSL", "ssl.client.auth=required"))
        let kafka = try await Peers.kafka(path: folder.path)
        func cell(_ name: String, _ more: String) async throws -> CellUnderTest {
            try await CellUnderTest(
                name,
                spec: """
                    apiVersion: cecochat.io/v1alpha1
                    kind: Cell
                    metadata: {name: \(name)}
                    spec:
                      partitions: 12
                      messaging: {servers: 1, standbys: 1, maxConnections: 2000}
                      connect: {servers: 1, port: \(freePorts([0, 1, 2, 3]))}
                      backplane:
                        kafka:
                          brokers: ["\(kafka.addresses)"]
                          topic: \(name)-messages
                          replicationFactor: 1
                          properties: {security.protocol: SSL, ssl.ca.location: \(authority.certificate)\(more)}
                      store: {sqlite: {}}
                      auth: {none: {}}
                      run: {process: {directory: DIR}}
                    """)
        }
        let known = try await cell("mutual", ", ssl.certificate.location: \(client.certificate), ssl.key.location: \(client.key)")
        try await known.waitUntilReady()
        let chat = try IndependentChat(connect: try await known.connectURL(), users: 10, rate: 20, least: 50)
        let report = try await chat.finish()
        #expect(report.good, "\(report) \(known.diagnosis)")
        try await known.stop()

        // Without a certificate of its own it is let in nowhere, and says so.
        let stranger = try await cell("stranger", "")
        try await eventually("a status that says why", within: .seconds(120)) { try await stranger.expect("status", "stranger").contains("KafkaAway") }
        try await stranger.stop()
        try await kafka.stop()
    }
}
