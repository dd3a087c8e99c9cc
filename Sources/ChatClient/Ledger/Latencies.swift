/// Times, kept in buckets that are at most 1% wide (in HDR histograms' manner), so that a long run costs no memory.
public struct Latencies: Sendable {
    private var buckets: [Int: Int] = [:]
    public private(set) var count = 0
    public private(set) var longest: Duration = .zero

    public init() {}

    public mutating func add(_ time: Duration) {
        buckets[Self.bucket(time), default: 0] += 1
        count += 1
        longest = max(longest, time)
    }

    public mutating func add(_ others: Latencies) {
        buckets.merge(others.buckets) { $0 + $1 }
        count += others.count
        longest = max(longest, others.longest)
    }

    /// The time that `share` (0 to 1) of all were within; nil when there are none.
    public func percentile(_ share: Double) -> Duration? {
        guard count > 0 else { return nil }
        var rest = max(1, Int(share * Double(count) + 0.999_999))
        for (bucket, number) in buckets.sorted(by: { $0.key < $1.key }) {
            rest -= number
            if rest <= 0 { return min(Self.upperBound(bucket), longest) }
        }
        return longest
    }

    // Microseconds: exact below 128, then 128 buckets for each power of two.
    private static func bucket(_ time: Duration) -> Int {
        let micros = Int(max(0, time.components.seconds * 1_000_000 + time.components.attoseconds / 1_000_000_000_000))
        guard micros >= 128 else { return micros }
        let shift = Int.bitWidth - micros.leadingZeroBitCount - 8
        return (shift + 1) * 128 + (micros >> shift) - 128
    }

    private static func upperBound(_ bucket: Int) -> Duration {
        guard bucket >= 256 else { return .microseconds(bucket) }
        let shift = bucket / 128 - 1
        return .microseconds((((bucket % 128) + 129) << shift) - 1)
    }
}
