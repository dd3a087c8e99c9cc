import Cell
import Glibc
import Kafka
import Support
import Testing

@testable import Servers

@Suite("Chat on Kafka", .serialized, .enabled(if: Peers.wanted))
struct KafkaChatTests {
    private static func topic(_ configuration: KafkaConfiguration, partitions: Int32) async throws -> LogQueries {
        let queries = try LogQueries(configuration, topic: "chat")
        try await queries.createTopic(NewTopic(partitions: partitions, replicationFactor: 1, configuration: ["message.timestamp.type": "LogAppendTime"]))
        return queries
    }

    @Test("chat, resume after the window of a fresh server, and a broker that is killed and comes back", .timeLimit(.minutes(8)))
    func brokerKilled() async throws {
        let kafka = try await Peers.kafka()
        let configuration = KafkaConfiguration(brokers: kafka.addresses.split(separator: ",").map(String.init))
        let queries = try await Self.topic(configuration, partitions: 4)
        defer { queries.close() }
        let bench = try EngineBench(2, partitions: 4, kafka: configuration, topic: "chat")
        do {
            bench.assign(epoch: 1, { $0.owns = PartitionSet(all: 4) }, { $0.shadows = PartitionSet(all: 4) })
            try await bench.ready(0, within: .seconds(90))
            try await bench.ready(1, within: .seconds(90))
            try await chat(bench, kafka)
        } catch {
            await bench.stop()
            throw error
        }
        await bench.stop()
    }

    private func chat(_ bench: EngineBench, _ kafka: Peer) async throws {
        let alice = try await bench.opened(1)
        let bob = try await bench.opened(2)
        var sent = (0..<20).map { (id: alice.send("\($0)", to: 2), body: "\($0)") }
        try await eventually("acknowledged") { alice.acks.count == 20 && bob.messages.count == 20 }
        #expect(bob.messages.allSatisfy { abs($0.time_ms - SystemClock.now.wall_ms) < 60_000 })

        kafka.signal(1, SIGKILL)
        sent += (20..<25).map { (id: alice.send("\($0)", to: 2), body: "\($0)") }
        try await eventually("UNKNOWN_OUTCOME") { alice.frames.compactMap(\.refused).contains { $0.reason == .unknownOutcome } }
        try await kafka.start()
        // As the contract has it: everything unacknowledged again, in each round.
        try await eventually("everything acknowledged", within: .seconds(120)) {
            let round = alice.frames.compactMap(\.refused).map(\.round).max().map { $0 + 1 } ?? 0
            let acks = Set(alice.acks)
            for message in sent where !acks.contains(message.id.bytes) { alice.send(message.body, to: 2, id: message.id, round: round) }
            try await Task.sleep(for: .milliseconds(300))
            return sent.allSatisfy { Set(alice.acks).contains($0.id.bytes) }
        }
        try await eventually("everything delivered", within: .seconds(60)) { bob.messages.count >= 25 && alice.messages.count >= 25 }
        #expect(bob.bodies == sent.map(\.body))
        #expect(alice.bodies == sent.map(\.body))

        // The standby has read the same and serves at once.
        bench.assign(epoch: 2, { $0.leaves = PartitionSet(all: 4) }, { $0.owns = PartitionSet(all: 4) })
        let again = bench.device(2, at: 1, Open(attempt: 1, log: EngineBench.log, cursor: bob.messages[9].offset, epoch: 2))
        try await eventually("the replay") { again.messages.count >= 15 }
        #expect(again.bodies == Array(sent.map(\.body)[10...]))
    }
}
