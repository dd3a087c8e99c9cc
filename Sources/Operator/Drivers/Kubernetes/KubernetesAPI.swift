import Cell
import FoundationEssentials
import HTTP

/// The calls of the Kubernetes API that are needed here. Each has its limit in time; what it throws is a `DriverError`, a `Refusal` or `CancellationError`.
final class KubernetesAPI: Sendable {
    /// An answer that is no success.
    struct Refusal: Error, Equatable {
        var status: Int
        /// Kubernetes' own word: `NotFound`, `AlreadyExists`, `Expired`.
        var reason: String
        /// And words.
        var message: String
        var retryAfter_s: Int?
    }

    /// How a change is written.
    enum Patch: String {
        case merge = "application/merge-patch+json"
        /// Server-side apply: fields that others own stay theirs.
        case apply = "application/apply-patch+yaml"
    }

    /// Names us as the owner of the fields that we apply.
    static let fieldManager = "cell-operator"

    let access: KubernetesAccess
    private let client: HTTPClient
    private let watchFor_s: ClosedRange<Int>

    /// - Parameter watchFor_s: a watch is asked anew after so long, and given up when nothing came for a little longer: a connection may be dead without
    ///   an end.
    init(_ access: KubernetesAccess, watchFor_s: ClosedRange<Int> = 40...50) throws {
        self.access = access
        self.watchFor_s = watchFor_s
        client = try HTTPClient()
    }

    deinit { client.close() }

    // MARK: Reading

    func get<Item: Decodable>(_ type: Item.Type, _ path: String) async throws -> Item {
        try KubernetesMessage.read(type, from: try await send("GET", path).body)
    }

    /// Nil when there is none.
    func find<Item: Decodable>(_ type: Item.Type, _ path: String) async throws -> Item? {
        do { return try await get(type, path) } catch let refusal as Refusal where refusal.status == 404 { return nil }
    }

    /// Every object of a collection, in pages, with the version from which to watch on.
    func list<Item: Decodable>(_ type: Item.Type, _ path: String, query: String = "") async throws -> (items: [Item], version: String) {
        var items: [Item] = []
        var next = ""
        while true {
            let page = try await get(
                KubernetesMessage.List<Item>.self, "\(path)?limit=500\(query)\(next.isEmpty ? "" : "&continue=\(HTTPRequest.percentEncoded(next))")")
            items += page.items
            next = page.metadata.continue ?? ""
            if next.isEmpty { return (items, page.metadata.resourceVersion ?? "") }
        }
    }

    /// What happens to a collection from `version` on. Ends when the server ends it.
    func watch(_ path: String, query: String = "", from version: String) async throws -> HTTPStream {
        let seconds = Int.random(in: watchFor_s)
        let limits = HTTPTimeouts(connect: .seconds(3), idle: .seconds(seconds + 8), total: nil)
        let request = try request(
            "GET", "\(path)?watch=1&allowWatchBookmarks=true&timeoutSeconds=\(seconds)&resourceVersion=\(HTTPRequest.percentEncoded(version))\(query)", nil,
            limits)
        do { return try await client.stream(request) } catch let error as HTTPError {
            if let status = error.status { throw Self.refusal(status, error.body) }
            throw access.explain(error)
        }
    }

    // MARK: Writing

    @discardableResult
    func create<Item: Decodable>(_ type: Item.Type, _ path: String, _ body: JSON) async throws -> Item {
        try KubernetesMessage.read(type, from: try await send("POST", path, body).body)
    }

    @discardableResult
    func patch<Item: Decodable>(_ type: Item.Type, _ path: String, _ patch: Patch, _ body: JSON) async throws -> Item {
        let query = patch == .apply ? "?fieldManager=\(Self.fieldManager)&force=true" : "?fieldManager=\(Self.fieldManager)"
        return try KubernetesMessage.read(type, from: try await send("PATCH", path + query, body, type: patch.rawValue).body)
    }

    /// - Parameters:
    ///   - grace_s: until the kubelet kills; 0 removes the object at once and leaves the rest to the kubelet.
    ///   - uid: of the object that is meant: another one of that name stays.
    /// - Returns: whether there was something to delete.
    @discardableResult
    func delete(_ path: String, grace_s: Int? = nil, uid: String? = nil) async throws -> Bool {
        var members: [String: JSON] = ["apiVersion": .text("v1"), "kind": .text("DeleteOptions")]
        members["gracePeriodSeconds"] = grace_s.map { .integer($0) }
        members["preconditions"] = uid.map { .object(["uid": .text($0)]) }
        do {
            try await send("DELETE", path, .object(members))
            return true
        } catch let refusal as Refusal where refusal.status == 404 || refusal.status == 409 {
            return false
        }
    }

    // MARK: HTTP

    private func request(_ method: String, _ path: String, _ body: [UInt8]?, _ timeouts: HTTPTimeouts, type: String = "application/json") throws -> HTTPRequest
    {
        var headers = [(name: "Accept", value: "application/json")]
        if body != nil { headers.append((name: "Content-Type", value: type)) }
        return HTTPRequest(
            method, access.base + path, headers: headers, body: body, route: try access.currentRoute(), timeouts: timeouts, bodyLimit_bytes: 64 << 20)
    }

    /// Asks again, twice at most, when the server has a problem of its own or no time: everything that is sent here may be done twice.
    @discardableResult
    private func send(_ method: String, _ path: String, _ body: JSON? = nil, type: String = "application/json") async throws -> HTTPResponse {
        let limits = HTTPTimeouts(connect: .seconds(3), idle: .seconds(8), total: .seconds(20))
        let bytes = body.map { Array($0.description.utf8) }
        for attempt in 1... {
            let answer: HTTPResponse
            do { answer = try await client.send(try request(method, path, bytes, limits, type: type)) } catch let error as HTTPError {
                throw access.explain(error)
            }
            if answer.head.isSuccess { return answer }
            let refusal = Self.refusal(answer.status, answer.body)
            guard answer.status >= 500 || answer.status == 429, attempt < 3 else { throw refusal }
            let pause = answer.head.headers["retry-after"].flatMap { Int($0) } ?? refusal.retryAfter_s
            try await Task.sleep(for: pause.map { .seconds(min(max(0, $0), 3)) } ?? .milliseconds(200 * attempt))
        }
        preconditionFailure("the loop above ends by itself")
    }

    static func refusal(_ status: Int, _ body: [UInt8]) -> Refusal {
        // A proxy in between answers in words of its own: they are shown as they are.
        let told = try? KubernetesMessage.read(KubernetesMessage.Problem.self, from: body)
        return Refusal(
            status: status, reason: told?.reason ?? "", message: told?.message ?? String(decoding: body.prefix(300), as: UTF8.self),
            retryAfter_s: told?.details?.retryAfterSeconds)
    }
}

extension KubernetesAPI.Refusal: CustomStringConvertible {
    var description: String { "Kubernetes refuses (\(status)\(reason.isEmpty ? "" : " \(reason)")): \(message)" }
}
