import Support
import Testing
@testable import Streams

@Suite("timers, blocks and queues")
struct MemoryTests {
    @Test("timers fire by time, then by order; a cancelled one never")
    func timers() {
        var queue = TimerQueue()
        nonisolated(unsafe) var fired: [Int] = []
        var ids: [TimerID] = []
        for (number, due) in [30, 10, 20, 10, 40].enumerated() {
            ids.append(queue.schedule(at: Moment(nanoseconds: Int64(due))) { fired.append(number) })
        }
        queue.cancel(ids[2])
        queue.cancel(ids[2])
        #expect(queue.next() == Moment(nanoseconds: 10))
        while let work = queue.popDue(Moment(nanoseconds: 30)) { work() }
        #expect(fired == [1, 3, 0])
        #expect(queue.count == 1)
    }

    @Test("timers that are cancelled leave no trace, however far away they were")
    func cancelledTimers() {
        var queue = TimerQueue()
        for number in 0..<100_000 {
            queue.cancel(queue.schedule(at: Moment(nanoseconds: 1_000_000 + Int64(number))) {})
        }
        #expect(queue.count == 0)
        #expect(queue.next() == nil)
    }

    @Test("random timers against a sorted list", arguments: [1, 2, 3])
    func randomTimers(seed: UInt64) {
        var random = SeededRandom(seed)
        var queue = TimerQueue()
        var model: [(due: Int64, order: Int)] = []
        nonisolated(unsafe) var fired: [Int] = []
        var ids: [Int: TimerID] = [:]
        for order in 0..<2000 {
            let due = Int64.random(in: 0..<500, using: &random)
            ids[order] = queue.schedule(at: Moment(nanoseconds: due)) { fired.append(order) }
            model.append((due, order))
            if Bool.random(using: &random), let gone = model.randomElement(using: &random) {
                queue.cancel(ids[gone.order]!)
                model.removeAll { $0.order == gone.order }
            }
        }
        while let work = queue.popDue(Moment(nanoseconds: 1000)) { work() }
        #expect(fired == model.sorted { ($0.due, $0.order) < ($1.due, $1.order) }.map(\.order), "seed \(seed)")
    }

    @Test("durations and moments never overflow")
    func moments() {
        #expect(Moment(nanoseconds: .max - 5) + .seconds(1) == .distantFuture)
        #expect(Duration.seconds(1 << 60).nanoseconds == .max)
        #expect(Duration.milliseconds(1500).nanoseconds == 1_500_000_000)
    }

    @Test("a queue is what was appended, less what was dropped; empty it owns nothing", arguments: [1, 2, 3, 4])
    func queue(seed: UInt64) {
        var random = SeededRandom(seed)
        let pool = BlockPool()
        var queue = ByteQueue(), model: [UInt8] = []
        for _ in 0..<3000 {
            if Bool.random(using: &random) {
                let bytes = (0..<Int.random(in: 0...700, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
                bytes.withUnsafeBytes { queue.append($0, pool) }
                model += bytes
            } else {
                let count = Int.random(in: 0...min(900, model.count), using: &random)
                queue.drop(count, pool)
                model.removeFirst(count)
            }
            #expect(queue.count == model.count)
            if model.isEmpty { #expect(pool.usedBytes == 0, "seed \(seed)") }
        }
        #expect(Array(queue.bytes) == model, "seed \(seed)")
        queue.removeAll(pool)
        #expect(pool.usedBytes == 0)
    }

    @Test(
        "blocks are the next power of two",
        arguments: [(1, 256), (256, 256), (257, 512), (512, 512), (16_393, 32_768), (1 << 20, 1 << 20), ((1 << 20) + 1, 1 << 21)])
    func blocks(asked: Int, given: Int) {
        let pool = BlockPool()
        let (block, capacity) = pool.take(asked)
        #expect(capacity == given)
        #expect(pool.usedBytes == given)
        pool.give(block, capacity: capacity)
        #expect(pool.usedBytes == 0)
    }
}
