/// How tokens of a cell are signed.
public enum TokenAlgorithm: String, Sendable, CaseIterable {
    case hs256 = "HS256"
    case rs256 = "RS256"
    case es256 = "ES256"
}

/// The keys of one key file, each as libjwt takes it. Pure.
struct TokenKeys: Sendable, Equatable {
    var keys: [[UInt8]]

    /// - Parameter file: the file's bytes: for HS256 the secret, without a last newline; otherwise public keys in PEM one after another, with
    ///   whatever stands between them.
    init(_ file: [UInt8], for algorithm: TokenAlgorithm) throws(TokenError) {
        guard algorithm != .hs256 else {
            let secret = file.last == 0x0A ? Array(file.dropLast()) : file
            guard !secret.isEmpty else { throw TokenError(.badKeyFile, "the secret is empty") }
            keys = [secret]
            return
        }
        keys = []
        var block: [Substring] = []
        for line in String(decoding: file, as: UTF8.self).split(whereSeparator: \.isNewline) {
            if line.hasPrefix("-----BEGIN ") {
                guard line.hasPrefix("-----BEGIN PUBLIC KEY-----") else {
                    throw TokenError(.badKeyFile, "it has \(line.filter { $0 != "-" }.lowercased()), which is not a public key")
                }
                block = [line]
            } else if !block.isEmpty {
                block.append(line)
            }
            if line.hasPrefix("-----END "), !block.isEmpty {
                // libjwt wants the text to end in a newline.
                keys.append(Array((block.joined(separator: "\n") + "\n").utf8))
                block = []
            }
        }
        guard block.isEmpty else { throw TokenError(.badKeyFile, "its last key has no end") }
        guard !keys.isEmpty else { throw TokenError(.badKeyFile, "it has no public key") }
    }
}
