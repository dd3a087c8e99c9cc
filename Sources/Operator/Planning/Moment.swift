import Cell

/// A point on the operator's own clock, which never goes back: milliseconds since an arbitrary start.
public struct Moment: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    public static func + (moment: Moment, duration: Duration) -> Moment { Moment(milliseconds: moment.milliseconds + duration.milliseconds) }
    public static func - (moment: Moment, duration: Duration) -> Moment { Moment(milliseconds: moment.milliseconds - duration.milliseconds) }
    public static func - (a: Moment, b: Moment) -> Duration { .milliseconds(a.milliseconds - b.milliseconds) }
    public static func < (a: Moment, b: Moment) -> Bool { a.milliseconds < b.milliseconds }
    public var description: String { "\(milliseconds) ms" }
}
