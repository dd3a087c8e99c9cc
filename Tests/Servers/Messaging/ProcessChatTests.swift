import Blackboard
import Cell
import FoundationEssentials
import Glibc
import Streams
import Support
import Testing

@testable import Servers

/// `cell-server messaging` and `cell-server backplane` as processes, with the test as their operator.
@Suite("Messaging as a process", .serialized)
struct ProcessChatTests {
    static let names = [ServerID(.messaging, 1), ServerID(.messaging, 2)]
    let spec = CellSpec(name: CellName("eu-1")!, partitions: 4, backplane: .embedded, store: .sqlite, auth: .none, run: .process(RunSpec.Process()))

    @Test("chats, and is served by its standby within moments of being killed")
    func killed() async throws {
        let redis = try await RedisProcess()
        let board = CellBlackboard(spec.name, on: try redis.client())
        _ = try await board.putSpec(spec.canonicalJSON, replacing: 0)
        guard case .leads(let election, _) = try await board.campaign(as: "test", token: "t", lease: .seconds(600), atLeast: .none) else {
            throw StartProblem("the test does not lead", remedy: "")
        }
        let backplane = try ServerUnderTest(ServerID(.backplane, 1), "b1", redis: redis.address)
        let servers = try Self.names.map { try ServerUnderTest($0, "m\($0.number)", redis: redis.address) }
        let broker = try await backplane.report(on: board) { $0.state == .ready }

        var first = Assignment(epoch: Epoch(1), term: election.term, log: EngineBench.log)
        first.members[backplane.id] = Member(incarnation: backplane.incarnation, address: broker.address, http: broker.http, role: .service)
        for server in servers {
            let report = try await server.report(on: board) { !$0.address.isEmpty }
            first.members[server.id] = Member(incarnation: server.incarnation, address: report.address, http: report.http, role: .owner)
        }
        first.members[Self.names[0]]?.owns = PartitionSet(all: 4)
        first.members[Self.names[1]]?.shadows = PartitionSet(all: 4)
        first.members[Self.names[1]]?.role = .standby
        try await board.publish(from: Assignment(), to: first, as: election)
        for server in servers { _ = try await server.report(on: board, within: .seconds(60)) { $0.state == .ready && $0.warm.count == 4 } }

        let clients = try EventLoop(name: "clients")
        clients.start()
        defer { clients.stop() }
        try await independentClient(first.members[Self.names[0]]?.address ?? "")
        try await chat(first, servers, board, election, clients)
        try await eventually("its stream among the metrics") {
            try await Fetched("http://\(first.members[Self.names[1]]?.http ?? "")/metrics").body.contains("cell_messaging_streams 1")
        }
        for server in servers + [backplane] where server.process.isRunning { server.process.signal(SIGTERM) }
        #expect(try await servers[1].process.waitForExit() == .code(0))
    }

    @Test("an independent client that hangs tells what it wrote and where it stands")
    func hanging() async throws {
        let error = await #expect(throws: NeverHappened.self) {
            try await ChildProcess.run(python, ["-c", "import time\nprint('began', flush=True)\ntime.sleep(60)"], within: .seconds(2))
        }
        let told = error?.description ?? ""
        #expect(told.contains("began") && told.contains("line 3"), "\(told)")
    }

    /// Python's grpcio over the contract's file.
    private func independentClient(_ address: String) async throws {
        let here = URL(filePath: #filePath).deletingLastPathComponent()
        let contract = here.appending(path: "../../../contract").standardized.path
        let generated = try TemporaryFolder("grpcio")
        let outcome = try await ChildProcess.run(
            python, [here.appending(path: "chat_client.py").path, contract, generated.path, address], within: .seconds(120))
        #expect(outcome.output.hasSuffix("ok\n"), "\(outcome.errors)")
    }

    private func port(_ member: Member?) -> UInt16 { member?.address.split(separator: ":").last.flatMap { UInt16($0) } ?? 0 }

    private func chat(_ first: Assignment, _ servers: [ServerUnderTest], _ board: CellBlackboard, _ election: Election, _ clients: EventLoop) async throws {
        let alice = ChatDevice(1, at: port(first.members[Self.names[0]]), on: clients, Open(device: "phone"))
        try await eventually("Opened") {
            guard alice.status == nil, alice.failure == nil else {
                throw StartProblem("\(String(describing: alice.status)) \(String(describing: alice.failure))", remedy: servers[0].process.errors)
            }
            return alice.opened != nil
        }
        alice.send("one", to: 1)
        try await eventually("acknowledged and delivered") { alice.acks.count == 1 && alice.bodies == ["one"] }
        let fallback = try #require(alice.opened?.fallback)
        #expect(fallback == first.members[Self.names[1]]?.address)

        servers[0].process.signal(SIGKILL)
        let again = ChatDevice(1, at: port(first.members[Self.names[1]]), on: clients, Open(attempt: 1, log: EngineBench.log, cursor: alice.cursor, epoch: 1))
        var second = first
        second.epoch = Epoch(2)
        second.members[Self.names[0]] = nil
        second.members[Self.names[1]]?.owns = PartitionSet(all: 4)
        second.members[Self.names[1]]?.shadows = PartitionSet()
        try await board.publish(from: first, to: second, as: election)
        let took = try await eventually("the standby serves") { again.opened != nil }
        // Far less than the 10 s after which those that are held are sent away.
        #expect(took < .seconds(6))
        again.send("two", to: 1)
        try await eventually("chats on") { again.bodies == ["two"] && again.acks.count == 1 }
        try await eventually("an Alive") { again.frames.contains { $0.alive != nil } }
    }
}
