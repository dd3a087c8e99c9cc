import Cell

/// Every log that a cell had, oldest first; the last one is the cell's.
public struct LogChain: Equatable, Sendable {
    public private(set) var logs: [LogID]

    public init(_ logs: [LogID] = []) { self.logs = logs }

    public var current: LogID? { logs.last }

    public func log(after log: LogID) -> LogID? { neighbour(of: log, 1) }
    public func log(before log: LogID) -> LogID? { neighbour(of: log, -1) }
    public func contains(_ log: LogID) -> Bool { logs.contains(log) }

    /// The logs in which a record with an id of `time_ms` may stand that is not void.
    ///
    /// None that began after the id; none that was followed by another a window and a margin before it.
    public func logs(validFor time_ms: Int64, window_ms: Int64) -> [LogID] {
        logs.filter { log in
            guard log.time_ms <= time_ms else { return false }
            guard let next = self.log(after: log) else { return true }
            return time_ms <= next.time_ms + window_ms + OnceRule.margin_ms
        }
    }

    private func neighbour(of log: LogID, _ step: Int) -> LogID? {
        guard let place = logs.lastIndex(of: log), logs.indices.contains(place + step) else { return nil }
        return logs[place + step]
    }
}
