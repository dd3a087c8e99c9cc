import Cell
import FoundationEssentials
import Glibc
import History
import Kafka
import Support
import Synchronization
import Testing

@testable import Servers

/// From records in a log to rows in the store. The embedded broker is what an embedded cell runs; the real Kafka what others do.
@Suite(.timeLimit(.minutes(12)), .serialized)
struct MaterializeTests {
    static let partitions = 4

    /// A log that is written to, with what its history must be in the end.
    final class WrittenLog {
        let configuration: KafkaConfiguration
        let topic: String
        let log: LogID
        private let producer: Producer
        private var produced = 0
        private var random = SystemRandomNumberGenerator()
        /// Ids in the order in which the log must show them, by user.
        private(set) var expected: [UserID: [MessageID]] = [:]
        private var earlier: [(id: MessageID, sender: UserID, receiver: UserID)] = []
        var ends: [Int32: Int64] = [:]

        init(_ configuration: KafkaConfiguration, topic: String, startedAgo: Int64 = 1_000) throws {
            self.configuration = configuration
            self.topic = topic
            log = LogID(UUIDv7(time_ms: Self.now - startedAgo, using: &random))
            let delivered = Delivered()
            self.count = delivered
            producer = try Producer(
                configuration, topic: topic, shards: 1, onReports: { delivered.add($0.count) }, onFatal: { Issue.record($0) })
        }

        private let count: Delivered
        static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

        final class Delivered: Sendable {
            private let value = Mutex(0)
            func add(_ count: Int) { value.withLock { $0 += count } }
            var total: Int { value.withLock { $0 } }
        }

        /// Messages between 20 users: some twice, some void, and ticks between them. Only one record is under way at a time, so the order is known.
        func write(_ count: Int) async throws {
            for _ in 0..<count {
                let kind = Int.random(in: 0..<10)
                if kind == 0 {
                    try await put(Record.tick(produced_ms: Self.now), Int32.random(in: 0..<Int32(partitions)))
                } else if kind <= 2, let again = earlier.randomElement() {
                    try await put(again.id, again.sender, again.receiver)
                } else if kind == 3 {
                    try await put(MessageID(time_ms: Self.now - 3_600_000, using: &random), user(UInt64.random(in: 1...20)), user(UInt64.random(in: 1...20)))
                } else {
                    let message = (
                        id: MessageID(time_ms: Self.now, using: &random), sender: user(UInt64.random(in: 1...20)), receiver: user(UInt64.random(in: 1...20))
                    )
                    earlier.append(message)
                    try await put(message.id, message.sender, message.receiver)
                    for owner in Set([message.sender, message.receiver]) { expected[owner, default: []].append(message.id) }
                }
            }
        }

        private func put(_ id: MessageID, _ sender: UserID, _ receiver: UserID) async throws {
            let message = LoggedMessage(id: id, sender: sender, receiver: receiver, produced_ms: Self.now, body: Array("\(id)".utf8))
            for partition in Set([sender, receiver].map { $0.partition(of: partitions) }) { try await put(.message(message), partition.number) }
        }

        private func put(_ record: Record, _ partition: Int32) async throws {
            try producer.produce(record.bytes, to: partition, token: 0)
            produced += 1
            ends[partition, default: 0] += 1
            // Asked far more often than elsewhere: it is waited for after each record.
            let deadline = ContinuousClock.now + .seconds(60)
            while count.total < produced {
                guard ContinuousClock.now < deadline else { throw NeverHappened(what: "the record is in the log", limit: .seconds(60), last: nil) }
                try await Task.sleep(for: .milliseconds(1))
            }
        }

        func close() { producer.close(discarding: true) }
    }

    func supervisor(_ store: any HistoryStore, _ logs: [LogID], cell: String = "test") async throws -> MaterializeSupervisor {
        let known = KnownLogs { logs }
        try await known.refresh()
        return MaterializeSupervisor(
            cell: try #require(CellName(cell)), partitions: Self.partitions, idWindow: .seconds(60), store: store, logs: known, quiet: .milliseconds(200),
            report: { _ in })
    }

    func target(_ log: WrittenLog) -> MaterializeSupervisor.Target { .init(kafka: log.configuration, topic: log.topic, log: log.log) }

    /// Waits until the store has all of the log, then compares.
    func compare(_ store: any HistoryStore, _ log: WrittenLog, _ comment: Comment) async throws {
        try await eventually("all of the log is in the store", within: .seconds(120)) {
            for (partition, end) in log.ends where try await store.progress(log.log, Partition(partition)).through < end { return false }
            return true
        }
        for (owner, ids) in log.expected {
            let rows = try await store.rows(.inbox(owner), log.log, in: 0..<Int64.max, limit: 10_000)
            #expect(rows.reversed().map(\.id) == ids, "\(comment), user \(owner)")
            #expect(rows.allSatisfy { String(decoding: $0.body, as: UTF8.self) == "\($0.id)" }, comment)
        }
    }

    func embedded(_ body: (WrittenLog, BreakableStore) async throws -> Void) async throws {
        let broker = try EmbeddedBroker(topic: "t", partitions: Int32(Self.partitions))
        defer { broker.stop() }
        let folder = try TemporaryFolder("materialize")
        let store = try await BreakableStore(path: folder.file("a.db"))
        defer { store.close() }
        let log = try WrittenLog(KafkaConfiguration(brokers: [broker.address], embedded: true), topic: "t")
        defer { log.close() }
        try await body(log, store)
    }

