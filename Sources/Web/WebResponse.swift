/// What a server answers.
public struct WebResponse: Sendable {
    enum Body: Sendable {
        case bytes([UInt8])
        case events(EventFeed, first: [ServerEvent])
    }

    public var status: Int
    public var headers: [(name: String, value: String)]
    var body: Body

    public init(status: Int = 200, type: String, bytes: [UInt8], headers: [(name: String, value: String)] = []) {
        self.status = status
        self.headers = [("Content-Type", type)] + headers
        body = .bytes(bytes)
    }

    public static func text(_ text: String, status: Int = 200, headers: [(name: String, value: String)] = []) -> WebResponse {
        WebResponse(status: status, type: "text/plain; charset=utf-8", bytes: Array(text.utf8), headers: headers)
    }

    public static func html(_ text: String, status: Int = 200) -> WebResponse {
        WebResponse(status: status, type: "text/html; charset=utf-8", bytes: Array(text.utf8))
    }

    /// `bytes` are JSON already.
    public static func json(_ bytes: some Sequence<UInt8>, status: Int = 200, headers: [(name: String, value: String)] = []) -> WebResponse {
        WebResponse(status: status, type: "application/json", bytes: Array(bytes), headers: headers)
    }

    /// `{"error": "…"}`, for clients that read JSON.
    public static func problem(_ message: String, status: Int, headers: [(name: String, value: String)] = []) -> WebResponse {
        json(#"{"error": "\#(escapedForJSON(message))"}"#.utf8, status: status, headers: headers)
    }

    /// What `feed` sends from now on, as server-sent events, `first` before it. It lasts until the client, the feed or the server ends it.
    public static func events(_ feed: EventFeed, first: [ServerEvent] = []) -> WebResponse {
        var response = WebResponse(type: "text/event-stream", bytes: [], headers: [("Cache-Control", "no-store")])
        response.body = .events(feed, first: first)
        return response
    }

    private static func escapedForJSON(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
