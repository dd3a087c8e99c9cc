import Cell

/// Totals since the start, for `/metrics`.
struct MessagingCounters: Equatable, Sendable {
    var opens = 0
    var opened = 0
    var sends = 0
    var joins = 0
    var acks = 0
    var refusals: [Reason: Int] = [:]
    var deliveries = 0
    var replayed = 0
    var gaps = 0
    var moved = 0
    var alives = 0
    var ticks = 0
    var records = 0
    /// Records that were read and do not count.
    var skipped = 0
    var ends: [String: Int] = [:]
    var producersLost = 0
    /// Reports that contradicted what was read.
    var suspectReports = 0

    init() {}
}

extension StreamEnd {
    /// Its name in metrics.
    var name: String {
        switch self {
        case .unavailable: "unavailable"
        case .resourceExhausted: "resource_exhausted"
        case .aborted: "aborted"
        case .outOfRange: "out_of_range"
        case .invalidArgument: "invalid_argument"
        case .unauthenticated: "unauthenticated"
        }
    }
}
