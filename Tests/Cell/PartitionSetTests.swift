import Cell
import Support
import Testing

@Suite("sets of partitions")
struct PartitionSetTests {
    @Test(
        "are written as ranges, both ends included",
        arguments: [
            ("", [], ""), ("3", [3], "3"), ("0-2", [0, 1, 2], "0-2"), ("5,1-2,3", [1, 2, 3, 5], "1-3,5"), ("1,1,1-1", [1], "1"),
            ("2-4,3-5", [2, 3, 4, 5], "2-5"), (",4,", [4], "4"),
        ])
    func reads(_ text: String, _ numbers: [Int], _ written: String) throws {
        let set = try #require(PartitionSet(text))
        #expect(set.map { Int($0.number) } == numbers)
        #expect(set.description == written)
        #expect(set.count == numbers.count && set.isEmpty == numbers.isEmpty)
    }

    @Test(
        "what is none is refused, and nothing traps",
        arguments: [
            "x", "1-", "-1", "1--2", "1-2-3", "3-1", "1.5", " 1", "0x1", "2147483648", "99999999999999999999", "2147483647", "0-2147483647,5", "1-2147483647",
        ])
    func refuses(_ text: String) { #expect(PartitionSet(text) == nil) }

    @Test("behave as sets of numbers", arguments: 0..<300)
    func property(_ seed: UInt64) {
        var generator = SeededRandom(seed)
        let size = Int.random(in: 1...60, using: &generator)
        func random() -> (PartitionSet, Set<Int>) {
            let numbers = Set((0..<Int.random(in: 0...size, using: &generator)).map { _ in Int.random(in: 0..<size, using: &generator) })
            return (PartitionSet(numbers.map { Partition($0) }), numbers)
        }
        let ((a, x), (b, y)) = (random(), random())
        #expect(numbers(a) == x.sorted(), "seed \(seed)")
        #expect(numbers(a.union(b)) == x.union(y).sorted(), "seed \(seed)")
        #expect(numbers(a.subtracting(b)) == x.subtracting(y).sorted(), "seed \(seed)")
        #expect(numbers(a.intersection(b)) == x.intersection(y).sorted(), "seed \(seed)")
        #expect(a.isDisjoint(with: b) == x.isDisjoint(with: y), "seed \(seed)")
        for number in 0...size { #expect(a.contains(Partition(number)) == x.contains(number), "seed \(seed)") }
        var (c, z) = (a, x)
        for _ in 0..<10 {
            let number = Int.random(in: 0..<size, using: &generator)
            if Bool.random(using: &generator) { c.insert(Partition(number)); z.insert(number) } else { c.remove(Partition(number)); z.remove(number) }
            #expect(numbers(c) == z.sorted(), "seed \(seed)")
        }
        for set in [a, b, c, a.union(b), a.subtracting(b)] {
            #expect(PartitionSet(set.description) == set, "seed \(seed)")
            // Equal sets have equal ranges: apart from each other by at least one partition.
            #expect(zip(set.ranges, set.ranges.dropFirst()).allSatisfy { $0.upperBound + 1 < $1.lowerBound }, "seed \(seed)")
        }
    }

    private func numbers(_ set: PartitionSet) -> [Int] { set.map { Int($0.number) } }
}
