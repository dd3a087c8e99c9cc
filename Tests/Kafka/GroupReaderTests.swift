import Synchronization
import Testing

@testable import Kafka

/// A member that finishes records in a disorderly way and stores only the prefix without a hole.
private final class Member: Sendable {
    let events = Collector<LogEvent>()
    let assignments = Collector<[CommittedPosition]>()
    let revocations = Collector<[Int32]>()
    private let finished = Mutex<[Int32: FinishedPrefix]>([:])
    private let reader = Mutex<GroupReader?>(nil)
    /// What was handed over first after the partitions were given up: at most this was on its way then, and comes again to another.
    let onItsWay = Collector<Int>()
    private let isGivingUp = Atomic(false)
    let note: String

    init(_ configuration: KafkaConfiguration, group: String, topic: String, note: String) throws {
        self.note = note
        let handlers = GroupHandlers(
            onAssigned: { [self] in assigned($0) },
            onRevoked: { [self] partitions, _ in
                revocations.add([partitions])
                isGivingUp.store(true, ordering: .relaxed)
            },
            onEvents: { [self] in read($0) })
        let made = try GroupReader(configuration, group: group, topic: topic, commitEvery: .milliseconds(100), handlers: handlers)
        reader.withLock { $0 = made }
    }

    private func assigned(_ committed: [CommittedPosition]) -> [Int32: Int64] {
        assignments.add([committed])
        let places = Dictionary(committed.map { ($0.partition, $0.next ?? 0) }) { $1 }
        finished.withLock { $0 = places.mapValues { FinishedPrefix(next: $0) } }
        return places
    }

    private func read(_ batch: [LogEvent]) {
        events.add(batch)
        if isGivingUp.exchange(false, ordering: .relaxed) { onItsWay.add([batch.count]) }
        let prefixes = finished.withLock { finished in
            for case .record(let record) in batch.reversed() { finished[record.partition]?.finish(record.offset) }
            return finished.mapValues(\.next)
        }
        reader.withLock { $0 }?.store(prefixes.map { StoredPosition(partition: $0.key, next: $0.value, note: note) })
    }

    var positions: [Int32: Int64] { reader.withLock { $0 }?.positions ?? [:] }
    var lag: [Int32: Int64] { reader.withLock { $0 }?.lag ?? [:] }
    var isPaused: Bool { reader.withLock { $0 }?.isPaused == true }
    func pause() { reader.withLock { $0 }?.pause() }
    func resume() { reader.withLock { $0 }?.resume() }
    func close() { reader.withLock { $0 }?.close() }
}

