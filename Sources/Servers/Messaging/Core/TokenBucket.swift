/// Admission by rate: `rate` a second, and as many at once after a second's rest.
struct TokenBucket {
    private var tokens: Double
    private var filled_ms: Int64

    init(rate: Int, now_ms: Int64) {
        tokens = Double(max(1, rate))
        filled_ms = now_ms
    }

    /// Nil when one is admitted; else how many milliseconds to wait, 1 to 5,000. After that wait a tenth of a second's worth is there, so that
    /// a client which sends again what it has is not refused at its second Send.
    mutating func take(rate: Int, now_ms: Int64) -> Int32? {
        fill(rate: rate, now_ms: now_ms)
        guard tokens < 1 else {
            tokens -= 1
            return nil
        }
        let wanted = max(1, Double(rate) / 10)
        return Int32(min(5_000, max(1, ((wanted - tokens) * 1_000 / Double(max(1, rate))).rounded(.up))))
    }

    /// Gives one back that was taken for nothing.
    mutating func giveBack() { tokens += 1 }

    /// Whether forgetting it changes nothing.
    mutating func isFull(rate: Int, now_ms: Int64) -> Bool {
        fill(rate: rate, now_ms: now_ms)
        return tokens >= Double(max(1, rate))
    }

    private mutating func fill(rate: Int, now_ms: Int64) {
        let rate = Double(max(1, rate))
        tokens = min(rate, tokens + rate * Double(max(0, now_ms - filled_ms)) / 1_000)
        filled_ms = now_ms
    }
}