    @Test("an embedded cell: stopped and begun again, each message is there once and in order")
    func embeddedAgain() async throws {
        try await embedded { log, store in
            for turn in 1...3 {
                let supervisor = try await supervisor(store, [log.log])
                let run = Task { await supervisor.run() }
                supervisor.read(target(log))
                try await log.write(80)
                try await compare(store, log, "turn \(turn)")
                supervisor.stop()
                await run.value
            }
        }
    }

    @Test("a store that fails for a while: nothing is lost, and it is told")
    func brokenStore() async throws {
        try await embedded { log, store in
            let supervisor = try await supervisor(store, [log.log])
            let run = Task { await supervisor.run() }
            supervisor.read(target(log))
            try await log.write(40)
            store.isBroken = true
            try await log.write(40)
            try await eventually("the trouble is told", within: .seconds(60)) { supervisor.trouble.contains("broken on demand") }
            store.isBroken = false
            try await compare(store, log, "after the store came back")
            supervisor.stop()
            await run.value
        }
    }

    @Test("another log: read from its beginning, and the one before has ended")
    func newLog() async throws {
        try await embedded { old, store in
            try await embedded { new, _ in
                let supervisor = try await supervisor(store, [old.log, new.log].sorted())
                let run = Task { await supervisor.run() }
                let (first, second) = old.log < new.log ? (old, new) : (new, old)
                supervisor.read(target(first))
                try await first.write(60)
                try await second.write(60)
                try await compare(store, first, "the first log")
                supervisor.read(target(second))
                try await compare(store, second, "the second log")
                try await eventually("the first log has ended", within: .seconds(60)) {
                    for partition in 0..<Self.partitions where try await store.progress(first.log, Partition(partition)) != .ended { return false }
                    return true
                }
                for partition in 0..<Self.partitions { #expect(try await store.progress(second.log, Partition(partition)) != .ended) }
                try await compare(store, first, "the first log, afterwards")
                supervisor.stop()
                await run.value
            }
        }
    }

    @Test("Cassandra stops for some seconds, dies and returns under load: lag grows, nothing is lost", .enabled(if: Peers.wanted))
    func cassandraDies() async throws {
        try await CassandraPeer.exclusive { peer in
            try await embedded { log, _ in
                let store = try cassandraStore(port: peer.port, keyspace: "history_dies") {
                    $0.timeout = .seconds(2)
                    $0.attemptTimeout = .seconds(1)
                    $0.silence = .seconds(2)
                }
                defer { store.close() }
                try await store.createSchema()
                let supervisor = try await supervisor(store, [log.log])
                let run = Task { await supervisor.run() }
                supervisor.read(target(log))
                try await log.write(60)
                try await peer.signal(SIGSTOP)
                try await log.write(60)
                try await eventually("the trouble is told", within: .seconds(60)) { supervisor.trouble.contains("cassandra") }
                try await peer.signal(SIGCONT)
                try await log.write(20)
                try await compare(store, log, "after it went on")
                // A node alone acknowledges before its commit log is synced, which it does each second: what is younger dies with it.
                try await Task.sleep(for: .seconds(5))
                try await peer.signal(SIGKILL)
                try await log.write(60)
                try await peer.start()
                try await compare(store, log, "after the node came back")
                supervisor.stop()
                await run.value
            }
        }
    }

    @Test("a real Kafka: members come, go and are cut off, and each message is there once and in order", .enabled(if: Peers.wanted))
    func rebalances() async throws {
        let kafka = try await Peers.kafka()
        let configuration = KafkaConfiguration(brokers: kafka.addresses.split(separator: ",").map(String.init))
        let queries = try LogQueries(configuration, topic: "messages")
        defer { queries.close() }
        try await queries.createTopic(
            NewTopic(partitions: Int32(Self.partitions), replicationFactor: 1, configuration: ["message.timestamp.type": "LogAppendTime"]))
        let folder = try TemporaryFolder("materialize")
        let store = try await BreakableStore(path: folder.file("a.db"))
        defer { store.close() }
        let log = try WrittenLog(configuration, topic: "messages")
        defer { log.close() }

        func begin() async throws -> (MaterializeSupervisor, Task<Void, Never>) {
            let supervisor = try await supervisor(store, [log.log])
            supervisor.read(target(log))
            return (supervisor, Task { await supervisor.run() })
        }
        let (first, firstRun) = try await begin()
        try await log.write(150)
        let (second, secondRun) = try await begin()
        try await log.write(150)
        try await eventually("both have partitions", within: .seconds(60)) {
            first.current?.positions.count == 2 && second.current?.positions.count == 2
        }
        // One is cut off in the middle of its work, as by a crash: nothing of it is committed any more.
        firstRun.cancel()
        try await log.write(150)
        let (third, thirdRun) = try await begin()
        try await log.write(150)
        second.stop()
        await secondRun.value
        try await log.write(50)
        try await compare(store, log, "after all")
        try await eventually("no lag", within: .seconds(60)) { (third.current?.lag.values.reduce(0, +) ?? -1) == 0 }
        third.stop()
        await thirdRun.value
        await firstRun.value
        // Read again from the first record by another group, as after the loss of all commits: the same rows.
        let again = try await supervisor(store, [log.log], cell: "other")
        again.read(target(log))
        let againRun = Task { await again.run() }
        try await log.write(20)
        try await compare(store, log, "once more")
        again.stop()
        await againRun.value
        try await kafka.stop()
    }
}
