import Glibc

/// The operator's own clock, and the time of day for what people and other machines read.
public struct OperatorClock: Sendable {
    public init() {}

    /// Goes on while the machine sleeps, and never back.
    public var now: Moment {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Moment(milliseconds: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// Unix milliseconds.
    public var unix_ms: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
