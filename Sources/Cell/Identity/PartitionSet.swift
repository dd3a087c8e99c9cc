/// A set of partitions, kept and written as ranges: `0-179,200`, both ends included; empty is the empty string.
public struct PartitionSet: Hashable, Sendable, CustomStringConvertible {
    /// Ascending, apart from each other by at least one partition.
    public private(set) var ranges: [ClosedRange<Int32>]

    public init() { ranges = [] }

    public init(_ range: ClosedRange<Int32>) { ranges = [range] }

    /// The `count` partitions from 0.
    public init(all count: Int) { ranges = count > 0 ? [0...Int32(count - 1)] : [] }

    public init(_ partitions: some Sequence<Partition>) {
        ranges = []
        for number in partitions.map(\.number).sorted() { append(number...number) }
    }

    /// Ranges in any order; they may overlap.
    public init(ranges unordered: [ClosedRange<Int32>]) {
        ranges = []
        for range in unordered.sorted(by: { $0.lowerBound < $1.lowerBound }) { append(range) }
    }

    public var isEmpty: Bool { ranges.isEmpty }
    public var count: Int { ranges.reduce(0) { $0 + $1.count } }

    public func contains(_ partition: Partition) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < partition.number { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(partition.number)
    }

    public func union(_ other: PartitionSet) -> PartitionSet {
        if isEmpty { return other }
        if other.isEmpty { return self }
        var result = PartitionSet()
        result.ranges.reserveCapacity(ranges.count + other.ranges.count)
        var (mine, theirs) = (0, 0)
        while mine < ranges.count || theirs < other.ranges.count {
            if theirs == other.ranges.count || mine < ranges.count && ranges[mine].lowerBound <= other.ranges[theirs].lowerBound {
                result.append(ranges[mine])
                mine += 1
            } else {
                result.append(other.ranges[theirs])
                theirs += 1
            }
        }
        return result
    }

    public func subtracting(_ other: PartitionSet) -> PartitionSet {
        if isEmpty || other.isEmpty { return self }
        var result = PartitionSet()
        var next = 0
        for range in ranges {
            var low = range.lowerBound
            while next < other.ranges.count, other.ranges[next].upperBound < low { next += 1 }
            var hole = next
            while hole < other.ranges.count, other.ranges[hole].lowerBound <= range.upperBound {
                if other.ranges[hole].lowerBound > low { result.append(low...(other.ranges[hole].lowerBound - 1)) }
                low = Swift.max(low, other.ranges[hole].upperBound + 1)
                hole += 1
            }
            if low <= range.upperBound { result.append(low...range.upperBound) }
        }
        return result
    }

    public func intersection(_ other: PartitionSet) -> PartitionSet {
        var result = PartitionSet()
        forEachOverlap(with: other) {
            result.append($0)
            return true
        }
        return result
    }

    public func isDisjoint(with other: PartitionSet) -> Bool {
        var isDisjoint = true
        forEachOverlap(with: other) { _ in
            isDisjoint = false
            return false
        }
        return isDisjoint
    }

    /// Calls `body` with what both have, in order, as long as it says to go on.
    private func forEachOverlap(with other: PartitionSet, _ body: (ClosedRange<Int32>) -> Bool) {
        var (mine, theirs) = (0, 0)
        while mine < ranges.count, theirs < other.ranges.count {
            let low = Swift.max(ranges[mine].lowerBound, other.ranges[theirs].lowerBound)
            let high = Swift.min(ranges[mine].upperBound, other.ranges[theirs].upperBound)
            if low <= high, !body(low...high) { return }
            if ranges[mine].upperBound < other.ranges[theirs].upperBound { mine += 1 } else { theirs += 1 }
        }
    }

    public mutating func insert(_ partition: Partition) { self = union(PartitionSet(partition.number...partition.number)) }
    public mutating func remove(_ partition: Partition) { self = subtracting(PartitionSet(partition.number...partition.number)) }

    /// Appends a range that begins at or after the begin of the last one.
    private mutating func append(_ range: ClosedRange<Int32>) {
        if let last = ranges.last, range.lowerBound <= last.upperBound + 1 {
            ranges[ranges.count - 1] = last.lowerBound...Swift.max(last.upperBound, range.upperBound)
        } else {
            ranges.append(range)
        }
    }
}

extension PartitionSet: Sequence {
    public func makeIterator() -> Iterator { Iterator(ranges) }

    public struct Iterator: IteratorProtocol {
        private var ranges: ArraySlice<ClosedRange<Int32>>
        private var number: Int32

        fileprivate init(_ ranges: [ClosedRange<Int32>]) {
            self.ranges = ranges[...]
            number = ranges.first?.lowerBound ?? 0
        }

        public mutating func next() -> Partition? {
            guard let range = ranges.first else { return nil }
            defer {
                if number < range.upperBound {
                    number += 1
                } else {
                    ranges.removeFirst()
                    number = ranges.first?.lowerBound ?? 0
                }
            }
            return Partition(number)
        }
    }
}

extension PartitionSet: Codable {
    /// Each range as people read it: `["0-179", "200"]`.
    public var texts: [String] { ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" } }
    public var description: String { texts.joined(separator: ",") }

    /// Nil unless `text` is ranges of numbers separated by commas, in any order.
    public init?(_ text: String) {
        var ranges: [ClosedRange<Int32>] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: true) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int32($0) }
            guard let low = ends[0], low >= 0, let high = ends.count == 2 ? ends[1] : low, ends.count <= 2, low <= high, high < .max else { return nil }
            ranges.append(low...high)
        }
        self.init()
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) { append(range) }
    }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let set = PartitionSet(text) else { throw MalformedValue(text, "a set of partitions", "ranges like 0-179,200") }
        self = set
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
