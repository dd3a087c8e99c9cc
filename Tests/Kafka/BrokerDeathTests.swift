import Testing

@testable import Kafka

extension RealKafka {
    @Suite("a broker that dies", .kafka())
    struct BrokerDeathTests {
        @Test("and comes back: nothing is lost, order holds in each partition, and reader and producer go on by themselves")
        func killedAndStarted() async throws {
            let cluster = try #require(KafkaCluster.current)
            let topic = try await cluster.topic(partitions: 4)
            let reports = Collector<DeliveryReport>()
            let events = Collector<LogEvent>()
            let producer = try Producer(cluster.configuration, topic: topic, onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
            let reader = try LogReader(cluster.configuration, topic: topic, onEvents: { events.add($0) })
            defer {
                producer.close(discarding: true)
                reader.close()
            }
            reader.start([0: 0, 1: 0, 2: 0, 3: 0])
            let total = 2000
            for number in 0..<total {
                if number == 500 { try await cluster.killBroker(1) }
                if number == 1000 { try await cluster.startBrokers() }
                try producer.produce(Array("\(number)".utf8), to: Int32(number % 4), token: UInt64(number))
                if number.isMultiple(of: 10) { try await Task.sleep(for: .milliseconds(5)) }
            }
            #expect(await eventually(.seconds(120)) { reports.count == total })
            #expect(reports.all.allSatisfy { $0.error == nil })
            #expect(Set(reports.all.map(\.token)).count == total)
            #expect(await eventually { events.records.count >= total })
            for partition in Int32(0)..<4 {
                let read = events.records(of: partition)
                #expect(read.map { String(decoding: $0.value, as: UTF8.self) } == stride(from: Int(partition), to: total, by: 4).map { "\($0)" })
                #expect(read.map(\.offset) == (0..<Int64(total / 4)).map { $0 })
                // An offset may be missing from a report, but never wrong.
                for report in reports.all where report.partition == partition {
                    if let offset = report.offset { #expect(read[Int(offset)].value == Array("\(report.token)".utf8)) }
                }
            }
        }

        @Test("while it is away a full queue is an error at once, and closing with discard reports nothing more")
        func queueFull() async throws {
            let nowhere = KafkaConfiguration(brokers: ["127.0.0.1:\(freePort())"], properties: ["queue.buffering.max.messages": "100"])
            let reports = Collector<DeliveryReport>()
            let producer = try Producer(nowhere, topic: "chat", onLog: { _ in }, onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
            for token in 0..<100 { try producer.produce([1, 2, 3], to: 0, token: UInt64(token)) }
            let began = ContinuousClock.now
            let refusal = #expect(throws: KafkaError.self) { try producer.produce([1, 2, 3], to: 0, token: 100) }
            #expect(refusal?.code == .queueFull && refusal?.isRetriable == true)
            // Who waited for room would wait for ever.
            #expect(ContinuousClock.now - began < .seconds(20))
            #expect(producer.queued == .init(messages: 100, bytes: 300))
            producer.close(discarding: true)
            #expect(throws: KafkaError.self) { try producer.produce([1], to: 0, token: 1) }
            // Time for what must not come.
            try await Task.sleep(for: .milliseconds(200))
            #expect(reports.count == 0)
        }
    }
}
