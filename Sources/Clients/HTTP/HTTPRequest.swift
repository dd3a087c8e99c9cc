/// A request to one URL.
public struct HTTPRequest: Sendable {
    public var method: String
    /// `http://host:port/path?query` or `https://…`, percent-encoded. With a unix socket the host is only the Host header.
    public var url: String
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]?
    public var route: HTTPRoute
    public var timeouts: HTTPTimeouts
    /// A larger answer is an error; for ``HTTPClient/send(_:)`` only.
    public var bodyLimit_bytes: Int
    /// How often it may be sent again, where that is safe: nothing had been sent, or the method may be repeated (GET, HEAD, PUT, DELETE).
    public var retries: Int

    public init(
        _ method: String = "GET", _ url: String, headers: [(name: String, value: String)] = [], body: [UInt8]? = nil, route: HTTPRoute = HTTPRoute(),
        timeouts: HTTPTimeouts = HTTPTimeouts(), bodyLimit_bytes: Int = 16 << 20, retries: Int = 0
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.route = route
        self.timeouts = timeouts
        self.bodyLimit_bytes = bodyLimit_bytes
        self.retries = retries
    }

    /// `text` as it may stand in a path's segment or a query's value.
    public static func percentEncoded(_ text: String) -> String {
        text.utf8.map { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): String(UnicodeScalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }

    var mayBeRepeated: Bool { ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].contains(method) }
}

/// How a server is reached, and who we are there. Proxies of the environment are not used.
public struct HTTPRoute: Sendable, Hashable {
    /// A certificate or key in PEM.
    public enum PEM: Sendable, Hashable {
        case file(String)
        case text(String)
    }

    /// Connects to this socket instead of the URL's host.
    public var unixSocket: String?
    /// Who may sign the server's certificate; the system's authorities when nil.
    public var authority: PEM?
    public var certificate: PEM?
    public var key: PEM?
    public var bearerToken: String?

    public init(unixSocket: String? = nil, authority: PEM? = nil, certificate: PEM? = nil, key: PEM? = nil, bearerToken: String? = nil) {
        self.unixSocket = unixSocket
        self.authority = authority
        self.certificate = certificate
        self.key = key
        self.bearerToken = bearerToken
    }
}

extension HTTPRoute: CustomStringConvertible, CustomReflectable {
    /// Without secrets.
    public var description: String { unixSocket.map { "unix://\($0)" } ?? "direct" }
    public var customMirror: Mirror { Mirror(self, children: ["route": description]) }
}

public struct HTTPTimeouts: Sendable, Hashable {
    /// For the name, the connection and TLS.
    public var connect: Duration
    /// Without a byte in either direction; nil for streams that may be quiet. Time that the reader takes does not count.
    public var idle: Duration?
    /// From asking to the last byte; nil for streams.
    public var total: Duration?

    public init(connect: Duration = .seconds(3), idle: Duration? = .seconds(30), total: Duration? = .seconds(60)) {
        self.connect = connect
        self.idle = idle
        self.total = total
    }
}

/// What a server answers before the body.
public struct HTTPHead: Sendable, Equatable {
    public var status: Int
    /// Names in lower case; repeated ones joined by `, `.
    public var headers: [String: String]

    public init(status: Int, headers: [String: String] = [:]) {
        self.status = status
        self.headers = headers
    }

    public var isSuccess: Bool { (200..<300).contains(status) }
}

/// A whole answer.
public struct HTTPResponse: Sendable {
    public var head: HTTPHead
    public var body: [UInt8]
    public var url: String

    public var status: Int { head.status }
    public var text: String { String(decoding: body, as: UTF8.self) }

    /// Itself when the status is 2xx.
    ///
    /// - Throws: ``HTTPError`` with code `status` and the body.
    @discardableResult
    public func checked() throws(HTTPError) -> HTTPResponse {
        guard head.isSuccess else { throw HTTPError(status: head.status, body: body, url: url) }
        return self
    }
}
