/// Counts what a peer may send only so much of. Time is an argument.
struct FloodGuard {
    private var period: UInt32 = 0
    private var resets: UInt16 = 0
    private var settings: UInt16 = 0
    private var emptyData: UInt16 = 0
    private var others: UInt16 = 0
    private var windowUpdates: UInt16 = 0
    private var pings: UInt16 = 0
    private var lastPing: Moment = Moment(nanoseconds: 0)

    /// A stream was reset, by the peer or because of what it sent. False: too many.
    mutating func reset(cost: Int, _ now: Moment) -> Bool {
        renew(now)
        resets = UInt16(clamping: Int(resets) + cost)
        return resets <= ConnectionRules.resetBudget
    }

    mutating func setting(_ now: Moment) -> Bool { count(\.settings, ConnectionRules.settingsLimit, now) }
    mutating func emptyData(_ now: Moment) -> Bool { count(\.emptyData, ConnectionRules.emptyDataLimit, now) }
    mutating func other(_ now: Moment) -> Bool { count(\.others, ConnectionRules.otherFrameLimit, now) }

    mutating func windowUpdate() -> Bool {
        windowUpdates = UInt16(clamping: Int(windowUpdates) + 1)
        return windowUpdates <= ConnectionRules.windowUpdateLimit
    }

    /// A DATA frame was sent: it earns four window updates, and pings are welcome again.
    mutating func sentData() {
        windowUpdates -= min(windowUpdates, 4)
        pings = 0
    }

    mutating func receivedData() { pings = 0 }

    /// One ping is forgiven for each `interval` (less an eighth, for clocks that hurry) since the last.
    mutating func ping(every interval: Duration, burst: Int, _ now: Moment) -> Bool {
        let interval = max(1, interval.nanoseconds - interval.nanoseconds / 8)
        let forgiven = (now - lastPing).nanoseconds / interval
        lastPing = now
        pings = UInt16(clamping: max(0, Int64(pings) - forgiven) + 1)
        return pings <= burst
    }

    private mutating func count(_ path: WritableKeyPath<FloodGuard, UInt16>, _ limit: Int, _ now: Moment) -> Bool {
        renew(now)
        self[keyPath: path] = UInt16(clamping: Int(self[keyPath: path]) + 1)
        return self[keyPath: path] <= limit
    }

    private mutating func renew(_ now: Moment) {
        let current = UInt32(truncatingIfNeeded: now.nanoseconds / ConnectionRules.floodPeriod.nanoseconds)
        guard current != period else { return }
        period = current
        (resets, settings, emptyData, others) = (0, 0, 0, 0)
    }
}
