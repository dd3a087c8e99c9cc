import Cell
import FoundationEssentials

/// `time_ms` (Unix milliseconds) as RFC 3339 writes it, in UTC: 2026-11-25T13:20:05.123Z.
func timestamp(_ time_ms: Int64) -> String {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    return Date(timeIntervalSince1970: Double(time_ms) / 1_000).formatted(style)
}

/// How long ago, as kubectl tells it: 12s, 5m, 3h, 2d.
func age(since time_ms: Int64, now_ms: Int64) -> String {
    let seconds = max(0, (now_ms - time_ms) / 1_000)
    switch seconds {
    case ..<120: return "\(seconds)s"
    case ..<7_200: return "\(seconds / 60)m"
    case ..<172_800: return "\(seconds / 3_600)h"
    default: return "\(seconds / 86_400)d"
    }
}

func now_ms() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }
