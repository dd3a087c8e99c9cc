import Cell
import FoundationEssentials
import Web

/// `/healthz`, `/readyz`, `/metrics` and `/statusz`, on a free port of their own.
///
/// `/healthz` says whether the process works, also without Redis: it is what tells a server that is cut off from one that hangs. So it is answered by the web
/// server's own thread, and fails when the work hangs, so that the lease is not renewed.
enum Endpoints {
    static func routes(of shell: ServerShell) -> WebRoutes {
        var routes = WebRoutes()
        routes.on("GET", "/healthz") { _ in
            let hangs = shell.hangsFor
            return hangs < .seconds(1) ? .text("ok\n") : .text("its work has hung for \(hangs.components.seconds) s\n", status: 503)
        }
        routes.on("GET", "/readyz") { _ in
            switch shell.stage.readiness {
            case .ready: .text("ready\n")
            case .waits(let reason): .text("not ready: \(reason)\n", status: 503)
            }
        }
        routes.on("GET", "/metrics") { _ in
            WebResponse(type: PrometheusText.contentType, bytes: Array(shell.metrics.text.utf8))
        }
        routes.onAsync("GET", "/statusz") { _ in
            let status = await Task(executorPreference: shell.thread) { await shell.statusz() }.value
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            guard let json = try? encoder.encode(status) else { return .problem("the status cannot be written as JSON", status: 500) }
            return .json(json)
        }
        return routes
    }
}

/// What `/statusz` shows.
struct Statusz: Encodable {
    var server: ServerID
    var cell: String
    var report: Report
    /// Of the assignment, as it names this incarnation; nil when it does not.
    var member: Member?
    var settings: Settings?
    /// What Redis's answer to the last renewal was.
    var redis: String
    var core: AnyEncodable?
}

/// Any value that can be written.
struct AnyEncodable: Encodable, Sendable {
    let value: any Encodable & Sendable
    func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
}
