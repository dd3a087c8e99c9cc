import CCurl

/// A request that has no answer, or not the one it needs.
public struct HTTPError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable, Hashable {
        /// Nobody listens there.
        case refused
        case unknownHost
        case timeout
        /// The connection broke before the answer was whole.
        case lost
        /// The certificates do not fit.
        case tls
        /// What came is not HTTP.
        case garbled
        /// The answer has another status than 2xx.
        case status(Int)
        /// The answer is larger than the request allows.
        case tooLarge
        case badRequest
        /// The client was closed by its owner.
        case closed
        /// This machine has no thread, descriptor or memory left.
        case local
    }

    public var code: Code
    public var url: String
    public var problem: String
    /// The body that came with another status than 2xx; at most 64 KiB from a stream.
    public var body: [UInt8] = []
    /// Whether the server can have done what was asked.
    public var mayHaveRun: Bool

    public init(_ code: Code, _ problem: String, url: String, mayHaveRun: Bool = false) {
        self.code = code
        self.problem = problem
        self.url = url
        self.mayHaveRun = mayHaveRun
    }

    init(status: Int, body: [UInt8], url: String) {
        let words = String(decoding: body.prefix(300), as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: " ")
        self.init(.status(status), "status \(status)\(words.isEmpty ? "" : ": \(words)")", url: url, mayHaveRun: true)
        self.body = body
    }

    /// The status, when there was an answer.
    public var status: Int? {
        if case .status(let status) = code { status } else { nil }
    }

    public var bodyText: String { String(decoding: body, as: UTF8.self) }

    public var description: String { "\(url): \(problem). \(remedy)" }

    public var remedy: String {
        switch code {
        case .refused: "Start the service, or name the address where it listens."
        case .unknownHost: "Check the name, and that it resolves on this machine."
        case .timeout: "Check the network, and whether the service is overloaded."
        case .lost: "Look into the service's log; it may have been restarted."
        case .tls: "Check the authority, the certificate and the key, and the host's name in the server's certificate."
        case .garbled: "Check that the address is an HTTP service, and http or https."
        case .status(401), .status(403): "Check the credentials and what they may do."
        case .status: "The answer says what the service did not accept."
        case .tooLarge: "Ask for less, or read it as a stream."
        case .badRequest: "Write the URL as http://host:port/path, percent-encoded, and headers in one line."
        case .closed: "Make a new client."
        case .local: "Raise the limits of threads and open files (ulimit -u, ulimit -n)."
        }
    }
}

extension HTTPError {
    /// - Parameters:
    ///   - code: libcurl's.
    ///   - wasSent: whether any of the request went out.
    init(_ code: CURLcode, words: String, url: String, wasSent: Bool) {
        let kind: Code =
            switch code {
            case CURLE_COULDNT_CONNECT: .refused
            case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .unknownHost
            case CURLE_OPERATION_TIMEDOUT: .timeout
            // An answer that looks like HTTP/0.9 is a protocol that libcurl does not support.
            case CURLE_UNSUPPORTED_PROTOCOL where wasSent: .garbled
            case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: .badRequest
            case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE,
                CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CLIENTCERT, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_SETFAILED:
                .tls
            case CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING: .garbled
            case CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT: .local
            default: .lost
            }
        self.init(kind, words, url: url, mayHaveRun: wasSent)
    }
}
