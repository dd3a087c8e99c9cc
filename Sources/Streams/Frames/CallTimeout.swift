/// grpc-timeout: at most eight digits and a unit.
enum CallTimeout {
    /// nil when it is malformed.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> Duration? {
        guard (2...9).contains(bytes.count), let unit = bytes.last else { return nil }
        var value: Int64 = 0
        for byte in bytes.dropLast() {
            guard (48...57).contains(byte) else { return nil }
            value = value * 10 + Int64(byte - 48)
        }
        switch unit {
        case UInt8(ascii: "H"): return .seconds(value * 3600)
        case UInt8(ascii: "M"): return .seconds(value * 60)
        case UInt8(ascii: "S"): return .seconds(value)
        case UInt8(ascii: "m"): return .milliseconds(value)
        case UInt8(ascii: "u"): return .microseconds(value)
        case UInt8(ascii: "n"): return .nanoseconds(value)
        default: return nil
        }
    }

    /// The finest unit in which it fits, rounded up.
    static func encode(_ duration: Duration) -> String {
        var value = max(0, duration.nanoseconds)
        for (unit, factor) in [("n", 1000), ("u", 1000), ("m", 1000), ("S", 60), ("M", 60)] as [(String, Int64)] {
            if value <= 99_999_999 { return "\(value)\(unit)" }
            value = (value - 1) / factor + 1
        }
        return "\(min(value, 99_999_999))H"
    }
}
