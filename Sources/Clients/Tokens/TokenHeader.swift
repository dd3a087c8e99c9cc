import FoundationEssentials

/// What a token says about itself before anything is proven; only good for refusing it early. Pure.
struct TokenHeader {
    /// Longer tokens are refused unread.
    static let limit_bytes = 8192

    var algorithm: String

    init(of token: String) throws(TokenError) {
        guard token.utf8.count <= Self.limit_bytes else { throw TokenError(.malformed, "the token is longer than \(Self.limit_bytes) bytes") }
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let header = parts.first else { throw TokenError(.malformed, "the token does not have three parts") }
        guard parts.allSatisfy({ $0.allSatisfy(Self.isBase64URL) && $0.count % 4 != 1 }) else {
            throw TokenError(.malformed, "the token has characters that are not base64url")
        }
        guard !parts[0].isEmpty, !parts[1].isEmpty, let bytes = Self.decoded(header), let fields = try? JSONDecoder().decode(Fields.self, from: bytes) else {
            throw TokenError(.malformed, "the token's header is not JSON with alg")
        }
        guard fields.crit == nil else { throw TokenError(.malformed, "the token wants an extension (crit) that is not understood") }
        algorithm = fields.alg
    }

    private struct Fields: Decodable {
        var alg: String
        var crit: [String]?
    }

    private static func isBase64URL(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func decoded(_ part: Substring.UTF8View) -> Data? {
        let plain = part.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "+") : $0 == UInt8(ascii: "_") ? UInt8(ascii: "/") : $0 }
        let padding = [UInt8](repeating: UInt8(ascii: "="), count: (4 - plain.count % 4) % 4)
        return Data(base64Encoded: Data(plain + padding))
    }
}