extension RealKafka.OneBroker {
    @Suite("a group's members")
    struct GroupReaderTests {
        @Test("share the partitions, and after members come and go each record was read and no committed offset leaves a hole")
        func rebalance() async throws {
            let cluster = try #require(KafkaCluster.current)
            let topic = try await cluster.topic(partitions: 6)
            let producer = try Producer(cluster.configuration, topic: topic, onReports: { _ in }, onFatal: { Issue.record($0) })
            defer { producer.close(discarding: true) }
            let isEnough = Atomic(false)
            let writing = Task {
                var number = 0
                while !isEnough.load(ordering: .relaxed) || number % 6 != 0 {
                    try producer.produce(Array("\(number)".utf8), to: Int32(number % 6), token: UInt64(number))
                    number += 1
                    if number.isMultiple(of: 18) { try await Task.sleep(for: .milliseconds(20)) }
                }
                return number
            }
            let first = try Member(cluster.configuration, group: "materialize", topic: topic, note: "log-1")
            #expect(await eventually { first.events.records.count > 100 })
            let second = try Member(cluster.configuration, group: "materialize", topic: topic, note: "log-1")
            #expect(await eventually { second.events.records.count > 100 })
            // Alone in the group for a moment, a member may be given all before both have half.
            #expect(await eventually { first.assignments.all.last?.count == 3 && second.assignments.all.last?.count == 3 })
            first.close()
            #expect(await eventually { second.assignments.all.last?.count == 6 })
            isEnough.store(true, ordering: .relaxed)
            let total = try await writing.value
            let all = [first, second]
            #expect(await eventually { Set(all.flatMap { $0.events.records.map { "\($0.partition)-\($0.offset)" } }).count == total })
            // What was committed before each assignment is where its member went on, and it was read by somebody.
            for committed in all.flatMap({ $0.assignments.all }).flatMap({ $0 }) {
                guard let next = committed.next else { continue }
                #expect(committed.note == "log-1")
                let read = Set(all.flatMap { $0.events.records(of: committed.partition).map(\.offset) })
                #expect((0..<next).allSatisfy { read.contains($0) })
            }
            // The prefix was committed before it was given up: read twice is at most what was on its way to the member that gave it up.
            #expect(all.map(\.events.records.count).reduce(0, +) <= total + all.flatMap(\.onItsWay.all).reduce(0, +))
            #expect(await eventually { second.lag.values.allSatisfy { $0 == 0 } && second.lag.count == 6 })
            second.close()
            #expect(await eventually { second.revocations.count == second.assignments.count }, "what was given was given back")
            let third = try Member(cluster.configuration, group: "materialize", topic: topic, note: "log-2")
            #expect(await eventually { third.assignments.count == 1 })
            #expect(third.assignments.all.first?.map(\.next) == Array(repeating: Int64(total / 6), count: 6))
            third.close()
        }

        @Test("a paused member reads nothing, keeps its partitions, and goes on without a gap")
        func pause() async throws {
            let cluster = try #require(KafkaCluster.current)
            let topic = try await cluster.topic(partitions: 2)
            let reports = Collector<DeliveryReport>()
            let producer = try Producer(cluster.configuration, topic: topic, onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
            defer { producer.close(discarding: true) }
            let member = try Member(cluster.configuration, group: "paused", topic: topic, note: "")
            defer { member.close() }
            #expect(await eventually { member.positions.count == 2 })
            for number in 0..<100 { try producer.produce([1], to: Int32(number % 2), token: UInt64(number)) }
            #expect(await eventually { member.events.records.count == 100 })
            member.pause()
            #expect(await eventually { member.isPaused })
            for number in 100..<200 { try producer.produce([1], to: Int32(number % 2), token: UInt64(number)) }
            #expect(await eventually { reports.count == 200 })
            // Time for what must not come.
            try await Task.sleep(for: .milliseconds(500))
            #expect(member.events.records.count == 100)
            member.resume()
            #expect(await eventually { member.events.records.count == 200 })
            #expect(member.events.records(of: 1).map(\.offset) == (0..<100).map { $0 })
            #expect(member.assignments.count == 1)
        }

        @Test("a pause holds for what is assigned while it lasts")
        func pauseAndRebalance() async throws {
            let cluster = try #require(KafkaCluster.current)
            let topic = try await cluster.topic(partitions: 2)
            let reports = Collector<DeliveryReport>()
            let producer = try Producer(cluster.configuration, topic: topic, onReports: { reports.add($0) }, onFatal: { Issue.record($0) })
            defer { producer.close(discarding: true) }
            let member = try Member(cluster.configuration, group: "full", topic: topic, note: "")
            defer { member.close() }
            let other = try Member(cluster.configuration, group: "full", topic: topic, note: "")
            #expect(await eventually { member.positions.count == 1 && other.positions.count == 1 })
            member.pause()
            #expect(await eventually { member.isPaused })
            // What the other had comes to a member that has never paused it.
            other.close()
            #expect(await eventually { member.positions.count == 2 })
            for number in 0..<100 { try producer.produce([1], to: Int32(number % 2), token: UInt64(number)) }
            #expect(await eventually { reports.count == 100 })
            // Time for what must not come.
            try await Task.sleep(for: .milliseconds(500))
            #expect(member.events.records.isEmpty)
            member.resume()
            #expect(await eventually { member.events.records.count == 100 })
        }
    }
}
