/// What the stream layer could not do, why, and what to do instead.
public struct StreamError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable, Equatable {
        /// The address is in use by another socket.
        case addressTaken
        /// The host has no address, or the address is malformed.
        case unresolved
        /// Nobody accepts connections there.
        case refused
        /// No connection, TLS handshake or HTTP/2 greeting within the time allowed.
        case timedOut
        /// The TLS handshake failed: certificate, name, protocol or ALPN.
        case tls
        /// The peer does not speak HTTP/2 as the standard says.
        case protocolViolation
        /// The peer answered no keepalive ping.
        case unresponsive
        /// The connection is closed or going away.
        case closed
        /// The peer said GOAWAY.
        case goingAway
        /// A call of the operating system failed.
        case system
    }

    public var code: Code
    /// What was tried, and with which value.
    public var problem: String
    /// What to do instead.
    public var remedy: String

    public init(_ code: Code, _ problem: String, remedy: String = "") {
        self.code = code
        self.problem = problem
        self.remedy = remedy
    }

    public var description: String { remedy.isEmpty ? problem : "\(problem). \(remedy)" }
}
