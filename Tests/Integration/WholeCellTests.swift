import Glibc
import Support
import Testing

/// A cell with everything real, under an independent client's load, while its parts die.
@Suite("a whole cell", .serialized)
struct WholeCellTests {
    static let embedded = """
        apiVersion: cecochat.io/v1alpha1
        kind: Cell
        metadata: {name: embedded}
        spec:
          partitions: 12
          messaging: {servers: 2, standbys: 1, maxConnections: 2000}
          connect: {servers: 1, port: PORT}
          backplane: {embedded: {}}
          store: {sqlite: {}}
          auth: {none: {}}
          run: {process: {directory: DIR}}
        """

    static func real(kafka: String, cassandra: String) -> String {
        """
        apiVersion: cecochat.io/v1alpha1
        kind: Cell
        metadata: {name: real}
        spec:
          partitions: 24
          messaging: {servers: 2, standbys: 1, maxConnections: 2000}
          connect: {servers: 1, port: PORT}
          backplane: {kafka: {brokers: ["\(kafka)"], topic: real-messages, replicationFactor: 1}}
          store: {cassandra: {contactPoints: ["\(cassandra)"], keyspace: real, replicationFactor: 1}}
          auth: {none: {}}
          run: {process: {directory: DIR}}
        """
    }

    @Test("embedded: chat, a server killed, chat goes on; nothing lost, doubled or reordered, and the history is the same")
    func embedded() async throws {
        let cell = try await CellUnderTest("embedded", spec: Self.embedded.replacing("PORT", with: "\(freePorts([0, 1, 2, 3]))"))
        try await cell.waitUntilReady()
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 60, rate: 100, least: 600)
        try await chat.opened()
        let victim = try await cell.owner()
        kill(victim.pid!, SIGKILL)
        try await cell.waitForLoss(of: victim)
        try await cell.waitForOwners(2)
        let report = try await chat.finish()
        #expect(report.good, "\(report) \(cell.diagnosis)")
        let events = try await cell.events()
        #expect(events.contains { $0.server == victim.name }, "nobody told of the death: \(events)")
        try await cell.stop()
    }

    @Test(
        "real Kafka and Cassandra, 200 clients: a server killed, one hung, the operator killed, Redis restarted, scaled to 4 and back",
        .enabled(if: Peers.wanted), .timeLimit(.minutes(8)))
    func everythingDies() async throws {
        let kafka = try await Peers.kafka()
        try await CassandraPeer.shared { try await everythingDies(on: kafka.addresses, "127.0.0.1:\($0.port)") }
        try await kafka.stop()
    }

    private func everythingDies(on kafka: String, _ cassandra: String) async throws {
        let spec = Self.real(kafka: kafka, cassandra: cassandra)
        let cell = try await CellUnderTest("real", spec: spec.replacing("PORT", with: "\(freePorts([0, 1, 2, 3]))"))
        try await cell.waitUntilReady()
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 200, rate: 300, least: 2_000)
        try await chat.opened()

        let killed = try await cell.owner(0)
        kill(killed.pid!, SIGKILL)
        try await cell.waitForLoss(of: killed)
        try await cell.waitForOwners(2)
        let hung = try await cell.owner(1)
        kill(hung.pid!, SIGSTOP)
        try await cell.waitForLoss(of: hung)
        kill(hung.pid!, SIGCONT)
        try await cell.waitForOwners(2)
        try await cell.killOperator()
        try cell.startOperator()
        try await cell.redis.restart()
        try await cell.waitForOwners(2)
        try await cell.expect("scale", "messaging=4", "--cell", "real")
        try await cell.waitForOwners(4)
        try await cell.expect("scale", "messaging=2", "--cell", "real")
        try await cell.waitForOwners(2)

        let report = try await chat.finish(within: .seconds(240))
        #expect(report.good, "\(report) \(cell.diagnosis)")
        try await cell.stop()
    }
}
