import Testing

@testable import Kafka

#if canImport(Glibc)
    import Glibc
#endif

extension RealKafka.OneBroker {
    @Suite("a topic")
    struct TopicTests {
        @Test("is made with its configuration, described, refused when it exists, and deleted")
        func administration() async throws {
            let cluster = try #require(KafkaCluster.current)
            let queries = try LogQueries(cluster.configuration, topic: "administered")
            defer { queries.close() }
            let unknown = await #expect(throws: KafkaError.self) { try await queries.metadata(timeout: .seconds(30)) }
            #expect(unknown?.code == .unknownTopicOrPartition)
            let undescribed = await #expect(throws: KafkaError.self) { try await queries.topicConfiguration(timeout: .seconds(30)) }
            #expect(undescribed?.code == .unknownTopicOrPartition)
            let wide = await #expect(throws: KafkaError.self) { try await queries.createTopic(NewTopic(partitions: 3, replicationFactor: 2)) }
            #expect(wide?.code == .invalidReplication)
            let odd = await #expect(throws: KafkaError.self) {
                try await queries.createTopic(NewTopic(partitions: 3, replicationFactor: 1, configuration: ["retention.ms": "soon"]))
            }
            #expect(odd?.code == .invalidTopic)
            let none = await #expect(throws: KafkaError.self) { try await queries.createTopic(NewTopic(partitions: 0, replicationFactor: 1)) }
            #expect(none?.code == .invalidTopic || none?.code == .configuration)
            let new = NewTopic(
                partitions: 3, replicationFactor: 1,
                configuration: ["message.timestamp.type": "LogAppendTime", "retention.ms": "604800000", "cleanup.policy": "delete"])
            try await queries.createTopic(new)
            let existing = await #expect(throws: KafkaError.self) { try await queries.createTopic(new) }
            #expect(existing?.code == .topicExists)
            #expect(await eventually { (try? await queries.topicConfiguration()) != nil })
            let described = try await queries.topicConfiguration(timeout: .seconds(30))
            for (name, value) in new.configuration { #expect(described[name] == value, "\(name)") }
            #expect(described["max.message.bytes"].flatMap { Int($0) } ?? 0 > 0)
            #expect(await eventually { (try? await queries.metadata())?.partitions.count { $0.leader == 1 } == 3 })
            let metadata = try await queries.metadata(timeout: .seconds(30))
            #expect(metadata.partitions.allSatisfy { $0.leader == 1 && $0.replicas == [1] && $0.inSync == [1] })
            #expect(metadata.brokers.map(\.port) == [Int32(cluster.port)])
            try await queries.deleteTopic()
            let gone = await #expect(throws: KafkaError.self) { try await queries.deleteTopic() }
            #expect(gone?.code == .unknownTopicOrPartition)
        }

