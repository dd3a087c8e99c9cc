import Cell
import Dispatch
import Kafka
import Streams
import Support
import TLS

@testable import Servers

/// Messaging servers on a real log, and an assignment that the test publishes.
final class EngineBench: Sendable {
    struct Server: Sendable {
        let id: ServerID
        let incarnation: Incarnation
        let engine: MessagingEngine
        let port: UInt16
        let run: Task<Void, Never>
        var address: String { "127.0.0.1:\(port)" }
    }

    static let log = LogID(UUIDv7(high: UInt64(SystemClock.now.wall_ms - 1_000) << 16 | 0x7000, low: 1 << 63)!)
    let partitions: Int
    let servers: [Server]
    let clients: EventLoop

    /// - Parameter settings: of every server.
    init(
        _ count: Int = 1, partitions: Int = 4, kafka: KafkaConfiguration, topic: String, _ settings: Settings = Settings(),
        tls: TLSServerContext? = nil, authenticate: @escaping Authenticate = EngineBench.byName
    ) throws {
        self.partitions = partitions
        clients = try EventLoop(name: "clients")
        clients.start()
        servers = try (1...count).map { number in
            let incarnation = Incarnation("i\(number)")!
            let identity = MessagingIdentity(
                server: ServerID(.messaging, number), incarnation: incarnation, partitions: partitions, idWindow: .seconds(600), embedded: kafka.embedded)
            let engine = try MessagingEngine(
                MessagingConfiguration(
                    identity: identity, settings: settings, topic: topic, tls: tls, authenticate: authenticate, readAssignment: { nil }))
            let port = try engine.start()
            try engine.connect(to: kafka)
            return Server(id: identity.server, incarnation: incarnation, engine: engine, port: port, run: Task { await engine.run() })
        }
    }

    static let byName: Authenticate = { metadata in
        metadata("x-user-id").flatMap { UserID($0) }.map { .user($0) } ?? .refused(GRPCStatus(.unauthenticated, "x-user-id is no user"))
    }

    /// Publishes who does what: by server, in their order.
    func assign(epoch: Int64, log: LogID = EngineBench.log, to some: [Int]? = nil, _ changes: ((inout Member) -> Void)...) {
        var members: [ServerID: Member] = [:]
        for (server, change) in zip(servers, changes) {
            var member = Member(incarnation: server.incarnation, address: server.address, http: "127.0.0.1:1", role: .owner)
            change(&member)
            members[server.id] = member
        }
        let assignment = Assignment(epoch: Epoch(epoch), term: Term(1), log: log, members: members)
        for (index, server) in servers.enumerated() where some?.contains(index) ?? true { server.engine.assign(assignment) }
    }

    var all: PartitionSet { PartitionSet(all: partitions) }

    /// Until the server can produce and is warm for everything that it was assigned.
    func ready(_ index: Int = 0, within limit: Duration = .seconds(60)) async throws {
        try await eventually("server \(index + 1) is ready", within: limit) {
            let now = await servers[index].engine.snapshot()
            var report = Report(incarnation: servers[index].incarnation, zone: "", pid: 1, build: "")
            now.report.fill(&report)
            return now.waitsFor.isEmpty && report.warm.count == partitions
        }
    }

    func device(_ user: UInt64, at index: Int = 0, _ open: Open) -> ChatDevice { ChatDevice(user, at: servers[index].port, on: clients, open) }

    /// One that is Opened without a cursor: what comes from now on.
    func opened(_ user: UInt64, at index: Int = 0, device: String = "phone") async throws -> ChatDevice {
        let made = self.device(user, at: index, Open(device: device))
        try await eventually("user \(user) is Opened", within: .seconds(30)) { made.opened != nil }
        return made
    }

    func stop() async {
        for server in servers {
            await server.engine.stop(patience: .zero, grace: .zero)
            await server.run.value
        }
        // Stopping waits for the loop's thread.
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { [clients] in
                clients.stop()
                continuation.resume()
            }
        }
    }
}
