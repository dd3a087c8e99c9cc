import FoundationEssentials
import Glibc
import Synchronization

/// What a verified token proves.
public struct Claims: Sendable, Equatable {
    public var user: UInt64
    /// The token's `exp`, without the leeway.
    public var expires_s: Int64

    public init(user: UInt64, expires_s: Int64) {
        self.user = user
        self.expires_s = expires_s
    }
}

/// Verifies the tokens (JWT) of one cell. Its key file is read again when it changes.
public final class TokenVerifier: Sendable {
    public let keyFile: String
    public let algorithm: TokenAlgorithm
    private let leeway_s: Int64

    private struct State {
        var keys: TokenKeys
        var stamp: FileStamp
        var checked_s = Int64.min
        var problem: TokenError?
    }

    private let state: Mutex<State>

    /// - Parameters:
    ///   - keyFile: public keys in PEM one after another, any of which may have signed; for HS256 the secret, without a last newline.
    ///   - leeway: how far the clocks of issuer and verifier may lie apart; whole seconds.
    /// - Throws: ``TokenError`` with code `badKeyFile`.
    public init(keyFile: String, algorithm: TokenAlgorithm, leeway: Duration) throws(TokenError) {
        self.keyFile = keyFile
        self.algorithm = algorithm
        leeway_s = max(0, leeway.components.seconds)
        let (keys, stamp) = try Self.read(keyFile, algorithm)
        state = Mutex(State(keys: keys, stamp: stamp))
    }

    /// Why the key file could not be read again; the keys that it had before still hold.
    public var keyFileProblem: TokenError? { state.withLock { $0.problem } }

    /// - Parameter now_s: seconds since 1970.
    /// - Throws: ``TokenError``, which tells no secret and may be shown to whoever sent the token.
    public func verify(_ token: String, now_s: Int64) throws(TokenError) -> Claims {
        let header = try TokenHeader(of: token)
        guard header.algorithm == algorithm.rawValue else {
            throw TokenError(.wrongAlgorithm, "the token is not signed with \(algorithm.rawValue)")
        }
        if let claims = try claims(of: token, signedBy: keys(now_s: now_s), now_s: now_s) { return claims }
        // The key may have been added a moment ago.
        if let newer = reread(), let claims = try claims(of: token, signedBy: newer, now_s: now_s) { return claims }
        throw TokenError(.badSignature, "no known key made the token's signature")
    }

    /// Nil when none of `keys` signed.
    private func claims(of token: String, signedBy keys: TokenKeys, now_s: Int64) throws(TokenError) -> Claims? {
        for key in keys.keys {
            if let signed = SignedToken(token, key: key, algorithm: algorithm) { return try claims(signed, now: Double(now_s)) }
        }
        return nil
    }

    private func claims(_ token: borrowing SignedToken, now: Double) throws(TokenError) -> Claims {
        let leeway = Double(leeway_s)
        guard case .at(let expiry) = token.time("exp") else { throw TokenError(.noExpiry, "the token has no exp, or one that is not a number") }
        guard now < expiry + leeway else { throw TokenError(.expired, "the token has expired") }
        for claim in ["nbf", "iat"] {
            switch token.time(claim) {
            case .none: continue
            case .malformed: throw TokenError(.malformed, "the token's \(claim) is not a number")
            case .at(let time): if time > now + leeway { throw TokenError(.notYetValid, "the token's \(claim) lies in the future") }
            }
        }
        // Written back it must look the same: no sign, no leading zero, nothing behind it.
        guard let text = token.text("sub"), let user = UInt64(text), user != 0, "\(user)" == text else {
            throw TokenError(.noUser, "the token's sub is not a user")
        }
        return Claims(user: user, expires_s: Int64(exactly: expiry.rounded(.down)) ?? .max)
    }

    /// The keys, read again at most once a second when the file has changed.
    private func keys(now_s: Int64) -> TokenKeys {
        let isDue = state.withLock { state in
            defer { state.checked_s = now_s }
            return state.checked_s != now_s
        }
        return (isDue ? reread() : nil) ?? state.withLock { $0.keys }
    }

    /// The keys of a file that has changed; nil when it has not, or cannot be used.
    private func reread() -> TokenKeys? {
        let found = FileStamp(keyFile)
        guard found != state.withLock({ $0.stamp }) else { return nil }
        do throws(TokenError) {
            let (keys, stamp) = try Self.read(keyFile, algorithm)
            state.withLock { ($0.keys, $0.stamp, $0.problem) = (keys, stamp, nil) }
            return keys
        } catch {
            // Not read again before it changes once more.
            state.withLock { ($0.stamp, $0.problem) = (found, error) }
            return nil
        }
    }

    private static func read(_ path: String, _ algorithm: TokenAlgorithm) throws(TokenError) -> (TokenKeys, FileStamp) {
        // Taken first: a change in between is then seen the next time.
        let stamp = FileStamp(path)
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { throw TokenError(.badKeyFile, "\(path) cannot be read") }
        do throws(TokenError) {
            return (try TokenKeys(Array(data), for: algorithm), stamp)
        } catch {
            throw TokenError(.badKeyFile, "\(path): \(error.problem)")
        }
    }
}

/// Which version of a file is there.
private struct FileStamp: Equatable {
    var inode: UInt = 0
    var size: Int = 0
    var seconds: Int = 0
    var nanoseconds: Int = 0

    init(_ path: String) {
        var found = stat()
        guard stat(path, &found) == 0 else { return }
        (inode, size) = (UInt(found.st_ino), Int(found.st_size))
        (seconds, nanoseconds) = (found.st_mtim.tv_sec, found.st_mtim.tv_nsec)
    }
}
