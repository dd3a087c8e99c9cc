import Cell
import Testing

@testable import ChatClient

@Suite("the ledger finds what was lost, doubled or reordered")
struct LedgerTests {
    static let log = LogID("01900000-0000-7000-8000-000000000001")!
    static let one = UserID(1 as UInt64)!
    static let two = UserID(2 as UInt64)!

    /// A run in which device 1 of user 1 sent three messages to user 2, who has devices 2 and 3.
    static func run(_ deliveries: [(device: Int, message: Int, offset: Int64)], acknowledged: [Int] = [0, 1, 2]) -> Ledger.Verdict {
        var generator = SplitMix64(7)
        let ids = (0..<3).map { MessageID(time_ms: 1_800_000_000_000 + $0, using: &generator) }
        var ledger = Ledger()
        ledger.enlist(1, of: one)
        ledger.enlist(2, of: two)
        ledger.enlist(3, of: two)
        for id in ids { ledger.sent(id, by: 1, of: one, to: two) }
        for index in acknowledged { ledger.acknowledged(ids[index]) }
        for delivery in deliveries {
            var message = Message()
            message.id = ids[delivery.message].bytes
            message.receiver = two.value
            message.offset = delivery.offset
            ledger.delivered(message, log: log, on: delivery.device)
        }
        return ledger.verdict()
    }

    static let complete = [1, 2, 3].flatMap { device in (0..<3).map { (device: device, message: $0, offset: Int64($0)) } }

    @Test func allIsWell() { #expect(Self.run(Self.complete).isClean) }

    @Test("a device that never got an acknowledged message")
    func lost() { #expect(Self.run(Self.complete.filter { $0.device != 3 || $0.message != 1 }).lost == 1) }

    @Test("what was not acknowledged may be missing")
    func unacknowledged() { #expect(Self.run(Self.complete.filter { $0.message != 2 }, acknowledged: [0, 1]).isClean) }

    @Test("an id that came twice")
    func doubled() { #expect(Self.run(Self.complete + [(device: 2, message: 0, offset: 9)]).doubled == 1) }

    @Test("a later message before an earlier one")
    func reordered() {
        let swapped = Self.complete.map { $0.device == 2 && $0.message < 2 ? (device: 2, message: 1 - $0.message, offset: $0.offset) : $0 }
        #expect(Self.run(swapped).reordered == 1)
    }

    @Test("percentiles are within 1% of what was added")
    func percentiles() {
        var latencies = Latencies()
        for micros in 1...100_000 { latencies.add(.microseconds(micros)) }
        for (share, micros) in [(0.5, 50_000.0), (0.99, 99_000.0), (1.0, 100_000.0)] {
            let found = latencies.percentile(share)!.components.attoseconds / 1_000_000_000_000
            #expect(abs(Double(found) - micros) / micros < 0.01, "\(share)")
        }
    }
}
