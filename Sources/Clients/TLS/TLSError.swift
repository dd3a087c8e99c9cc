import COpenSSL

/// What OpenSSL refused, and why.
public struct TLSError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable, Equatable {
        /// A certificate or key file cannot be read, or they do not belong together.
        case badIdentity
        /// The file of authorities cannot be read.
        case badAuthorities
        /// The peer's certificate is not to be trusted: authority, name or dates.
        case untrusted
        /// Anything else in the protocol.
        case handshake
    }

    public var code: Code
    public var problem: String
    public var remedy: String

    public var description: String { remedy.isEmpty ? problem : "\(problem). \(remedy)" }

    init(_ code: Code, _ problem: String, remedy: String = "") {
        self.code = code
        self.problem = problem
        self.remedy = remedy
    }

    /// The oldest error of this thread's queue in OpenSSL's words; the queue is empty afterwards.
    static func reason() -> String {
        let number = ERR_get_error()
        ERR_clear_error()
        guard number != 0 else { return "the connection ended" }
        guard let text = ERR_reason_error_string(number) else { return "OpenSSL error \(number)" }
        return String(cString: text)
    }
}
