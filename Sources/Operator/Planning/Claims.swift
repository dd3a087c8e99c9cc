import Cell

/// Which partitions somebody owns, a bit for each: of hundreds of thousands one wants to know whether any is owned twice, or by nobody.
struct Claims {
    private let count: Int
    private var words: [UInt64]
    /// Nothing was claimed twice, and nothing that is none.
    private(set) var areSound = true

    /// - Parameter count: how many partitions there are.
    init(of count: Int) {
        self.count = count
        words = Array(repeating: 0, count: (count + 63) / 64)
    }

    mutating func add(_ set: PartitionSet) {
        for range in set.ranges {
            guard range.lowerBound >= 0, range.upperBound < count else {
                areSound = false
                continue
            }
            let (first, last) = (Int(range.lowerBound), Int(range.upperBound))
            for word in first / 64...last / 64 {
                let bits = Self.bits(from: max(first - word * 64, 0), through: min(last - word * 64, 63))
                if words[word] & bits != 0 { areSound = false }
                words[word] |= bits
            }
        }
    }

    /// What nobody has claimed, unless something was claimed that is none.
    var free: PartitionSet {
        var ranges: [ClosedRange<Int32>] = []
        for (place, word) in words.enumerated() where word != .max {
            var free = ~word
            while free != 0 {
                let first = free.trailingZeroBitCount
                let width = (~(free >> first)).trailingZeroBitCount
                let last = min(place * 64 + first + width, count) - 1
                if place * 64 + first < count { ranges.append(Int32(place * 64 + first)...Int32(last)) }
                free &= ~Self.bits(from: first, through: min(first + width, 64) - 1)
            }
        }
        return PartitionSet(ranges: ranges)
    }

    private static func bits(from first: Int, through last: Int) -> UInt64 { (.max << UInt64(first)) & (.max >> UInt64(63 - last)) }
}
