import CLinux
import Cell
import Support
import Testing

@testable import Servers

@Suite("the window of recent records", .serialized)
struct RecentWindowTests {
    @Test("a window finds one user's records, whatever was let go", arguments: 0..<20)
    func windowModel(seed: Int) {
        var random = SeededRandom(UInt64(seed))
        var window = RecentWindow(start: 10)
        var all: [(offset: Int64, users: [UInt64])] = []
        for offset in 10..<400 as Range<Int64> where Int.random(in: 0..<3, using: &random) > 0 {
            let users = [UInt64.random(in: 1...5, using: &random), UInt64.random(in: 6...9, using: &random)]
            _ = window.append([1], at: offset, time_ms: offset, for: UserID(users[0])!, and: UserID(users[1])!)
            all.append((offset, users))
            if Int.random(in: 0..<5, using: &random) == 0 { window.trim(olderThan: offset - Int64.random(in: 5...100, using: &random)) }
        }
        for user in 1...9 as ClosedRange<UInt64> {
            for from in [0, window.start, 200, 399] as [Int64] {
                let expected = all.first { $0.users.contains(user) && $0.offset >= max(from, window.start) }?.offset
                #expect(window.next(for: UserID(user)!, from: from)?.offset == expected, "seed \(seed), user \(user), from \(from)")
            }
        }
    }

    @Test("sixty windows take the memory that they tell, and after a burst what they took before it")
    func memory() {
        var random = SeededRandom(1)
        var windows = Array(repeating: RecentWindow(start: 0), count: 60)
        var now_ms: Int64 = 0
        // The users are many, and come again after minutes; few records are for two that share a partition.
        func pass(_ minutes: Int, records: Int) {
            for _ in 0..<minutes * records {
                now_ms += 60_000 / Int64(records)
                for index in windows.indices where Int.random(in: 0..<10, using: &random) > 0 {
                    let users = (0..<2).map { _ in UserID(UInt64.random(in: 1...20_000, using: &random))! }
                    let second = Int.random(in: 0..<10, using: &random) == 0 ? users[1] : nil
                    _ = windows[index].append([UInt8](repeating: 7, count: 150), at: now_ms, time_ms: now_ms, for: users[0], and: second)
                    windows[index].trim(olderThan: now_ms - 120_000)
                }
            }
        }
        let nothing = mallinfo2().uordblks
        pass(4, records: 200)
        let (quiet, told) = (mallinfo2().uordblks - nothing, windows.reduce(0) { $0 + $1.bytes })
        pass(2, records: 800)
        let burst = mallinfo2().uordblks - nothing
        pass(4, records: 200)
        let after = mallinfo2().uordblks - nothing
        #expect(burst > 3 * quiet, "the burst was one: \(quiet) bytes before, \(burst) in it")
        #expect(Double(after) < 1.15 * Double(quiet), "\(quiet) bytes before the burst, \(after) after it")
        #expect(Double(quiet) < 1.15 * Double(told) && Double(quiet) > 0.7 * Double(told), "\(quiet) bytes are taken, \(told) are told")
    }
}
