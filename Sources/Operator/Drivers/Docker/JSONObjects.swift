/// Cuts a stream of JSON objects into whole ones, however its bytes come: several in one piece, or one in many.
struct JSONObjects: Sendable {
    /// An object is longer than anything the engine sends.
    struct TooLong: Error {}

    private var object: [UInt8] = []
    private var depth = 0
    private var isInText = false
    private var isEscaped = false
    private let limit_bytes: Int

    init(limit_bytes: Int = 1 << 20) { self.limit_bytes = limit_bytes }

    /// The objects that `bytes` completes, in order. What stands between objects is skipped.
    mutating func add(_ bytes: [UInt8]) throws(TooLong) -> [[UInt8]] {
        var whole: [[UInt8]] = []
        for byte in bytes {
            if depth == 0, byte != UInt8(ascii: "{") { continue }
            object.append(byte)
            guard object.count <= limit_bytes else { throw TooLong() }
            take(byte)
            guard depth == 0 else { continue }
            whole.append(object)
            object = []
        }
        return whole
    }

    private mutating func take(_ byte: UInt8) {
        if isInText {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInText = false
            }
            return
        }
        switch byte {
        case UInt8(ascii: "\""): isInText = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
        default: break
        }
    }
}
