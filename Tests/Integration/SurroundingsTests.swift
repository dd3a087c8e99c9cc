import Glibc
import Kafka
import Support
import Testing

/// What a cell needs is away, wrong or stopped: it says so, and what works goes on working.
@Suite("a cell whose surroundings are not as they should be", .serialized)
struct SurroundingsTests {
    static func spec(_ name: String, port: Int, kafka: String, cassandra: String, run: String = "directory: DIR") -> String {
        """
        apiVersion: cecochat.io/v1alpha1
        kind: Cell
        metadata: {name: \(name)}
        spec:
          partitions: 12
          messaging: {servers: 1, standbys: 0}
          connect: {servers: 1, port: \(port)}
          backplane: {kafka: {brokers: ["\(kafka)"], topic: \(name)-messages, replicationFactor: 1}}
          store: {cassandra: {contactPoints: ["\(cassandra)"], keyspace: \(name), replicationFactor: 1}}
          auth: {none: {}}
          run: {process: {\(run)}}
        """
    }

    /// What `cellctl status` says once it says `text`.
    private func status(of cell: CellUnderTest, saying text: String, within limit: Duration = .seconds(120)) async throws -> String {
        try await eventually("a status that says \"\(text)\"", within: limit) {
            let status = try await cell.expect("status", cell.name)
            return status.contains(text) ? status : nil
        }
    }

    @Test("no Kafka and no Cassandra: status names both, apply --wait gives up with exit code 5, and the cell can be deleted")
    func nothingThere() async throws {
        let (kafka, cassandra) = (freePort(), freePort())
        let cell = try await CellUnderTest(
            "lonely", spec: Self.spec("lonely", port: freePort(), kafka: "127.0.0.1:\(kafka)", cassandra: "127.0.0.1:\(cassandra)"))
        let status = try await status(of: cell, saying: "StoreAway")
        #expect(status.contains("store.cassandra.contactPoints"), "\(status)")
        _ = try await self.status(of: cell, saying: "KafkaAway")
        let waited = try await cell.cellctl("apply", "-f", cell.folder.file("cell.yaml"), "--wait=2s")
        #expect(waited.exit == .code(5), "\(waited.errors)")
        #expect(waited.errors.contains("no ready server owns 12 partitions"), "\(waited.errors)")
        try await cell.stop()
    }

    @Test("a topic with another partition count is refused loudly, and nothing is owned", .enabled(if: Peers.wanted))
    func otherPartitionCount() async throws {
        let kafka = try await Peers.kafka()
        let topic = try LogQueries(KafkaConfiguration(brokers: [kafka.addresses]), topic: "narrow-messages")
        try await topic.createTopic(NewTopic(partitions: 3, replicationFactor: 1, configuration: [:]))
        topic.close()
        let cell = try await CellUnderTest(
            "narrow", spec: Self.spec("narrow", port: freePort(), kafka: kafka.addresses, cassandra: "127.0.0.1:\(freePort())"))
        let status = try await status(of: cell, saying: "TopicUnfit")
        #expect(status.contains("3 partitions"), "\(status)")
        #expect(try await cell.servers("messaging").allSatisfy { $0.partitions.isEmpty })
        try await cell.stop()
        try await kafka.stop()
    }

    @Test("a server program that exits at once is started with growing pauses, and status names it with its last words")
    func exitsAtOnce() async throws {
        let folder = try TemporaryFolder("broken")
        let program = try folder.write("#!/bin/sh\necho the wrong library >&2\nexit 9\n", to: "broken-server")
        chmod(program, 0o755)
        let spec = WholeCellTests.embedded.replacing("PORT", with: "\(freePorts([0, 1, 2, 3]))")
            .replacing("directory: DIR", with: "directory: DIR, executable: \(program)")
        let cell = try await CellUnderTest("embedded", spec: spec)
        let status = try await status(of: cell, saying: "the wrong library")
        #expect(status.contains("code 9"), "\(status)")
        let exits = try await cell.events().count { $0.kind == "ServerExited" && $0.text.contains("code 9") }
        #expect(exits < 60, "it is not started in a tight loop")
        try await cell.stop()
    }

    @Test("operator and Redis gone under load: no message and no stream is lost")
    func controlPlaneGone() async throws {
        let spec = WholeCellTests.embedded.replacing("PORT", with: "\(freePorts([0, 1, 2, 3]))")
            .replacing("auth: {none: {}}", with: "auth: {none: {}}\n  failover: {lease: 3s}")
        let cell = try await CellUnderTest("embedded", spec: spec)
        try await cell.waitUntilReady()
        let board = try cell.board()
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 40, rate: 80)
        try await chat.opened()
        try await cell.killOperator()
        try await cell.redis.kill()
        // Longer than a lease: nobody may be taken for dead for it.
        try await Task.sleep(for: .seconds(4))
        try await cell.redis.start()
        try cell.startOperator()
        try await eventually("the next operator's lead", within: .seconds(60)) { try await board.leader()?.name == "operator-1" }
        // Time enough for leases that were missed to cost somebody his place.
        try await Task.sleep(for: .seconds(6))
        let report = try await chat.finish()
        #expect(report.good, "\(report) \(cell.diagnosis)")
        #expect(report.outage_ms.count == 0, "no stream may end: \(report)")
        try await cell.waitForOwners(2)
        try await cell.stop()
    }

    @Test("a tiny window, two devices each: who resumes past it is told a gap, and the history closes it exactly")
    func gaps() async throws {
        let spec = WholeCellTests.embedded.replacing("PORT", with: "\(freePorts([0, 1, 2, 3]))")
            .replacing("maxConnections: 2000", with: "maxConnections: 2000, alive: 60s, window: {age: 1s, bytes: 1Mi}")
        let cell = try await CellUnderTest("embedded", spec: spec)
        try await cell.waitUntilReady()
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 60, rate: 8, devices: 2)
        try await chat.opened()
        for _ in 0..<2 {
            // Longer than the window is swept, so that it no longer holds where quiet devices are.
            try await Task.sleep(for: .seconds(7))
            kill(try await cell.owner().pid!, SIGKILL)
            try await cell.waitForOwners(2)
        }
        let report = try await chat.finish()
        #expect(report.good, "\(report) \(cell.diagnosis)")
        #expect(report.counters["gap"] ?? 0 > 0, "no gap was told, so this tests nothing: \(report)")
        try await cell.stop()
    }

    @Test("everything dies at once: the next operator brings the cell back in seconds, also when Redis forgot it", arguments: [false, true])
    func totalLoss(forgetful: Bool) async throws {
        let cell = try await CellUnderTest("embedded", spec: WholeCellTests.embedded.replacing("PORT", with: "\(freePorts([0, 1, 2, 3]))"))
        try await cell.waitUntilReady()
        let before = try await cell.servers()
        try await cell.killOperator()
        for pid in before.compactMap(\.pid) { kill(pid, SIGKILL) }
        if forgetful { try await cell.redis.client().command("FLUSHALL") }
        try cell.startOperator()
        try await eventually("a cell of new servers", within: .seconds(120)) {
            guard let servers = try? await cell.servers() else { return false }
            return servers.count == before.count && servers.allSatisfy { $0.state == "ready" } && Set(servers.map(\.name)).isDisjoint(with: before.map(\.name))
        }
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 20, rate: 40)
        let report = try await chat.finish()
        #expect(report.good, "\(report) \(cell.diagnosis)")
        try await cell.stop()
    }
}
