import Cell

/// How many deaths by lease alone may be repaired now: losing Redis must never look like losing the fleet.
///
/// A bucket that holds `burst` and gains one with each lease.
struct Brake: Sendable {
    /// Repairs that are allowed now.
    let allowed: Int
    /// When one more will be; nil when the bucket is full.
    let nextAt: Moment?

    /// - Parameter repairs: when such deaths were repaired, oldest first.
    init(fleet: Int, maxSimultaneous_percent: Int, lease: Duration, repairs: [Moment], now: Moment) {
        let burst = max(1, fleet * maxSimultaneous_percent / 100)
        let period = max(1, lease.milliseconds)
        // In milliseconds of refill, so that nothing is rounded away.
        let full = Int64(burst) * period
        var level = full
        var last = repairs.first
        for repair in repairs {
            level = min(full, level + (repair.milliseconds - (last ?? repair).milliseconds)) - period
            last = repair
        }
        if let last { level = min(full, level + max(0, now.milliseconds - last.milliseconds)) }
        allowed = Int(max(0, level / period))
        nextAt = level >= full ? nil : now + .milliseconds(period - ((level % period) + period) % period)
    }
}
