import Cell
import FoundationEssentials
import Synchronization
import TLS
import Web

/// Tells clients where to go: `GET /v1/connect`.
public final class ConnectServer: ServerCore {
    public static let maker: ServerCoreMaker = { try ConnectServer($0) }

    private let context: ServerContext
    private let authenticator: Authenticator
    private let directory = Mutex<Directory?>(nil)
    private let listening = Mutex<Listening?>(nil)

    private struct Listening {
        var web: WebServer
        /// The certificate's and the key's files, as they were read.
        var seen: [FileStamp]
        /// It showed the certificate before, and answers what it was asked.
        var former: WebServer?
    }

    init(_ context: ServerContext) throws {
        self.context = context
        authenticator = try Authenticator(context.spec.auth)
    }

    public func start() async throws {
        let seen = stamps
        let web = try listen(try options())
        listening.withLock { $0 = Listening(web: web, seen: seen) }
        context.log.info("tells clients where to go at \(context.spec.connect.tls == nil ? "http" : "https")://\(context.address(port: web.port))/v1/connect")
    }

    private func options() throws -> WebServer.Options {
        var options = WebServer.Options()
        options.threads = 2
        options.sharing = context.sharesPort ? .joins : .offers
        options.connections = min(10_000, context.descriptors / 2)
        if let tls = context.spec.connect.tls {
            options.certificate = try PEMFile.read(tls.certificate, for: "spec.connect.tls.certificate")
            options.key = try PEMFile.read(tls.key, for: "spec.connect.tls.key")
        }
        return options
    }

    private var stamps: [FileStamp] { context.spec.connect.tls.map { [FileStamp($0.certificate), FileStamp($0.key)] } ?? [] }

    /// Takes a certificate that was replaced, without missing a connection. One that cannot be used is told once, and the old one stays.
    private func renewCertificate() {
        let seen = stamps
        listening.withLock { listening in
            guard var now = listening else { return }
            if now.former?.isBusy == false { now.former = nil }
            if seen != now.seen {
                now.seen = seen
                do {
                    let next = try WebServer(beside: now.web, options: try options(), routes: routes())
                    now.web.stopListening()
                    (now.former, now.web) = (now.web, next)
                    context.log.info("shows another certificate from now on")
                } catch {
                    context.log.error("the new certificate cannot be used, and the old one stays: \(error)")
                }
            }
            listening = now
        }
    }

    private func listen(_ options: WebServer.Options) throws -> WebServer {
        do throws(WebError) {
            return try WebServer(host: context.bind, port: context.port, options: options, routes: routes())
        } catch {
            guard error.code == .portTaken else { throw error }
            throw StartProblem("port \(context.port) is taken", remedy: "Stop what listens there (ss -ltnp), or set spec.connect.port to a free one")
        }
    }

    public func apply(_ assignment: Assignment) {
        let new = Directory(assignment, of: context.spec)
        directory.withLock { $0 = new }
    }

    public var readiness: Readiness { listening.withLock { $0 } == nil ? .waits(for: "its port") : .ready }

    public func contribute(to report: inout Report) {
        renewCertificate()
        guard let web = listening.withLock({ $0?.web }) else { return }
        report.address = context.address(port: web.port)
        report.log = context.known.assignment.log
    }

    public func stop() async {
        await listening.withLock({ $0?.web })?.stop(grace: .seconds(2))
    }

    private func routes() -> WebRoutes {
        let answered = [200, 400, 401, 503].map { code in
            (code, context.metrics.counter("cell_connect_answers_total", "Answers to /v1/connect.", ["code": "\(code)"]))
        }
        let counters = Dictionary(uniqueKeysWithValues: answered)
        var routes = WebRoutes()
        routes.on("GET", "/") { _ in .text(ConnectAnswer.help) }
        routes.on("GET", "/v1/connect") { [weak self] request in
            guard let self else { return .problem("the server is stopping", status: 503, headers: [("Retry-After", "1")]) }
            let answer = answer(to: request)
            counters[answer.status]?.add()
            return Self.response(answer)
        }
        return routes
    }

    private func answer(to request: WebRequest) -> ConnectAnswer {
        let caller = authenticator.caller(authorization: request.headers["authorization"], userID: request.headers["x-user-id"])
        return ConnectAnswer(to: caller, by: directory.withLock { $0 })
    }

    private static func response(_ answer: ConnectAnswer) -> WebResponse {
        switch answer {
        case .go(let directions): .json(directions.json.description.utf8, headers: answer.headers)
        case .noUser(let why), .noToken(let why), .notNow(let why): .problem(why, status: answer.status, headers: answer.headers)
        }
    }
}
