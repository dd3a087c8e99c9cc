/// Waits that double from the first to the longest, each shortened at random by up to half. Values only.
struct Backoff: Sendable {
    private let range: ClosedRange<Duration>
    private var bound: Duration

    init(_ range: ClosedRange<Duration>) {
        self.range = range
        bound = range.lowerBound
    }

    /// The next wait; `random` is from 0 to below 1.
    mutating func next(random: Double) -> Duration {
        defer { bound = min(bound * 2, range.upperBound) }
        return bound * (0.5 + random / 2)
    }

    mutating func reset() { bound = range.lowerBound }
}
