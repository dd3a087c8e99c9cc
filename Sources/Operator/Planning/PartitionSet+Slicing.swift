import Cell

extension PartitionSet {
    /// Its `count` lowest partitions, fewer when it has fewer; they are taken out of it.
    mutating func takeFirst(_ count: Int) -> PartitionSet {
        var taken: [ClosedRange<Int32>] = []
        var rest: [ClosedRange<Int32>] = []
        var wanted = Swift.max(0, count)
        for range in ranges {
            if wanted >= range.count {
                taken.append(range)
                wanted -= range.count
            } else if wanted > 0 {
                let cut = range.lowerBound + Int32(wanted)
                taken.append(range.lowerBound...(cut - 1))
                rest.append(cut...range.upperBound)
                wanted = 0
            } else {
                rest.append(range)
            }
        }
        self = PartitionSet(ranges: rest)
        return PartitionSet(ranges: taken)
    }

    /// Its `count` highest partitions, fewer when it has fewer; they are taken out of it.
    mutating func takeLast(_ count: Int) -> PartitionSet {
        var lower = self
        let kept = lower.takeFirst(Swift.max(0, self.count - Swift.max(0, count)))
        self = kept
        return lower
    }
}

/// How many of `total` each of `counts` gets, so that the fewest get most: the counts are filled up like water fills a vessel.
/// Of equals the earlier ones get the rest. The result has the order of `counts`.
func fill(_ counts: [Int], with total: Int) -> [Int] {
    guard !counts.isEmpty else { return [] }
    let order = counts.indices.sorted { (counts[$0], $0) < (counts[$1], $1) }
    var sum = 0
    var width = 0
    // As many of the lowest as the water reaches.
    while width < order.count, width == 0 || counts[order[width]] * width < sum + total {
        sum += counts[order[width]]
        width += 1
    }
    let level = (sum + total) / width
    let rest = (sum + total) % width
    var shares = [Int](repeating: 0, count: counts.count)
    for (place, index) in order[..<width].enumerated() { shares[index] = level + (place < rest ? 1 : 0) - counts[index] }
    return shares
}
