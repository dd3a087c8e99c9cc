/// The first try is at once; each one after it waits a random time below a bound that doubles from 100 ms to 5 s, until `reset`.
struct Backoff: Sendable {
    private var tries = 0

    mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        defer { tries += 1 }
        guard tries > 0 else { return .zero }
        let bound = min(100.0 * Double(1 << min(tries - 1, 10)), 5_000)
        return .milliseconds(Int64(Double.random(in: 0...bound, using: &generator)))
    }

    mutating func reset() { tries = 0 }
}

/// A small generator that a seed repeats (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
public struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64
    public init(_ seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
