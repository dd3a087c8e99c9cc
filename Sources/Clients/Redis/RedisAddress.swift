/// Where a Redis is, and who we are there.
public struct RedisAddress: Sendable, Hashable {
    public enum Endpoint: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    public var endpoint: Endpoint
    public var user: String?
    public var password: String?
    public var database: Int

    public init(_ endpoint: Endpoint, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.endpoint = endpoint
        self.user = user
        self.password = password
        self.database = database
    }

    public init(host: String, port: Int) {
        self.init(.tcp(host: host, port: port))
    }

    /// Reads `redis://[[user]:password@]host[:port][/database]`, `host[:port]`, `unix:///path` or `/path`.
    ///
    /// The port is 6379 and the database 0 when they are left out. User and password may be percent-encoded; an IPv6 address stands in brackets.
    /// - Throws: ``RedisError`` with code `badAddress`; it never quotes the password.
    public init(parsing text: String) throws(RedisError) {
        if text.hasPrefix("/") {
            self.init(.unix(path: text))
        } else if text.hasPrefix("unix://") {
            let path = String(text.dropFirst("unix://".count))
            guard path.hasPrefix("/") else { throw .badAddress("a unix socket needs an absolute path") }
            self.init(.unix(path: path))
        } else if text.hasPrefix("rediss://") {
            throw .badAddress("TLS (rediss://) is not supported", remedy: "Use redis:// through a tunnel such as stunnel.")
        } else if text.hasPrefix("redis://") {
            try self.init(url: text.dropFirst("redis://".count))
        } else {
            guard !text.contains("@"), !text.contains("/") else { throw .badAddress("it is neither host:port nor a redis:// address") }
            let (host, port) = try Self.hostAndPort(text[...])
            self.init(host: host, port: port)
        }
    }

    private init(url: Substring) throws(RedisError) {
        let parts = url.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let database = parts.count == 2 && !parts[1].isEmpty ? Int(parts[1]) : 0
        guard let database, database >= 0 else { throw .badAddress("the database after the host is not a number") }
        let at = parts[0].lastIndex(of: "@")
        let (host, port) = try Self.hostAndPort(at.map { parts[0][parts[0].index(after: $0)...] } ?? parts[0])
        self.init(.tcp(host: host, port: port), database: database)
        guard let at else { return }
        let credentials = parts[0][..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard credentials.count == 2, !credentials[1].isEmpty else { throw .badAddress("there is no password between the user and the @") }
        guard let user = Self.decoded(credentials[0]), let password = Self.decoded(credentials[1]) else {
            throw .badAddress("user or password has a % that two hexadecimal digits do not follow")
        }
        self.user = user.isEmpty ? nil : user
        self.password = password
    }

    private static func hostAndPort(_ text: Substring) throws(RedisError) -> (String, Int) {
        var host = text
        var port: Substring?
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw .badAddress("something stands between ] and the port") }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
            guard !host.contains(":") else { throw .badAddress("an IPv6 address needs brackets, as in [::1]:6379") }
        }
        guard !host.isEmpty else { throw .badAddress("it has no host") }
        guard let number = port.map({ Int($0) }) ?? 6379, (1...65535).contains(number) else { throw .badAddress("its port is not a number from 1 to 65535") }
        return (String(host), number)
    }

    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension RedisAddress: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The address without its password, in a form that ``init(parsing:)`` reads.
    public var description: String {
        switch endpoint {
        case .unix(let path): return "unix://\(path)"
        case .tcp(let host, let port):
            let name = host.contains(":") ? "[\(host)]" : host
            return "redis://\(name):\(port)\(database == 0 ? "" : "/\(database)")"
        }
    }

    public var debugDescription: String { description }

    public var customMirror: Mirror { Mirror(self, children: ["address": description]) }
}
