import Support
import Testing

@testable import Kafka

@Suite("a partition goes from one reader to another without a break")
struct PacedReadingsTests {
    /// A reader as its thread is: obeys orders and reads when it comes to it, and what it tells arrives later.
    private struct Reader {
        var inbox: [PacedReadings.Order] = []
        var position: Int64?
        var told: [LogEvent] = []

        mutating func obey() {
            guard !inbox.isEmpty else { return }
            let order = inbox.removeFirst()
            position = order.offset
            if order.offset == nil { told.append(.stopped(partition: order.partition)) }
        }

        mutating func read(upTo end: Int64) {
            guard let next = position else { return }
            if next == end { return told.append(.caughtUp(partition: 3, next: end)) }
            told.append(.record(LogRecord(partition: 3, offset: next, time_ms: 0, timeIsLogAppend: true, value: [])))
            position = next + 1
        }

        mutating func fail() {
            guard position != nil else { return }
            position = nil
            told.append(.failed(partition: 3, .jump("topic", 3, expected: 0, found: 1)))
        }
    }

    /// Both readers, a log, and who takes what they tell.
    private struct Model {
        var readings = PacedReadings()
        var readers: [LogReader.Pace: Reader] = [.prompt: Reader(), .relaxed: Reader()]
        var end: Int64 = 10
        var position: Int64 = 0
        var wanted = LogReader.Pace.prompt
        var stopped = 0
        var holes = 0

        mutating func give(_ orders: [PacedReadings.Order]) {
            for order in orders { readers[order.pace]?.inbox.append(order) }
        }

        mutating func deliver(_ pace: LogReader.Pace) {
            guard let events = readers[pace]?.told, !events.isEmpty else { return }
            readers[pace]?.told = []
            let (passed, orders) = readings.sift(events, from: pace)
            give(orders)
            for event in passed { take(event) }
        }

        private mutating func take(_ event: LogEvent) {
            switch event {
            case .record(let record) where record.offset >= position:
                if record.offset > position { holes += 1 }
                position = record.offset + 1
            case .caughtUp(_, let next) where next > position: holes += 1
            case .failed: give(readings.start(3, at: position, wanted))
            case .stopped: stopped += 1
            case .record, .caughtUp, .error: break
            }
        }

        mutating func settle() {
            for _ in 0..<200 {
                for pace in [LogReader.Pace.prompt, .relaxed] {
                    readers[pace]?.obey()
                    readers[pace]?.read(upTo: end)
                    deliver(pace)
                }
            }
        }
    }

    @Test("random changes, delays and failures leave no hole and one reader", arguments: 1...2_000)
    func random(seed: UInt64) {
        var random = SeededRandom(seed)
        var model = Model()
        model.give(model.readings.start(3, at: 0, .prompt))
        for _ in 0..<400 {
            let pace: LogReader.Pace = Bool.random(using: &random) ? .prompt : .relaxed
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<25: model.readers[pace]?.obey()
            case 25..<60: model.readers[pace]?.read(upTo: model.end)
            case 60..<80: model.deliver(pace)
            case 80..<90: model.end += 1
            case 90..<97:
                model.wanted = pace
                model.give(model.readings.change(3, to: pace, from: model.position))
            default: model.readers[pace]?.fail()
            }
        }
        model.settle()
        #expect(model.holes == 0 && model.position == model.end, "seed \(seed)")
        #expect(model.readers.filter { $0.value.position != nil }.map(\.key) == [model.wanted], "seed \(seed)")
        #expect(model.stopped == 0)
        model.give(model.readings.stop(3))
        let before = model.position
        model.end += 5
        model.settle()
        #expect(model.stopped == 1 && model.position == before, "seed \(seed)")
        #expect(model.readers.allSatisfy { $0.value.position == nil })
    }

    @Test("the old reader goes on until the new one has told something")
    func overlap() {
        var readings = PacedReadings()
        #expect(readings.start(3, at: 7, .relaxed) == [.init(pace: .relaxed, partition: 3, offset: 7)])
        #expect(readings.change(3, to: .prompt, from: 9) == [.init(pace: .prompt, partition: 3, offset: 9)])
        let late = readings.sift([.caughtUp(partition: 3, next: 10)], from: .relaxed)
        #expect(late.events.count == 1 && late.orders.isEmpty)
        let first = readings.sift([.caughtUp(partition: 3, next: 10)], from: .prompt)
        #expect(first.events.count == 1 && first.orders == [.init(pace: .relaxed, partition: 3)])
        #expect(readings.sift([.stopped(partition: 3)], from: .relaxed).events.isEmpty)
    }

    @Test("what is not read changes no pace, and nothing is told of it")
    func notRead() {
        var readings = PacedReadings()
        #expect(readings.change(3, to: .relaxed, from: 0).isEmpty)
        #expect(readings.stop(3).isEmpty)
        #expect(readings.sift([.caughtUp(partition: 3, next: 1), .stopped(partition: 3)], from: .prompt).events.isEmpty)
    }
}
