import Cell
import Testing

@testable import Kafka

@Suite("positions of a reader")
struct ReadingPositionsTests {
    struct Example: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var start: Int64?
        /// Positive: a record at offset - 1; negative: the end at -offset - 1.
        var arrivals: [Arrival]
        var steps: [ReadingPositions.Step]
        var next: Int64?
    }
    enum Arrival: Sendable { case record(Int64), end(Int64) }

    static let examples = [
        Example(
            testDescription: "records in order, then the end", start: 5, arrivals: [.record(5), .record(6), .end(7)],
            steps: [.deliver, .deliver, .deliver], next: 7),
        Example(
            testDescription: "what was handed over already is skipped", start: 5, arrivals: [.record(3), .record(4), .record(5), .record(5)],
            steps: [.skip, .skip, .deliver, .skip], next: 6),
        Example(
            testDescription: "a jump is read again, and what was missing comes", start: 5, arrivals: [.record(7), .record(5), .record(6), .record(7)],
            steps: [.reread(from: 5), .deliver, .deliver, .deliver], next: 8),
        Example(
            testDescription: "the same jump twice is real", start: 5, arrivals: [.record(7), .record(7)],
            steps: [.reread(from: 5), .jump(expected: 5)], next: 5),
        Example(
            testDescription: "an end beyond what was read is a jump too", start: 5, arrivals: [.record(5), .end(9), .end(9)],
            steps: [.deliver, .reread(from: 6), .jump(expected: 6)], next: 6),
        Example(
            testDescription: "two jumps at different places are each read again", start: 0, arrivals: [.record(1), .record(0), .record(2), .record(1)],
            steps: [.reread(from: 0), .deliver, .reread(from: 1), .deliver], next: 2),
        Example(
            testDescription: "from the oldest, any first offset is right", start: nil, arrivals: [.record(40), .record(41), .record(43)],
            steps: [.deliver, .deliver, .reread(from: 42)], next: 42),
        Example(
            testDescription: "an old end is skipped", start: 5, arrivals: [.record(5), .end(5), .end(6)], steps: [.deliver, .skip, .deliver], next: 6),
    ]

    @Test("each arrival has its step", arguments: examples)
    func steps(_ example: Example) {
        var positions = ReadingPositions()
        positions.start(1, at: example.start)
        let steps = example.arrivals.map { arrival in
            switch arrival {
            case .record(let offset): positions.record(1, offset: offset)
            case .end(let offset): positions.end(1, offset: offset)
            }
        }
        #expect(steps == example.steps)
        #expect(positions.next(of: 1) == example.next)
    }

    @Test("a partition that is not read is skipped")
    func notRead() {
        var positions = ReadingPositions()
        positions.start(1, at: 0)
        positions.stop(1)
        #expect(positions.record(1, offset: 0) == .skip)
        #expect(positions.record(2, offset: 0) == .skip)
        #expect(positions.all.isEmpty)
    }
}

@Suite("what a member commits")
struct CommitLedgerTests {
    private func position(_ partition: Int32, _ next: Int64) -> StoredPosition { StoredPosition(partition: partition, next: next, note: "log") }

    @Test("the newest stored position, once")
    func once() {
        var ledger = CommitLedger()
        ledger.assign([1, 2])
        ledger.store(position(1, 5))
        ledger.store(position(1, 7))
        ledger.store(position(1, 6))
        ledger.store(position(3, 9))
        #expect(ledger.takeUnsent() == [position(1, 7)])
        #expect(ledger.takeUnsent() == [])
        ledger.store(position(2, 1))
        #expect(ledger.takeUnsent() == [position(2, 1)])
    }

    @Test("again after it failed, unless the partition is gone")
    func failed() {
        var ledger = CommitLedger()
        ledger.assign([1])
        ledger.store(position(1, 5))
        _ = ledger.takeUnsent()
        ledger.failed([1, 2])
        #expect(ledger.takeUnsent() == [position(1, 5)])
        ledger.failed([1])
        ledger.revokeAll()
        #expect(ledger.takeUnsent() == [])
    }

    @Test("a restart may go back")
    func restart() {
        var ledger = CommitLedger()
        ledger.assign([1])
        ledger.store(position(1, 5))
        ledger.restart(1)
        ledger.store(position(1, 2))
        #expect(ledger.takeUnsent() == [position(1, 2)])
    }

    @Test("the prefix of what finished in any order has no hole", arguments: 0..<20)
    func prefix(_ seed: UInt64) {
        var random = Seeded(state: seed)
        var prefix = FinishedPrefix(next: 10)
        var finished: Set<Int64> = []
        for offset in (Int64(10)..<60).shuffled(using: &random) {
            prefix.finish(offset)
            prefix.finish(offset)
            finished.insert(offset)
            let hole = (Int64(10)...60).first { !finished.contains($0) }
            #expect(prefix.next == hole, "seed \(seed)")
        }
        prefix.finish(3)
        #expect(prefix.next == 60 && prefix.waiting == 0)
    }
}

private struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

