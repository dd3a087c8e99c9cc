/// A JSON value whose text is canonical: keys sorted, no spaces, texts in UTF-8 with the least escaping.
public indirect enum JSON: Equatable, Sendable, CustomStringConvertible {
    case text(String)
    case integer(Int)
    case flag(Bool)
    case null
    case list([JSON])
    case object([String: JSON])
    /// What is canonical JSON already.
    case canonical(String)

    public var description: String {
        var result = ""
        write(to: &result)
        return result
    }

    private func write(to result: inout String) {
        switch self {
        case .text(let text): Self.quote(text, to: &result)
        case .integer(let number): result += String(number)
        case .flag(let flag): result += flag ? "true" : "false"
        case .null: result += "null"
        case .canonical(let json): result += json
        case .list(let elements):
            result += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { result += "," }
                element.write(to: &result)
            }
            result += "]"
        case .object(let members):
            result += "{"
            for (index, member) in members.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }).enumerated() {
                if index > 0 { result += "," }
                Self.quote(member.key, to: &result)
                result += ":"
                member.value.write(to: &result)
            }
            result += "}"
        }
    }

    private static func quote(_ text: String, to result: inout String) {
        result += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            // YAML takes these for line ends or refuses them, so they are escaped beyond what JSON asks.
            case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{fffe}", "\u{ffff}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        result += "\""
    }

    /// The member at `path` (`spec.messaging.servers`), if there is one.
    public subscript(path path: String) -> JSON? {
        var value = self
        for key in path.split(separator: ".") {
            guard case .object(let members) = value, let next = members[String(key)] else { return nil }
            value = next
        }
        return value
    }

    /// As one would write it in YAML, without quotes.
    var plain: String {
        switch self {
        case .text(let text), .canonical(let text): text
        default: description
        }
    }
}
