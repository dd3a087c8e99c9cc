/// Waits until `condition` holds, asking every 10 ms.
///
/// The limit is for what never comes: a busy machine may hold up a thread for seconds, and a process for more.
///
/// - Returns: how long it took.
/// - Throws: ``NeverHappened`` after `limit`, with the last error of the condition; a cancelled task ends early.
@discardableResult
public func eventually(
    _ what: String = "the condition", within limit: Duration = .seconds(30), isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async throws -> Duration {
    let start = ContinuousClock.now
    while true {
        // Asked once more after the limit, because a busy machine may have slept through it.
        let isLast = ContinuousClock.now - start >= limit
        var last: (any Error)?
        do {
            if try await condition() { return .now - start }
        } catch {
            last = error
        }
        if isLast { throw NeverHappened(what: what, limit: limit, last: last.map { "\($0)" }) }
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// Waits until `value` gives something, and returns it.
public func eventually<Value>(
    _ what: String = "the value", within limit: Duration = .seconds(30), isolation: isolated (any Actor)? = #isolation,
    value: () async throws -> Value?
) async throws -> Value {
    var result: Value?
    try await eventually(what, within: limit) {
        result = try await value()
        return result != nil
    }
    guard let result else { throw NeverHappened(what: what, limit: limit, last: nil) }
    return result
}

public struct NeverHappened: Error, CustomStringConvertible {
    public var what: String
    public var limit: Duration
    public var last: String?

    public init(what: String, limit: Duration, last: String? = nil) {
        self.what = what
        self.limit = limit
        self.last = last
    }

    public var description: String { "\(what) did not come within \(limit)\(last.map { "; last error: \($0)" } ?? "")" }
}

extension ContinuousClock.Instant {
    fileprivate static func - (end: Self, start: Self) -> Duration { start.duration(to: end) }
}
