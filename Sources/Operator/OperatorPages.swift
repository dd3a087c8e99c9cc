import Cell
import FoundationEssentials
import Redis
import Web

/// The operator's own health, metrics and status, over HTTP.
struct OperatorPages {
    let routes: WebRoutes

    init(_ context: OperatorContext) {
        var routes = WebRoutes()
        routes.on("GET", "/healthz") { _ in .text("ok\n") }
        routes.onAsync("GET", "/readyz") { _ in await Self.ready(context) }
        routes.on("GET", "/metrics") { _ in WebResponse(type: "text/plain; version=0.0.4; charset=utf-8", bytes: Array(context.metrics.metrics.text.utf8)) }
        routes.on("GET", "/statusz") { _ in Self.status(context) }
        self.routes = routes
    }

    /// Whether scripts can be run on Redis: a PING proves nothing.
    private static let script = RedisScript("return redis.call('SET', KEYS[1], ARGV[1], 'EX', '60')")

    private static func ready(_ context: OperatorContext) async -> WebResponse {
        do {
            _ = try await context.redis.eval(script, keys: ["cell-operator:\(context.name)"], arguments: ["ready"])
            return .text("ready\n")
        } catch {
            return .text("Redis takes no writes: \(error)\n", status: 503)
        }
    }

    private static func status(_ context: OperatorContext) -> WebResponse {
        let cells = Dictionary(uniqueKeysWithValues: context.metrics.statuses.map { ($0.key.description, $0.value) })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let json = try? encoder.encode(cells) else { return .problem("the status cannot be written as JSON", status: 500) }
        return .json(json)
    }
}
