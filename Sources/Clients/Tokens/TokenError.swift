/// A token that proves nothing, or keys that cannot be used.
public struct TokenError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable, Equatable {
        /// It is not three parts of base64url with JSON in them.
        case malformed
        /// It names another algorithm than the cell's.
        case wrongAlgorithm
        /// No key of the file made its signature.
        case badSignature
        case expired
        /// `nbf` or `iat` lies in the future.
        case notYetValid
        /// `exp` is missing or not a number.
        case noExpiry
        /// `sub` is not a user: an unsigned 64-bit number in decimal, not 0.
        case noUser
        /// The key file cannot be read, or has no key in it.
        case badKeyFile
    }

    public var code: Code
    /// What was wrong; never the token or a key.
    public var problem: String

    init(_ code: Code, _ problem: String) {
        self.code = code
        self.problem = problem
    }

    public var description: String { "\(problem). \(remedy)" }

    public var remedy: String {
        switch code {
        case .malformed: "Send the token as it was issued: header.claims.signature."
        case .wrongAlgorithm: "Have the token signed with the algorithm of the cell's spec."
        case .badSignature: "Have the token signed with a key whose public part is in the cell's key file."
        case .expired: "Get a new token."
        case .notYetValid: "Check the clocks of the issuer and of this machine."
        case .noExpiry: "Have the token issued with exp: seconds since 1970."
        case .noUser: "Have the token issued with sub: the user's number in decimal, as a string, from 1 to 18446744073709551615."
        case .badKeyFile: "Put public keys in PEM one after another into the key file (openssl pkey -pubout); for HS256, the secret itself."
        }
    }
}