@Suite("what the library says")
struct LogRateTests {
    @Test("five lines of a facility in ten seconds, then how many were left out")
    func rate() {
        var rate = LogRate()
        #expect((0..<8).map { rate.admit("FAIL", at: $0) } == [0, 0, 0, 0, 0, nil, nil, nil])
        #expect(rate.admit("REQTMOUT", at: 8) == 0)
        #expect(rate.admit("FAIL", at: 10_000) == 3)
        #expect(rate.admit("FAIL", at: 10_001) == 0)
    }
}

@Suite("configuration")
struct KafkaConfigurationTests {
    @Test(
        "what is not allowed is refused by name",
        arguments: [
            ("enable.idempotence", "enable.ssl.certificate.verification"), ("acks", "Leave it out"), ("sasl.passwort", "sasl.password"),
            ("message.timeout.ms", "message.max.bytes"), ("auto.offset.reset", "Leave it out"),
        ])
    func refused(_ property: String, _ suggestion: String) {
        let configuration = KafkaConfiguration(brokers: ["127.0.0.1:9092"], properties: [property: "hunter2"])
        let error = #expect(throws: KafkaError.self) { try configuration.validate() }
        #expect(error?.code == .configuration)
        #expect(error?.what.contains(property) == true)
        #expect(error?.remedy.contains(suggestion) == true, "\(error?.remedy ?? "")")
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test("no broker, or two in one, is refused", arguments: [[], [""], ["a:1,b:2"]])
    func brokers(_ brokers: [String]) {
        #expect(throws: KafkaError.self) { try KafkaConfiguration(brokers: brokers).validate() }
    }

    @Test("a value that the library refuses is named, and a secret's value is not repeated")
    func values() {
        let linger = #expect(throws: KafkaError.self) {
            try Producer(.init(brokers: ["127.0.0.1:1"], properties: ["linger.ms": "soon"]), topic: "t", onReports: { _ in }, onFatal: { _ in })
        }
        #expect(linger?.code == .configuration && linger?.what.contains("linger.ms") == true)
        let key = #expect(throws: KafkaError.self) {
            try LogQueries(.init(brokers: ["127.0.0.1:1"], properties: ["security.protocol": "SSL", "ssl.key.pem": "hunter2"]), topic: "t")
        }
        #expect(key?.code == .configuration && key?.description.contains("hunter2") == false)
    }

    @Test("no description shows a secret")
    func secrets() {
        let secret = KafkaConfiguration(
            brokers: ["a:1"], properties: ["sasl.password": "hunter2", "ssl.key.pem": "hunter3", "sasl.username": "cell", "ssl.key.password": "hunter4"])
        var dumped = ""
        dump(secret, to: &dumped)
        for text in ["\(secret)", String(reflecting: secret), dumped, "\([secret])"] { #expect(!text.contains("hunter"), "\(text)") }
        #expect("\(secret)".contains("sasl.username=cell"))
    }

    @Test("the promises of delivery are set for every producer, and the owner's properties reach only whom they concern")
    func roles() {
        let configuration = KafkaConfiguration(brokers: ["a:1", "b:2"], properties: ["linger.ms": "5", "sasl.username": "cell", "fetch.max.bytes": "1"])
        let producer = Dictionary(configuration.settings(for: .producer).map { ($0.name, $0.value) }) { $1 }
        for (name, value) in ["acks": "all", "enable.idempotence": "true", "enable.gapless.guarantee": "true", "message.timeout.ms": "0"] {
            #expect(producer[name] == value)
        }
        #expect(producer["linger.ms"] == "5" && producer["fetch.max.bytes"] == nil && producer["bootstrap.servers"] == "a:1,b:2")
        let member = Dictionary(configuration.settings(for: .member(group: "g")).map { ($0.name, $0.value) }) { $1 }
        #expect(member["linger.ms"] == nil && member["fetch.max.bytes"] == "1" && member["sasl.username"] == "cell")
        #expect(member["enable.auto.offset.store"] == "false" && member["auto.offset.reset"] == "error" && member["group.id"] == "g")
    }

    @Test("who reads at ease waits for much, or for a twentieth of a second")
    func paces() {
        let configuration = KafkaConfiguration(brokers: ["a:1"])
        func fetching(_ pace: LogReader.Pace) -> [String?] {
            let all = Dictionary(configuration.settings(for: .reader(pace)).map { ($0.name, $0.value) }) { $1 }
            return [all["fetch.min.bytes"], all["fetch.wait.max.ms"], all["enable.partition.eof"]]
        }
        #expect(fetching(.prompt) == [nil, "100", "true"] && fetching(.relaxed) == ["65536", "50", "true"])
    }

    @Test("whatever cell.yaml allows is allowed here, and what it takes from files is hidden here")
    func sameAsSpec() {
        #expect(KafkaProperties.allowed.union(KafkaProperties.secrets).subtracting(KafkaConfiguration.allowedProperties) == [])
        #expect(KafkaProperties.secrets.filter { !KafkaConfiguration.isSecret($0) } == ["sasl.username"])
    }

    @Test("every allowed property is known to the library")
    func known() {
        for property in KafkaConfiguration.allowedProperties.sorted() {
            // The value is wrong for most of them; what counts is that the name is known.
            do throws(KafkaError) { try Handle.check([(property, "\u{1}")]) } catch {
                #expect(!error.what.contains("No such configuration property"), "\(property)")
            }
        }
        #expect(throws: KafkaError.self) { try Handle.check([("no.such", "1")]) }
    }
}
