import Cell
import Support
import Testing

/// A partition's records as a bad day leaves them: retries, late comers, ids from the future, brokers whose clocks differ.
struct BadDay: Sendable {
    struct Entry: Sendable {
        var id: MessageID, sender: UserID, receiver: UserID, log_ms: Int64
    }
    static let window = Duration.seconds(60)
    static let window_ms: Int64 = 60_000
    var log: LogID
    var entries: [Entry] = []

    init(seed: UInt64) {
        var generator = SeededRandom(seed)
        let start: Int64 = 1_764_000_000_000
        log = LogID(UUIDv7(time_ms: start - Int64.random(in: 0...100_000, using: &generator), using: &generator))
        var now = start
        for _ in 0..<400 {
            now += [0, 1, 20, 500, 3_000, 30_000, 200_000].randomElement(using: &generator)!
            // Brokers' clocks differ by less than the margin.
            let log_ms = now - Int64.random(in: 0...2_000, using: &generator)
            if let again = entries.suffix(60).randomElement(using: &generator), Bool.random(using: &generator) {
                var entry = again
                entry.log_ms = log_ms
                if Int.random(in: 0..<8, using: &generator) == 0 { entry.receiver = UserID(9)! }
                entries.append(entry)
            } else {
                let stamped = log_ms + Int64.random(in: -80_000...80_000, using: &generator)
                let users = [1, 2, 3].map { UserID(UInt64($0))! }
                entries.append(
                    Entry(
                        id: MessageID(time_ms: stamped, using: &generator), sender: users.randomElement(using: &generator)!,
                        receiver: users.randomElement(using: &generator)!, log_ms: log_ms))
            }
        }
    }

    func verdicts(from index: Int = 0) -> [OnceRule.Verdict] {
        var rule = OnceRule(idWindow: Self.window, log: log)
        return entries[index...].map { rule.judge($0.id, from: $0.sender, to: $0.receiver, at: $0.log_ms) }
    }
}

@Suite("the once-rule")
struct OnceRuleTests {
    @Test("says what its definition says, with all of the log in memory", arguments: 0..<100)
    func definition(_ seed: UInt64) {
        let day = BadDay(seed: seed)
        var seen: Set<[String]> = []
        let expected = day.entries.map { entry -> OnceRule.Verdict in
            let isVoid = abs(entry.log_ms - entry.id.time_ms) > BadDay.window_ms || entry.id.time_ms < day.log.time_ms
            guard !isVoid else { return .void }
            return seen.insert([entry.id.description, entry.sender.description, entry.receiver.description]).inserted ? .first : .duplicate
        }
        #expect(day.verdicts() == expected, "seed \(seed)")
        #expect(Set(expected.map { "\($0)" }).count == 3, "seed \(seed) shows all three verdicts")
    }

    @Test("a reader that starts later, and reads back first, decides the same", arguments: 0..<100)
    func readBack(_ seed: UInt64) throws {
        let day = BadDay(seed: seed)
        let all = day.verdicts()
        let readBack = OnceRule(idWindow: BadDay.window, log: day.log).readBack_ms
        for start in stride(from: 1, to: day.entries.count, by: 17) {
            // As Kafka answers: the first offset whose time is not before the one asked for.
            let from = try #require(day.entries.firstIndex { $0.log_ms >= day.entries[start].log_ms - readBack })
            let later = day.verdicts(from: min(from, start)).dropFirst(start - min(from, start))
            #expect(Array(later) == Array(all[start...]), "seed \(seed), from \(start)")
        }
    }

    @Test("reading back less is not enough: the margin is needed")
    func less() throws {
        // The same message at both ends of its window: 2 W apart in log time.
        var generator = SeededRandom(1)
        let (start, w) = (Int64(1_764_000_000_000), BadDay.window_ms)
        let log = LogID(UUIDv7(time_ms: start - 10 * w, using: &generator))
        let id = MessageID(time_ms: start + w, using: &generator)
        var rule = OnceRule(idWindow: BadDay.window, log: log)
        #expect(rule.readBack_ms == 2 * w + 5_000)
        #expect(rule.judge(id, from: UserID(1)!, to: UserID(2)!, at: start) == .first)
        #expect(rule.judge(id, from: UserID(1)!, to: UserID(2)!, at: start + 2 * w) == .duplicate)
        var late = OnceRule(idWindow: BadDay.window, log: log)
        #expect(late.judge(id, from: UserID(1)!, to: UserID(2)!, at: start + 2 * w) == .first, "a reader without the read-back is wrong")
    }

    @Test("the edges of the window", arguments: [(-60_001, true), (-60_000, false), (0, false), (60_000, false), (60_001, true)])
    func edges(_ difference: Int64, _ isVoid: Bool) {
        var generator = SeededRandom(2)
        let now: Int64 = 1_764_000_000_000
        let rule = OnceRule(idWindow: BadDay.window, log: LogID(UUIDv7(time_ms: now - 1_000_000, using: &generator)))
        #expect(rule.isVoid(MessageID(time_ms: now, using: &generator), at: now + difference) == isVoid)
        let young = OnceRule(idWindow: BadDay.window, log: LogID(UUIDv7(time_ms: now + 1, using: &generator)))
        #expect(young.isVoid(MessageID(time_ms: now, using: &generator), at: now), "older than the log")
    }

    @Test("another sender or receiver makes another message")
    func parties() {
        var generator = SeededRandom(4)
        let now: Int64 = 1_764_000_000_000
        var rule = OnceRule(idWindow: BadDay.window, log: LogID(UUIDv7(time_ms: now - 1, using: &generator)))
        let id = MessageID(time_ms: now, using: &generator)
        let verdicts = [(1, 2), (1, 2), (2, 1), (1, 3), (1, 2)].map { rule.judge(id, from: UserID(UInt64($0))!, to: UserID(UInt64($1))!, at: now) }
        #expect(verdicts == [.first, .duplicate, .first, .first, .duplicate])
    }

    @Test("what is remembered goes when log time has passed it, also by ticks")
    func memory() {
        var generator = SeededRandom(5)
        let now: Int64 = 1_764_000_000_000
        var rule = OnceRule(idWindow: BadDay.window, log: LogID(UUIDv7(time_ms: now - 1, using: &generator)))
        for index in 0..<1_000 {
            _ = rule.judge(MessageID(time_ms: now + Int64(index), using: &generator), from: UserID(1)!, to: UserID(2)!, at: now + Int64(index))
        }
        #expect(rule.count == 1_000)
        rule.observe(now + BadDay.window_ms)
        #expect(rule.count == 1_000)
        rule.observe(now + 4 * BadDay.window_ms)
        #expect(rule.count == 0)
    }
}
