import Support
import Testing

@testable import Tokens

@Suite("Tokens")
struct TokenVerifierTests {
    let now: Int64 = 1_800_000_000

    func code(_ body: () throws(TokenError) -> Claims) -> TokenError.Code? {
        do throws(TokenError) {
            _ = try body()
            return nil
        } catch {
            return error.code
        }
    }

    @Test(
        "a token of any key of the file is good, for each algorithm",
        arguments: [
            (TokenAlgorithm.rs256, "rsa"), (.es256, "ec"),
        ])
    func severalKeys(_ algorithm: TokenAlgorithm, _ kind: String) async throws {
        let issuer = try await Issuer()
        try issuer.folder.write(
            "first:\n" + issuer.text("\(kind)1.pub") + "\nsecond\r\n" + issuer.text("\(kind)2.pub").replacing("\n", with: "\r\n"), to: "keys")
        let both = try TokenVerifier(keyFile: issuer.file("keys"), algorithm: algorithm, leeway: .seconds(30))
        let one = try TokenVerifier(keyFile: issuer.file("\(kind)1.pub"), algorithm: algorithm, leeway: .seconds(30))
        for number in 1...2 {
            let token = try await issuer.token(#"{"sub":"42","exp":\#(now + 60)}"#, algorithm.rawValue, with: "\(kind)\(number).key")
            #expect(try both.verify(token, now_s: now) == Claims(user: 42, expires_s: now + 60))
            #expect(code { () throws(TokenError) in try one.verify(token, now_s: now) } == (number == 1 ? nil : .badSignature))
        }
    }

    struct Payload: Sendable, CustomTestStringConvertible {
        var text: String
        var code: TokenError.Code?
        var user: UInt64 = 42
        var testDescription: String { text }
    }

    @Test(
        "claims are checked",
        arguments: [
            Payload(text: #"{"sub":"42","exp":1800000060}"#),
            Payload(text: #"{"sub":"18446744073709551615","exp":1800000060}"#, user: .max),
            Payload(text: #"{"sub":"42","exp":1800000060.75,"nbf":1799999999.5,"iat":1800000000,"name":"x"}"#),
            Payload(text: #"{"sub":"42","exp":1799999971}"#),
            Payload(text: #"{"sub":"42","exp":1799999970}"#, code: .expired),
            Payload(text: #"{"sub":"42","exp":0}"#, code: .expired),
            Payload(text: #"{"sub":"42","exp":-1e300}"#, code: .expired),
            Payload(text: #"{"sub":"42","exp":1e300}"#),
            Payload(text: #"{"sub":"42"}"#, code: .noExpiry),
            Payload(text: #"{"sub":"42","exp":"1800000060"}"#, code: .noExpiry),
            Payload(text: #"{"sub":"42","exp":null}"#, code: .noExpiry),
            Payload(text: #"{"sub":"42","exp":[1800000060]}"#, code: .noExpiry),
            Payload(text: #"{"sub":"42","exp":1800000060,"nbf":1800000030}"#),
            Payload(text: #"{"sub":"42","exp":1800000060,"nbf":1800000031}"#, code: .notYetValid),
            Payload(text: #"{"sub":"42","exp":1800000060,"iat":1800000031}"#, code: .notYetValid),
            Payload(text: #"{"sub":"42","exp":1800000060,"nbf":"soon"}"#, code: .malformed),
            Payload(text: #"{"exp":1800000060}"#, code: .noUser),
            Payload(text: #"{"sub":42,"exp":1800000060}"#, code: .noUser),
            Payload(text: #"{"sub":"0","exp":1800000060}"#, code: .noUser),
            Payload(text: #"{"sub":"","exp":1800000060}"#, code: .noUser),
            Payload(text: #"{"sub":"-1","exp":1800000060}"#, code: .noUser),
            Payload(text: #"{"sub":"+1","exp":1800000060}"#, code: .noUser),
            Payload(text: #"{"sub":"042","exp":1800000060}"#, code: .noUser),
            Payload(text: #"{"sub":"42 ","exp":1800000060}"#, code: .noUser),
            Payload(text: #"{"sub":"18446744073709551616","exp":1800000060}"#, code: .noUser),
            Payload(text: #"{"sub":"bob","exp":1800000060}"#, code: .noUser),
            Payload(text: #"["sub","42"]"#, code: .noExpiry),
            Payload(text: "not JSON", code: .badSignature),
        ])
    func claims(_ example: Payload) async throws {
        let issuer = try await Issuer(pairs: false)
        let verifier = try TokenVerifier(keyFile: issuer.file("hmac"), algorithm: .hs256, leeway: .seconds(30))
        let token = try await issuer.token(example.text)
        #expect(code { () throws(TokenError) in try verifier.verify(token, now_s: now) } == example.code)
        if example.code == nil { #expect(try verifier.verify(token, now_s: now).user == example.user) }
    }

    @Test("another algorithm is refused, also when its signature fits", arguments: TokenAlgorithm.allCases)
    func otherAlgorithm(_ algorithm: TokenAlgorithm) async throws {
        let issuer = try await Issuer()
        let keys: [TokenAlgorithm: (file: String, key: String)] = [.hs256: ("hmac", "hmac"), .rs256: ("rsa1.pub", "rsa1.key"), .es256: ("ec1.pub", "ec1.key")]
        let (file, _) = try #require(keys[algorithm])
        let verifier = try TokenVerifier(keyFile: issuer.file(file), algorithm: algorithm, leeway: .zero)
        let payload = #"{"sub":"42","exp":1800000060}"#
        for other in TokenAlgorithm.allCases where other != algorithm {
            let token = try await issuer.token(payload, other.rawValue, with: try #require(keys[other]).key)
            #expect(code { () throws(TokenError) in try verifier.verify(token, now_s: now) } == .wrongAlgorithm)
        }
        for none in ["none", "None", "NONE", "HS384", ""] {
            let token = try await issuer.token(payload, header: #"{"alg":"\#(none)","typ":"JWT"}"#, signedAs: "none", with: "")
            #expect(code { () throws(TokenError) in try verifier.verify(token, now_s: now) } == .wrongAlgorithm)
        }
        // The public key as the secret of an HMAC, under either name.
        let confused = try await issuer.token(payload, header: #"{"alg":"HS256"}"#, signedAs: "HS256", with: file)
        if algorithm != .hs256 { #expect(code { () throws(TokenError) in try verifier.verify(confused, now_s: now) } == .wrongAlgorithm) }
        let lying = try await issuer.token(payload, header: #"{"alg":"\#(algorithm.rawValue)"}"#, signedAs: "HS256", with: "rsa2.pub")
        #expect(code { () throws(TokenError) in try verifier.verify(lying, now_s: now) } == .badSignature)
        // Two names at once: whichever a parser takes, it is not enough.
        for header in [#"{"alg":"\#(algorithm.rawValue)","alg":"none"}"#, #"{"alg":"none","alg":"\#(algorithm.rawValue)"}"#] {
            let token = try await issuer.token(payload, header: header, signedAs: "none", with: "")
            #expect(code { () throws(TokenError) in try verifier.verify(token, now_s: now) } != nil)
        }
    }

    @Test("what is changed by one character is refused, and so is everything that is not a token")
    func forged() async throws {
        let issuer = try await Issuer(pairs: false)
        let verifier = try TokenVerifier(keyFile: issuer.file("hmac"), algorithm: .hs256, leeway: .zero)
        let good = try await issuer.token(#"{"sub":"42","exp":1800000060}"#)
        #expect(try verifier.verify(good, now_s: now).user == 42)
        let characters = Array(good)
        // The last character of each part has bits that decode to nothing, so it is left out.
        for at in characters.indices.dropLast() where characters[at] != "." && characters[at + 1] != "." {
            var changed = characters
            changed[at] = changed[at] == "A" ? "B" : "A"
            #expect(code { () throws(TokenError) in try verifier.verify(String(changed), now_s: now) } != nil, "character \(at)")
        }
        let parts = good.split(separator: ".")
        for bad in [
            "", ".", "..", "...", "a.b.c", "\(parts[0]).\(parts[1])", "\(parts[0]).\(parts[1]).", ".\(parts[1]).\(parts[2])", "\(parts[0])..\(parts[2])",
            good + ".x",
            good + "=", good + "\n", " " + good, good + "\0", "\(parts[0]).\(parts[1]).!!!!", String(repeating: "a", count: 100_000), "äöü.b.c",
            "bnVsbA.\(parts[1]).\(parts[2])", "e30.\(parts[1]).\(parts[2])",
        ] {
            #expect(code { () throws(TokenError) in try verifier.verify(bad, now_s: now) } != nil, "\(bad.prefix(80))")
        }
        let critical = try await issuer.token(
            #"{"sub":"42","exp":1800000060}"#, header: #"{"alg":"HS256","crit":["x"],"x":1}"#, signedAs: "HS256", with: "hmac")
        #expect(code { () throws(TokenError) in try verifier.verify(critical, now_s: now) } == .malformed)
    }

    @Test("a secret's last newline does not belong to it, an earlier one does")
    func newline() async throws {
        let issuer = try await Issuer(pairs: false)
        let folder = try TemporaryFolder("secret")
        let good = try await issuer.token(#"{"sub":"42","exp":1800000060}"#)
        for (ending, expected) in [("", nil), ("\n", nil), ("\n\n", .badSignature), ("\r\n", .badSignature)] as [(String, TokenError.Code?)] {
            try folder.write(issuer.text("hmac") + ending, to: "hmac")
            let verifier = try TokenVerifier(keyFile: folder.file("hmac"), algorithm: .hs256, leeway: .zero)
            #expect(code { () throws(TokenError) in try verifier.verify(good, now_s: now) } == expected)
        }
    }

    @Test("a key file that changes is read again; one that breaks leaves the old keys in force and says so")
    func rotation() async throws {
        let issuer = try await Issuer()
        let keys = try issuer.folder.write(issuer.text("ec1.pub"), to: "keys")
        let verifier = try TokenVerifier(keyFile: keys, algorithm: .es256, leeway: .zero)
        let payload = #"{"sub":"42","exp":1800000060}"#
        let (first, second) = (try await issuer.token(payload, "ES256", with: "ec1.key"), try await issuer.token(payload, "ES256", with: "ec2.key"))
        #expect(code { () throws(TokenError) in try verifier.verify(first, now_s: now) } == nil)
        #expect(code { () throws(TokenError) in try verifier.verify(second, now_s: now) } == .badSignature)
        // In the same second: a signature that does not fit makes it look again.
        try issuer.folder.write(issuer.text("ec1.pub") + issuer.text("ec2.pub"), to: "keys")
        #expect(code { () throws(TokenError) in try verifier.verify(second, now_s: now) } == nil)
        #expect(code { () throws(TokenError) in try verifier.verify(first, now_s: now) } == nil)
        // A key that is taken away is gone within a second.
        try issuer.folder.write(issuer.text("ec2.pub"), to: "keys")
        #expect(code { () throws(TokenError) in try verifier.verify(first, now_s: now + 1) } == .badSignature)
        try issuer.folder.write("half a ke", to: "keys")
        #expect(code { () throws(TokenError) in try verifier.verify(second, now_s: now + 2) } == nil)
        #expect(verifier.keyFileProblem?.code == .badKeyFile)
        try issuer.folder.write(issuer.text("ec1.pub"), to: "keys")
        #expect(code { () throws(TokenError) in try verifier.verify(first, now_s: now + 3) } == nil)
        #expect(verifier.keyFileProblem == nil)
    }

    @Test("a key file without keys is refused with a remedy", arguments: ["", "nothing", "-----BEGIN PUBLIC KEY-----\nAAAA\n"])
    func badKeyFile(_ text: String) throws {
        let folder = try TemporaryFolder("keys")
        let path = try folder.write(text, to: "keys")
        for algorithm in [TokenAlgorithm.rs256, .es256] {
            let error = #expect(throws: TokenError.self) { try TokenVerifier(keyFile: path, algorithm: algorithm, leeway: .zero) }
            #expect(error?.code == .badKeyFile)
            #expect(error?.description.contains(path) == true)
        }
        #expect(throws: TokenError.self) { try TokenVerifier(keyFile: folder.file("missing"), algorithm: .hs256, leeway: .zero) }
        #expect(throws: TokenError.self) { try TokenVerifier(keyFile: folder.path, algorithm: .hs256, leeway: .zero) }
    }

    @Test("a private key has no place in the key file")
    func privateKey() async throws {
        let issuer = try await Issuer()
        let error = #expect(throws: TokenError.self) { try TokenVerifier(keyFile: issuer.file("ec1.key"), algorithm: .es256, leeway: .zero) }
        #expect(error?.description.contains("private key") == true)
    }

    @Test("many threads may verify at once while the file changes")
    func concurrent() async throws {
        let issuer = try await Issuer()
        let keys = try issuer.folder.write(issuer.text("ec1.pub"), to: "keys")
        let verifier = try TokenVerifier(keyFile: keys, algorithm: .es256, leeway: .zero)
        let token = try await issuer.token(#"{"sub":"42","exp":1800001060}"#, "ES256", with: "ec1.key")
        let start = now
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<400 {
                group.addTask { try verifier.verify(token, now_s: start + Int64(number % 50)).user == 42 }
                if number % 20 == 0 { try issuer.folder.write(issuer.text("ec1.pub") + (number % 40 == 0 ? issuer.text("ec2.pub") : ""), to: "keys") }
            }
            for try await good in group { #expect(good) }
        }
    }
}
