import Testing

@testable import Kafka

@Suite("the embedded broker")
struct EmbeddedBrokerTests {
    @Test("listens where it was told, is refused on a taken port, and the port is free after it stopped")
    func port() throws {
        let port = freePort()
        let broker = try EmbeddedBroker(port: port, topic: "chat", partitions: 3)
        #expect(broker.port == port)
        let refusal = #expect(throws: KafkaError.self) { try EmbeddedBroker(port: port, topic: "chat", partitions: 3) }
        #expect(refusal?.code == .portTaken)
        #expect(refusal?.what.contains("\(port)") == true)
        broker.stop()
        broker.stop()
        let again = try EmbeddedBroker(port: port, topic: "chat", partitions: 3)
        #expect(again.port == port)
        again.stop()
    }

    @Test("a topic without partitions is refused")
    func noPartitions() {
        let refusal = #expect(throws: KafkaError.self) { try EmbeddedBroker(topic: "chat", partitions: 0) }
        #expect(refusal?.code == .invalidTopic)
    }

    @Test("what is produced is reported with its offset and read in order, with the time that the producer wrote")
    func roundTrip() async throws {
        let broker = try EmbeddedBroker(topic: "chat", partitions: 12)
        defer { broker.stop() }
        let reports = Collector<DeliveryReport>()
        let producer = try Producer(broker.configuration, topic: "chat", onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
        defer { producer.close(discarding: true) }
        let events = Collector<LogEvent>()
        let reader = try LogReader(broker.configuration, topic: "chat", onEvents: { events.add($0) })
        defer { reader.close() }
        reader.start([3: 0, 7: 0])
        for number in 0..<100 { try producer.produce([UInt8(number)], to: number.isMultiple(of: 2) ? 3 : 7, token: UInt64(number), time_ms: 1_000_000) }
        #expect(await eventually { reports.count == 100 })
        #expect(reports.all.allSatisfy { $0.error == nil && $0.time_ms == nil })
        #expect(reports.all.filter { $0.partition == 3 }.map(\.offset) == (0..<50).map { $0 })
        #expect(await eventually { producer.queued == .init(messages: 0, bytes: 0) })
        #expect(await eventually { events.records.count == 100 })
        #expect(events.records(of: 7).map(\.value) == (0..<50).map { [UInt8($0 * 2 + 1)] })
        #expect(events.records.allSatisfy { $0.time_ms == 1_000_000 && !$0.timeIsLogAppend })
        #expect(await eventually { events.all.contains(.caughtUp(partition: 7, next: 50)) })
        #expect(reader.positions == [3: 50, 7: 50])
    }

    @Test("its offsets are answered for many partitions at once")
    func offsets() async throws {
        let broker = try EmbeddedBroker(topic: "chat", partitions: 720)
        defer { broker.stop() }
        let reports = Collector<DeliveryReport>()
        let producer = try Producer(broker.configuration, topic: "chat", onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
        defer { producer.close(discarding: true) }
        for token in 0..<10 { try producer.produce([1, 2, 3], to: 500, token: UInt64(token)) }
        #expect(await eventually { reports.count == 10 })
        let queries = try LogQueries(broker.configuration, topic: "chat")
        defer { queries.close() }
        let ends = try await queries.endOffsets(of: Array(0..<720), timeout: .seconds(60)).complete()
        #expect(ends.count == 720)
        #expect(ends[500] == 10)
        #expect(ends[0] == 0)
        #expect(try await queries.startOffsets(of: [500], timeout: .seconds(60)).complete() == [500: 0])
        #expect(try await queries.metadata(timeout: .seconds(60)).partitions.count == 720)
        let unknown = try await queries.endOffsets(of: [0, 720], timeout: .seconds(16))
        #expect(unknown[0] == 0)
        #expect(unknown.errors[720]?.code == .unknownTopicOrPartition)
    }
}

extension Collector<LogEvent> {
    var records: [LogRecord] {
        all.compactMap { if case .record(let record) = $0 { record } else { nil } }
    }
    func records(of partition: Int32) -> [LogRecord] { records.filter { $0.partition == partition } }
}