        @Test("that appears late is used by producer, reader and queries without a restart")
        func late() async throws {
            let cluster = try #require(KafkaCluster.current)
            let topic = "late-\(UInt32.random(in: 0...UInt32.max))"
            let reports = Collector<DeliveryReport>()
            let events = Collector<LogEvent>()
            let producer = try Producer(cluster.configuration, topic: topic, onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
            let reader = try LogReader(cluster.configuration, topic: topic, onEvents: { events.add($0) })
            defer {
                producer.close(discarding: true)
                reader.close()
            }
            reader.start([0: 0, 1: 0])
            let cold = await #expect(throws: KafkaError.self) { try await producer.warmUp(timeout: .seconds(10)) }
            #expect(cold?.code == .unknownTopicOrPartition)
            try producer.produce([1], to: 1, token: 1)
            // Time for what must not come.
            try await Task.sleep(for: .seconds(2))
            #expect(reports.count == 0)
            let queries = try LogQueries(cluster.configuration, topic: topic)
            defer { queries.close() }
            try await queries.createTopic(
                NewTopic(partitions: 2, replicationFactor: 1, configuration: ["message.timestamp.type": "LogAppendTime"]))
            let began = ContinuousClock.now
            #expect(await eventually { reports.count == 1 && events.records.count == 1 })
            // It looks every 10 s at the latest; the library's own 5 minutes would be too long.
            #expect(ContinuousClock.now - began < .seconds(30), "used after \(ContinuousClock.now - began)")
            #expect(reports.all.first?.error == nil && reports.all.first?.offset == 0)
            #expect(try await producer.warmUp(timeout: .seconds(30)).partitions.count == 2)
            #expect(try await queries.endOffsets(of: [0, 1], timeout: .seconds(30)).complete() == [0: 0, 1: 1])
        }

        @Test("is asked for the offset of a time: before, between, after, and in an empty partition")
        func times() async throws {
            let cluster = try #require(KafkaCluster.current)
            let topic = try await cluster.topic(partitions: 2)
            let reports = Collector<DeliveryReport>()
            let producer = try Producer(cluster.configuration, topic: topic, onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
            defer { producer.close(discarding: true) }
            for number in 0..<5 {
                try producer.produce([UInt8(number)], to: 0, token: UInt64(number))
                #expect(await eventually { reports.count == number + 1 })
                try await Task.sleep(for: .milliseconds(20))
            }
            let times = reports.all.compactMap(\.time_ms)
            try #require(times.count == 5)
            let queries = try LogQueries(cluster.configuration, topic: topic)
            defer { queries.close() }
            #expect(try await queries.offsets(at: 0, of: [0, 1], timeout: .seconds(30)).complete() == [0: 0, 1: 0])
            #expect(try await queries.offsets(at: times[2], of: [0], timeout: .seconds(30)).complete() == [0: 2])
            #expect(try await queries.offsets(at: times[2] + 1, of: [0], timeout: .seconds(30)).complete() == [0: 3])
            #expect(try await queries.offsets(at: times[4] + 1, of: [0, 1], timeout: .seconds(30)).complete() == [0: 5, 1: 0])
            #expect(try await queries.startOffsets(of: [0, 1], timeout: .seconds(30)).complete() == [0: 0, 1: 0])
        }

        @Test("that is deleted and made again fails a reader whose offset it does not hold, and a producer says so or goes on")
        func madeAgain() async throws {
            let cluster = try #require(KafkaCluster.current)
            let topic = try await cluster.topic(partitions: 1)
            let reports = Collector<DeliveryReport>()
            let fatal = Collector<KafkaError>()
            let events = Collector<LogEvent>()
            let producer = try Producer(cluster.configuration, topic: topic, onReports: { reports.add($0) }, onFatal: { fatal.add([$0]) })
            let reader = try LogReader(cluster.configuration, topic: topic, onEvents: { events.add($0) })
            defer {
                producer.close(discarding: true)
                reader.close()
            }
            reader.start([0: 0])
            for token in 0..<10 { try producer.produce([1], to: 0, token: UInt64(token)) }
            #expect(await eventually { reports.count == 10 && events.records.count == 10 })
            let queries = try LogQueries(cluster.configuration, topic: topic)
            defer { queries.close() }
            try await queries.deleteTopic()
            #expect(
                await eventually {
                    (try? await queries.createTopic(
                        NewTopic(partitions: 1, replicationFactor: 1, configuration: ["message.timestamp.type": "LogAppendTime"]))) != nil
                })
            #expect(
                await eventually(.seconds(90)) { events.all.contains { if case .failed(0, let error) = $0 { error.code == .offsetOutOfRange } else { false } } }
            )
            // The idempotent producer's numbers do not fit the new log: it has to end in a report, an error or a fatal error, not in silence.
            do throws(KafkaError) { try producer.produce([2], to: 0, token: 99) } catch { #expect(error.code == .unknownTopicOrPartition || error.isFatal) }
            #expect(await eventually(.seconds(90)) { producer.queued.messages == 0 || fatal.count == 1 })
            reader.start([0: 0])
            #expect(
                await eventually { events.all.last == .caughtUp(partition: 0, next: reports.all.last?.token == 99 && reports.all.last?.error == nil ? 1 : 0) })
        }
    }
}
