import Testing

@testable import Kafka

extension RealKafka {
    @Suite("one of three brokers that dies", .kafka(brokers: 3))
    struct LeaderDeathTests {
        @Test("its partitions go on with another leader: nothing is lost, order holds, offsets are still answered")
        func leaderKilled() async throws {
            let cluster = try #require(KafkaCluster.current)
            let topic = try await cluster.topic(partitions: 6)
            let queries = try LogQueries(cluster.configuration, topic: topic)
            let reports = Collector<DeliveryReport>()
            let events = Collector<LogEvent>()
            let producer = try Producer(cluster.configuration, topic: topic, onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
            let reader = try LogReader(cluster.configuration, topic: topic, onEvents: { events.add($0) })
            defer {
                queries.close()
                producer.close(discarding: true)
                reader.close()
            }
            reader.start(Dictionary((Int32(0)..<6).map { ($0, 0) }) { $1 })
            #expect(await eventually { (try? await queries.metadata())?.partitions.allSatisfy { $0.inSync.count == 3 } == true })
            let victim = try #require(try await queries.metadata(timeout: .seconds(30)).partitions[0].leader)
            let total = 3000
            for number in 0..<total {
                if number == 600 { try await cluster.killBroker(Int(victim)) }
                try producer.produce(Array("\(number)".utf8), to: Int32(number % 6), token: UInt64(number))
                if number.isMultiple(of: 10) { try await Task.sleep(for: .milliseconds(5)) }
            }
            // While the leaders move the question is asked again, and those that are known do not wait for the others for ever.
            let during = try await queries.endOffsets(of: Array(0..<6), timeout: .seconds(60)).complete()
            #expect(during.count == 6)
            #expect(await eventually(.seconds(120)) { reports.count == total })
            #expect(reports.all.allSatisfy { $0.error == nil })
            // The new leader may know a later batch of the producer and call an earlier one a repetition, which it is not: a report without an offset
            // is no promise.
            let doubtful = Set(reports.all.filter { $0.offset == nil }.map { Int($0.token) })
            #expect(doubtful.count < total / 10, "\(doubtful.count) reports do not say where the record is")
            #expect(await eventually(.seconds(90)) { events.records.count >= total - doubtful.count })
            var kept = 0
            for partition in Int32(0)..<6 {
                let read = events.records(of: partition).compactMap { Int(String(decoding: $0.value, as: UTF8.self)) }
                let sent = stride(from: Int(partition), to: total, by: 6).filter { read.contains($0) || !doubtful.contains($0) }
                #expect(read == sent)
                kept += read.count
            }
            #expect(await eventually { (try? await queries.metadata())?.partitions.allSatisfy { $0.leader != nil && $0.leader != victim } == true })
            let ends = try await queries.endOffsets(of: Array(0..<6), timeout: .seconds(60)).complete()
            #expect(ends.values.reduce(0, +) == Int64(kept))
        }
    }
}
