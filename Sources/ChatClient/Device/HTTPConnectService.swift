import Cell
import FoundationEssentials
import HTTP
import Streams

/// Asks the connect server over HTTP.
public final class HTTPConnectService: ConnectService {
    private let http: HTTPClient
    private let url: String
    private let route: HTTPRoute

    /// - Parameters:
    ///   - url: `http://HOST:PORT` or `https://HOST:PORT` of a connect server.
    ///   - authority: a PEM file with who signed its certificate; the system's authorities when nil.
    public init(_ url: String, authority: String? = nil) throws {
        http = try HTTPClient()
        route = HTTPRoute(authority: authority.map { .file($0) })
        self.url = url
    }

    public func ask(as credentials: Credentials, on loop: EventLoop, _ done: @escaping (Result<ConnectAnswer, any Error>) -> Void) {
        // It goes to another task and back to the loop unopened.
        nonisolated(unsafe) let done = done
        Task {
            let result: Result<ConnectAnswer, any Error>
            do { result = .success(try await ask(as: credentials)) } catch { result = .failure(error) }
            loop.execute { done(result) }
        }
    }

    public func ask(as credentials: Credentials) async throws -> ConnectAnswer {
        let request = HTTPRequest(
            "GET", "\(url)/v1/connect", headers: credentials.metadata.map { (name: $0.0, value: $0.1) }, route: route,
            timeouts: HTTPTimeouts(total: .seconds(5)))
        let response = try await http.send(request).checked()
        return try JSONDecoder().decode(ConnectAnswer.self, from: Data(response.body))
    }
}
