/// A line that librdkafka has to say about itself.
public struct LibraryLogLine: Sendable, Equatable {
    public enum Level: Int, Sendable, Comparable {
        case error = 3, warning = 4, notice = 5, info = 6, debug = 7
        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    public var level: Level
    /// What part of the library speaks, such as FAIL or REQTMOUT.
    public var facility: String
    public var client: String
    public var text: String
    /// How many lines of this facility were left out before this one.
    public var leftOut: Int
}

/// Lets a few lines of each facility through in each period; a broker that is away would say the same for ever.
///
/// Pure: time is an argument.
struct LogRate {
    static let lines = 5
    static let period_ms: Int64 = 10_000

    private struct Count { var began_ms: Int64, shown: Int, leftOut: Int }
    private var counts: [String: Count] = [:]

    /// How many lines were left out before this one, or nil when this one is left out too.
    mutating func admit(_ facility: String, at now_ms: Int64) -> Int? {
        var count = counts[facility] ?? Count(began_ms: now_ms, shown: 0, leftOut: 0)
        defer { counts[facility] = count }
        if now_ms - count.began_ms >= Self.period_ms {
            let leftOut = count.leftOut
            count = Count(began_ms: now_ms, shown: 1, leftOut: 0)
            return leftOut
        }
        guard count.shown < Self.lines else {
            count.leftOut += 1
            return nil
        }
        count.shown += 1
        return 0
    }
}
