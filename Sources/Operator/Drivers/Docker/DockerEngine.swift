import Cell
import FoundationEssentials
import HTTP
import Synchronization

/// The calls of the Engine API that a driver needs. Each has its limit in time; what it throws is a `DriverError`, or `CancellationError`.
final class DockerEngine: Sendable {
    /// An answer that is no success.
    struct Refusal: Error {
        var status: Int
        /// The engine's own words.
        var message: String
    }

    let endpoint: DockerEndpoint
    private let client: HTTPClient
    private let version = Mutex<EngineVersion?>(nil)

    init(_ endpoint: DockerEndpoint) throws {
        self.endpoint = endpoint
        client = try HTTPClient()
    }

    deinit { client.close() }

    // MARK: Version

    /// Agrees on a version with the engine, which may have been replaced by another since.
    ///
    /// - Returns: the engine's time, in Unix seconds, exact to a second.
    @discardableResult
    func negotiate() async throws -> Int64? {
        let answer = try await send("GET", path: "/version", limit: .seconds(5), versioned: false)
        let told = try EngineMessage.read(EngineMessage.Version.self, from: answer.body)
        guard let newest = EngineVersion(told.ApiVersion) else {
            throw DriverError("the Docker Engine's version \(told.ApiVersion) cannot be read", remedy: "Check that the endpoint is a Docker Engine.")
        }
        let common = try EngineVersion.common(newest: newest, oldest: told.MinAPIVersion.flatMap { EngineVersion($0) })
        version.withLock { $0 = common }
        return answer.head.headers["date"].flatMap { Self.time($0) }
    }

    /// Of the head `Date`: `Wed, 25 Nov 2026 14:24:46 GMT`.
    private static func time(_ text: String) -> Int64? {
        let parts = text.split(whereSeparator: { $0 == " " || $0 == ":" })
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard parts.count >= 7, let month = months.firstIndex(of: String(parts[2])) else { return nil }
        let digits = { (part: Substring) in part.count < 2 ? "0\(part)" : String(part) }
        let iso = "\(parts[3])-\(digits(Substring("\(month + 1)")))-\(digits(parts[1]))T\(parts[4]):\(parts[5]):\(parts[6])Z"
        return (try? Date(iso, strategy: .iso8601)).map { Int64($0.timeIntervalSince1970) }
    }

    // MARK: Containers

