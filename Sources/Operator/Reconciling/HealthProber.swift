import Cell
import HTTP

/// Asks servers whether they are alive. Any answer that says so in time is one.
final class HealthProber: Sendable {
    private let client: HTTPClient

    init() throws { client = try HTTPClient() }

    func isAlive(at address: String, within limit: Duration) async -> Bool {
        let timeouts = HTTPTimeouts(connect: limit, idle: limit, total: limit)
        let answer = try? await client.send(HTTPRequest("GET", "http://\(address)/healthz", timeouts: timeouts, bodyLimit_bytes: 64 << 10))
        return answer?.status == 200
    }

    func close() { client.close() }
}
