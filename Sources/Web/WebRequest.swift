/// A request, its whole body included.
public struct WebRequest: Sendable {
    /// `GET`, `POST`, …; a HEAD comes as GET, and its answer goes without the body.
    public var method: String
    /// Percent-decoded, without the query: `/v1/connect`.
    public var path: String
    /// Percent-decoded, in the client's order; a name without `=` has an empty value.
    public var query: [(name: String, value: String)]
    /// Names in lower case; repeated ones joined by `, `.
    public var headers: [String: String]
    public var body: [UInt8]

    public init(method: String = "GET", path: String, query: [(name: String, value: String)] = [], headers: [String: String] = [:], body: [UInt8] = []) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
    }

    /// The first value of `name` in the query.
    public func query(_ name: String) -> String? {
        query.first { $0.name == name }?.value
    }

    /// The token of `Authorization: Bearer …`.
    public var bearerToken: String? {
        guard let header = headers["authorization"] else { return nil }
        let words = header.split(separator: " ")
        return words.count == 2 && words[0].lowercased() == "bearer" ? String(words[1]) : nil
    }
}
