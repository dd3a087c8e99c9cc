import Cell
import Glibc
import Tokens

/// Why a caller is not let in.
public enum CallerRefusal: Error, Equatable, Sendable {
    /// In a cell without authentication: the user is none.
    case noUser(String)
    /// In a cell with tokens: there is no valid one.
    case noToken(String)
}

/// Who calls, and how long that holds.
public struct ProvenCaller: Equatable, Sendable {
    public var user: UserID
    /// From then on the token is no good, the leeway included; Unix milliseconds. Nil: for good, in a cell without authentication.
    public var until_ms: Int64?
}

/// Says who calls: by token, or by name in a cell without authentication.
public final class Authenticator: Sendable {
    private let verifier: TokenVerifier?
    private let leeway_ms: Int64

    /// - Throws: `StartProblem` when the keys cannot be used.
    public init(_ auth: AuthSpec) throws {
        guard case .jwt(let jwt) = auth else {
            verifier = nil
            leeway_ms = 0
            return
        }
        leeway_ms = max(0, jwt.leeway.components.seconds) * 1_000
        do throws(TokenError) {
            verifier = try TokenVerifier(keyFile: jwt.keyFile, algorithm: TokenAlgorithm(jwt.algorithm), leeway: jwt.leeway)
        } catch {
            throw StartProblem("spec.auth.jwt.keyFile is not usable: \(error.problem)", remedy: error.remedy)
        }
    }

    /// - Parameters:
    ///   - authorization: the header or metadata `authorization`.
    ///   - userID: the header or metadata `x-user-id`; without meaning in a cell with tokens.
    public func caller(authorization: String?, userID: String?) -> Result<UserID, CallerRefusal> {
        proven(authorization: authorization, userID: userID).map(\.user)
    }

    /// The same, for whoever is to be served for longer than one answer.
    public func proven(authorization: String?, userID: String?) -> Result<ProvenCaller, CallerRefusal> {
        guard let verifier else { return Self.named(userID).map { ProvenCaller(user: $0) } }
        guard let authorization else { return .failure(.noToken("there is no token: send Authorization: Bearer TOKEN")) }
        let words = authorization.split(separator: " ")
        guard words.count == 2, words[0].lowercased() == "bearer" else { return .failure(.noToken("the authorization is not Bearer TOKEN")) }
        do throws(TokenError) {
            let claims = try verifier.verify(String(words[1]), now_s: Int64(time(nil)))
            guard let user = UserID(claims.user) else { return .failure(.noToken("the token's sub is not a user")) }
            // An `exp` may be any number; three hundred thousand years are for good.
            let until_ms = min(claims.expires_s, Int64.max / 1_000_000) * 1_000 + leeway_ms
            return .success(ProvenCaller(user: user, until_ms: until_ms))
        } catch {
            return .failure(.noToken(error.description))
        }
    }

    private static func named(_ userID: String?) -> Result<UserID, CallerRefusal> {
        guard let userID else { return .failure(.noUser("X-User-Id is missing: give a user's number, like 42")) }
        guard let user = UserID(userID) else {
            return .failure(.noUser("X-User-Id \(userID.prefix(40)) is no user: give a number from 1 to 18446744073709551615"))
        }
        return .success(user)
    }
}

extension TokenAlgorithm {
    init(_ algorithm: AuthSpec.Algorithm) {
        switch algorithm {
        case .hs256: self = .hs256
        case .rs256: self = .rs256
        case .es256: self = .es256
        }
    }
}
