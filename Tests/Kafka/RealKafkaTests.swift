import Testing

@testable import Kafka

/// All that runs beside a real Kafka, one after another: a machine holds only so many brokers.
@Suite("a real Kafka", .serialized, .enabled(if: KafkaCluster.isWanted, "CELL_PEERS is not set"))
enum RealKafka {
    @Suite("of one broker", .kafka())
    enum OneBroker {}
}

extension RealKafka.OneBroker {
    @Suite("carries records")
    struct RecordTests {
        let cluster = KafkaCluster.current

        @Test("what is produced is reported with offset and LogAppendTime, and read in order with the same")
        func roundTrip() async throws {
            let cluster = try #require(cluster)
            let topic = try await cluster.topic(partitions: 12)
            let reports = Collector<DeliveryReport>()
            let producer = try Producer(cluster.configuration, topic: topic, onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
            defer { producer.close(discarding: true) }
            let events = Collector<LogEvent>()
            let reader = try LogReader(cluster.configuration, topic: topic, onEvents: { events.add($0) })
            defer { reader.close() }
            reader.start([3: 0, 7: 0])
            // A time of long ago: the topic's own must replace it.
            for number in 0..<100 { try producer.produce([UInt8(number)], to: number.isMultiple(of: 2) ? 3 : 7, token: UInt64(number), time_ms: 1_000_000) }
            #expect(await eventually { reports.count == 100 && events.records.count == 100 })
            #expect(reports.all.allSatisfy { $0.error == nil })
            #expect(events.records(of: 7).map(\.value) == (0..<50).map { [UInt8($0 * 2 + 1)] })
            let logged = Dictionary(uniqueKeysWithValues: events.records.map { (UInt64($0.value[0]), $0) })
            for report in reports.all {
                let record = try #require(logged[report.token])
                #expect(report.offset == record.offset && report.time_ms == record.time_ms)
                #expect(record.timeIsLogAppend && record.time_ms > 1_600_000_000_000)
            }
            #expect(await eventually { events.all.contains(.caughtUp(partition: 7, next: 50)) })
        }
    }
}
