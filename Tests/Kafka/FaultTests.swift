import Testing

@testable import Kafka

@Suite("faults")
struct FaultTests {
    @Test("a fatal error is told once; then the producer refuses, and a new one works at once")
    func fatal() async throws {
        let broker = try EmbeddedBroker(topic: "chat", partitions: 2)
        defer { broker.stop() }
        let reports = Collector<DeliveryReport>()
        let fatal = Collector<KafkaError>()
        let producer = try Producer(broker.configuration, topic: "chat", onLog: { _ in }, onReports: { reports.add($0) }, onFatal: { fatal.add([$0]) })
        try producer.produce([1], to: 0, token: 1)
        #expect(await eventually { reports.count == 1 })
        broker.refuseNextProduce()
        try producer.produce([2], to: 0, token: 2)
        #expect(await eventually { fatal.count == 1 && reports.count == 2 })
        #expect(fatal.all.first?.isFatal == true)
        #expect(reports.all.last?.error != nil && reports.all.last?.offset == nil)
        let refusal = #expect(throws: KafkaError.self) { try producer.produce([3], to: 1, token: 3) }
        #expect(refusal?.isFatal == true)
        producer.close(discarding: true)
        let next = try Producer(broker.configuration, topic: "chat", onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
        defer { next.close(discarding: true) }
        try next.produce([3], to: 0, token: 3)
        #expect(await eventually { reports.all.last?.token == 3 && reports.all.last?.error == nil })
        #expect(fatal.count == 1)
    }

    @Test("reading beyond the end fails that partition alone, and it can be started again")
    func outOfRange() async throws {
        let broker = try EmbeddedBroker(topic: "chat", partitions: 2)
        defer { broker.stop() }
        let events = Collector<LogEvent>()
        let reader = try LogReader(broker.configuration, topic: "chat", onLog: { _ in }, onEvents: { events.add($0) })
        defer { reader.close() }
        reader.start([0: 1000, 1: 0])
        #expect(await eventually { events.all.contains { if case .failed(0, let error) = $0 { error.code == .offsetOutOfRange } else { false } } })
        #expect(await eventually { events.all.contains(.caughtUp(partition: 1, next: 0)) })
        #expect(reader.positions == [1: 0])
        reader.start([0: 0])
        #expect(await eventually { events.all.contains(.caughtUp(partition: 0, next: 0)) })
        reader.start([1: -1])
        #expect(await eventually { events.all.contains { if case .failed(1, _) = $0 { true } else { false } } })
    }

    @Test("nothing of a partition comes after it is stopped, and starting it again begins where it is told")
    func stopAndStart() async throws {
        let broker = try EmbeddedBroker(topic: "chat", partitions: 1)
        defer { broker.stop() }
        let producer = try Producer(broker.configuration, topic: "chat", onReports: { _ in }, onFatal: { Issue.record($0) })
        defer { producer.close(discarding: true) }
        let events = Collector<LogEvent>()
        let reader = try LogReader(broker.configuration, topic: "chat", onEvents: { events.add($0) })
        defer { reader.close() }
        reader.start([0: 0])
        for number in 0..<50 { try producer.produce([UInt8(number)], to: 0, token: 0) }
        #expect(await eventually { events.records.count == 50 })
        reader.stop([0])
        #expect(await eventually { events.all.last == .stopped(partition: 0) })
        for number in 50..<60 { try producer.produce([UInt8(number)], to: 0, token: 0) }
        #expect(await eventually { producer.queued.messages == 0 })
        #expect(events.records.count == 50)
        reader.start([0: 40])
        #expect(await eventually { events.records.count == 70 })
        #expect(events.records.suffix(20).map(\.offset) == (40..<60).map { $0 })
        // Again, while it is being read.
        reader.start([0: 58])
        #expect(await eventually { events.records.count == 72 })
    }

    @Test("closing without discard reports everything first")
    func flush() async throws {
        let broker = try EmbeddedBroker(topic: "chat", partitions: 1)
        defer { broker.stop() }
        let reports = Collector<DeliveryReport>()
        let producer = try Producer(broker.configuration, topic: "chat", onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
        for token in 0..<1000 { try producer.produce([1], to: 0, token: UInt64(token)) }
        producer.close(discarding: false)
        #expect(await eventually { reports.count == 1000 })
        #expect(reports.all.map(\.token) == (0..<1000).map { $0 })
        let refusal = #expect(throws: KafkaError.self) { try producer.produce([1], to: 0, token: 0) }
        #expect(refusal?.code == .closed)
    }

    @Test("a message beyond the producer's limit is refused at once, with its size")
    func tooLarge() throws {
        let nowhere = KafkaConfiguration(brokers: ["127.0.0.1:1"], properties: ["message.max.bytes": "2000"])
        let producer = try Producer(nowhere, topic: "chat", onLog: { _ in }, onReports: { _ in }, onFatal: { Issue.record($0) })
        defer { producer.close(discarding: true) }
        let refusal = #expect(throws: KafkaError.self) { try producer.produce([UInt8](repeating: 0, count: 3000), to: 0, token: 0) }
        #expect(refusal?.code == .messageTooLarge && refusal?.what.contains("3000") == true)
    }

    @Test("questions that cannot be answered end in time, and those that wait when it closes end at once")
    func unanswered() async throws {
        let queries = try LogQueries(.init(brokers: ["127.0.0.1:\(freePort())"]), topic: "chat", onLog: { _ in })
        let began = ContinuousClock.now
        let ends = try await queries.endOffsets(of: [0, 1], timeout: .milliseconds(500))
        #expect(ends.offsets.isEmpty && ends.errors.count == 2)
        let metadata = await #expect(throws: KafkaError.self) { try await queries.metadata(timeout: .milliseconds(300)) }
        #expect(metadata?.isRetriable == true)
        // Without the limits that it was given it would be twice 5 s.
        #expect(ContinuousClock.now - began < .seconds(9))
        queries.close()
        let closed = await #expect(throws: KafkaError.self) { try await queries.endOffsets(of: [0]) }
        #expect(closed?.code == .closed)
    }
}
