import CJWT
import Glibc

/// A token whose signature was found good: the only owner of a libjwt object.
struct SignedToken: ~Copyable {
    private let jwt: OpaquePointer

    /// Nil unless `key` made the signature, with exactly `algorithm`.
    init?(_ token: String, key: [UInt8], algorithm: TokenAlgorithm) {
        // Without a key libjwt would believe everything.
        guard !key.isEmpty, key.count <= Int(Int32.max) else { return nil }
        var decoded: OpaquePointer?
        let code = jwt_decode(&decoded, token, key, Int32(key.count))
        guard let decoded else { return nil }
        // libjwt verifies with the algorithm that the token names: a public key could pass as the secret of HS256.
        guard code == 0, String(cString: jwt_alg_str(jwt_get_alg(decoded))) == algorithm.rawValue else {
            jwt_free(decoded)
            return nil
        }
        jwt = decoded
    }

    deinit { jwt_free(jwt) }

    /// A claim that is a string.
    func text(_ claim: String) -> String? { jwt_get_grant(jwt, claim).map { String(cString: $0) } }

    enum Time: Equatable {
        case none
        case at(Double)
        case malformed
    }

    /// A claim in seconds since 1970, which may have a fraction.
    func time(_ claim: String) -> Time {
        guard let json = jwt_get_grants_json(jwt, claim) else { return .none }
        defer { free(json) }
        guard let seconds = Double(String(cString: json)), seconds.isFinite else { return .malformed }
        return .at(seconds)
    }
}