    func create(_ name: String, _ body: ContainerBody) async throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let answer = try await send("POST", path: "/containers/create?name=\(name)", body: Array(try encoder.encode(body)), limit: .seconds(60), repeats: false)
        return try EngineMessage.read(EngineMessage.Created.self, from: answer.body).Id
    }

    /// One that runs is started.
    func start(_ container: String) async throws {
        try await send("POST", path: "/containers/\(container)/start", limit: .seconds(60), accepts: [304])
    }

    /// - Returns: whether there was something to signal: a container that is gone, or does not run, has ended.
    @discardableResult
    func signal(_ container: String, _ signal: String) async throws -> Bool {
        try await send("POST", path: "/containers/\(container)/kill?signal=\(signal)", limit: .seconds(20), accepts: [404, 409]).head.isSuccess
    }

    /// By force. One that is gone, or being removed, counts as removed.
    ///
    /// - Returns: whether it is gone already.
    @discardableResult
    func remove(_ container: String) async throws -> Bool {
        try await send("DELETE", path: "/containers/\(container)?force=1&v=1", limit: .seconds(5), accepts: [404, 409]).status != 409
    }

    /// Nil when there is none.
    func inspect(_ container: String) async throws -> EngineMessage.Inspected? {
        let answer = try await send("GET", path: "/containers/\(container)/json", limit: .seconds(5), accepts: [404])
        return answer.status == 404 ? nil : try EngineMessage.read(EngineMessage.Inspected.self, from: answer.body)
    }

    /// Every container of the cell, whatever its state.
    func list(_ cell: CellName) async throws -> [EngineMessage.Listed] {
        let filters = Self.filters(["label": ["\(ServerLabels.cellKey)=\(cell)"]])
        let answer = try await send("GET", path: "/containers/json?all=1&filters=\(filters)", limit: .seconds(5))
        return try EngineMessage.read([EngineMessage.Listed].self, from: answer.body)
    }

    /// The last line that says something, of both outputs; empty when that takes longer than `limit`.
    func lastWords(_ container: String, within limit: Duration) async -> String {
        let answer = try? await send("GET", path: "/containers/\(container)/logs?stdout=1&stderr=1&tail=5", limit: limit)
        return answer.map { Self.lastLine($0.body) } ?? ""
    }

    /// Of frames of 8 bytes (a stream's number, three zeros, a length) and text. The two outputs come in no order: errors say more.
    static func lastLine(_ frames: [UInt8]) -> String {
        var texts: [UInt8: [UInt8]] = [:]
        var rest = frames[...]
        while rest.count >= 8 {
            let head = Array(rest.prefix(8))
            let length = head[4...].reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(8)
            texts[head[0], default: []] += rest.prefix(length)
            rest = rest.dropFirst(length)
        }
        for stream: UInt8 in [2, 1] {
            let lines = String(decoding: texts[stream] ?? [], as: UTF8.self).split(whereSeparator: \.isNewline)
            if let line = lines.last(where: { !$0.allSatisfy(\.isWhitespace) }) { return String(line.prefix(300)) }
        }
        return ""
    }

    // MARK: Streams

    /// What happens to the cell's containers from now on, and since then.
    ///
    /// - Parameter since_ns: Unix nanoseconds by the engine's clock.
    func events(_ cell: CellName, since_ns: Int64?) async throws -> HTTPStream {
        let filters = Self.filters(["type": ["container"], "label": ["\(ServerLabels.cellKey)=\(cell)"], "event": ["start", "die", "oom", "destroy"]])
        let since = since_ns.map { nanoseconds in
            let rest = "\(nanoseconds % 1_000_000_000)"
            return "&since=\(nanoseconds / 1_000_000_000).\(String(repeating: "0", count: 9 - rest.count))\(rest)"
        }
        return try await withThrowingTaskGroup(of: HTTPStream?.self) { group in
            group.addTask { try await self.stream("GET", path: "/events?filters=\(filters)\(since ?? "")", Self.quiet) }
            group.addTask {
                try await Task.sleep(for: .seconds(5))
                return nil
            }
            defer { group.cancelAll() }
            if let stream = try await group.next() ?? nil { return stream }
            throw DriverError("the Docker Engine at \(self.endpoint.name) does not answer", remedy: "Look into its log; it may be overloaded.")
        }
    }

    /// A stream may be quiet for long, and is opened again now and then.
    private static let quiet = HTTPTimeouts(connect: .seconds(3), idle: .seconds(600), total: nil)

    /// - Returns: false when the engine has no such image.
    func hasImage(_ image: String) async throws -> Bool {
        try await send("GET", path: "/images/\(HTTPRequest.percentEncoded(image))/json", limit: .seconds(5), accepts: [404]).status != 404
    }

    /// Progress and errors of a pull, as JSON objects.
    func pull(_ image: ImageReference, _ limits: HTTPTimeouts) async throws -> HTTPStream {
        let path = "/images/create?fromImage=\(HTTPRequest.percentEncoded(image.name))&tag=\(HTTPRequest.percentEncoded(image.tag))"
        return try await stream("POST", path: path, limits)
    }

    // MARK: HTTP

    private static func filters(_ filters: [String: [String]]) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Texts and lists of texts can always be written as JSON.
        return HTTPRequest.percentEncoded((try? encoder.encode(filters)).map { String(decoding: $0, as: UTF8.self) } ?? "{}")
    }

    private func request(_ method: String, _ path: String, _ body: [UInt8]?, _ timeouts: HTTPTimeouts, versioned: Bool) async throws -> HTTPRequest {
        var prefix = ""
        if versioned {
            if version.withLock({ $0 }) == nil { try await negotiate() }
            prefix = version.withLock { $0 }.map { "/v\($0)" } ?? ""
        }
        let headers = body == nil ? [] : [(name: "Content-Type", value: "application/json")]
        return HTTPRequest(
            method, endpoint.base + prefix + path, headers: headers, body: body, route: endpoint.route, timeouts: timeouts, bodyLimit_bytes: 64 << 20)
    }

    /// - Parameters:
    ///   - accepts: statuses beside 2xx that are answers.
    ///   - repeats: asks once more when the engine had a problem of its own (5xx).
    @discardableResult
    private func send(
        _ method: String, path: String, body: [UInt8]? = nil, limit: Duration, versioned: Bool = true, accepts: Set<Int> = [],
        repeats: Bool = true
    ) async throws -> HTTPResponse {
        let timeouts = HTTPTimeouts(connect: min(.seconds(3), limit), idle: limit, total: limit)
        let request = try await request(method, path, body, timeouts, versioned: versioned)
        var answer: HTTPResponse
        do {
            answer = try await client.send(request)
            if answer.status >= 500, repeats { answer = try await client.send(request) }
        } catch let error as HTTPError { throw endpoint.explain(error) }
        guard answer.head.isSuccess || accepts.contains(answer.status) else { throw Self.refusal(answer.status, answer.body) }
        return answer
    }

    private func stream(_ method: String, path: String, _ timeouts: HTTPTimeouts) async throws -> HTTPStream {
        let request = try await request(method, path, nil, timeouts, versioned: true)
        do {
            do { return try await client.stream(request) } catch let error as HTTPError where error.status.map({ $0 >= 500 }) ?? false && method == "GET" {
                return try await client.stream(request)
            }
        } catch let error as HTTPError {
            if let status = error.status { throw Self.refusal(status, error.body) }
            throw endpoint.explain(error)
        }
    }

    private static func refusal(_ status: Int, _ body: [UInt8]) -> Refusal {
        let told = try? EngineMessage.read(EngineMessage.Problem.self, from: body).message
        return Refusal(status: status, message: told ?? String(decoding: body.prefix(300), as: UTF8.self))
    }
}

extension DockerEngine.Refusal: CustomStringConvertible {
    var description: String { "the Docker Engine refuses (\(status)): \(message)" }
}
