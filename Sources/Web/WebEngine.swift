import CMicrohttpd
import Glibc
import Synchronization

/// What libmicrohttpd calls back: it finds the request's exchange, and who answers.
final class WebEngine: Sendable {
    private struct State {
        var exchanges: [ObjectIdentifier: WebExchange] = [:]
        var isStopping = false
        var lastWords = ""
    }

    private let routes: WebRoutes
    private let bodyLimit: Int
    private let state = Mutex(State())

    init(routes: WebRoutes, bodyLimit: Int) {
        self.routes = routes
        self.bodyLimit = bodyLimit
    }

    /// What libmicrohttpd logged last.
    var lastWords: String { state.withLock { $0.lastWords } }
    /// Whether a request is under way.
    var isBusy: Bool { state.withLock { !$0.exchanges.isEmpty } }

    /// Ends the streams of events, which would otherwise never end.
    func feedsEnd() {
        for exchange in state.withLock({ Array($0.exchanges.values) }) { exchange.endEvents() }
    }

    /// Wakes every connection that sleeps, because libmicrohttpd cannot stop otherwise; no other will sleep any more.
    func letGo() {
        let exchanges = state.withLock { state in
            state.isStopping = true
            return Array(state.exchanges.values)
        }
        for exchange in exchanges { exchange.letGo() }
    }

    private func begin(_ exchange: WebExchange) {
        state.withLock { $0.exchanges[ObjectIdentifier(exchange)] = exchange }
    }

    fileprivate func end(_ exchange: WebExchange) {
        state.withLock { _ = $0.exchanges.removeValue(forKey: ObjectIdentifier(exchange)) }
    }

    static let handle: MHD_AccessHandlerCallback = { context, connection, url, method, _, data, size, slot in
        guard let context, let connection, let url, let method, let size, let slot else { return .NO }
        let engine = Unmanaged<WebEngine>.fromOpaque(context).takeUnretainedValue()
        guard let known = slot.pointee else {
            let exchange = WebExchange(engine: engine)
            slot.pointee = Unmanaged.passRetained(exchange).toOpaque()
            engine.begin(exchange)
            return engine.announced(exchange, connection)
        }
        let exchange = Unmanaged<WebExchange>.fromOpaque(known).takeUnretainedValue()
        if let answer = exchange.takeAnswer() { return WebReply.queue(answer, of: exchange, on: connection) }
        if size.pointee > 0 {
            defer { size.pointee = 0 }
            return exchange.take(UnsafeRawBufferPointer(start: data, count: size.pointee), limit: engine.bodyLimit) ? .YES : .NO
        }
        return engine.answer(exchange, connection, method: String(cString: method), path: String(cString: url))
    }

    /// The request is over, however it ended.
    static func completed(_ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?) {
        guard let slot, let known = slot.pointee else { return }
        slot.pointee = nil
        let exchange = Unmanaged<WebExchange>.fromOpaque(known).takeRetainedValue()
        exchange.end()
        exchange.engine.end(exchange)
    }

    static func log(_ context: UnsafeMutableRawPointer?, _ format: UnsafePointer<CChar>?, _ arguments: CVaListPointer?) {
        guard let context, let format, let arguments else { return }
        let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
            vsnprintf(buffer.baseAddress, buffer.count, format, arguments)
            return buffer.baseAddress.map { String(cString: $0) } ?? ""
        }
        let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        Unmanaged<WebEngine>.fromOpaque(context).takeUnretainedValue().state.withLock { $0.lastWords = line }
    }

    /// The headers are there; the body is not.
    private func announced(_ exchange: WebExchange, _ connection: OpaquePointer) -> MHD_Result {
        let announced = WebReply.header("Content-Length", of: connection).flatMap { Int($0) } ?? 0
        return announced <= bodyLimit ? .YES : WebReply.queue(tooLarge, of: exchange, on: connection)
    }

    private func answer(_ exchange: WebExchange, _ connection: OpaquePointer, method: String, path: String) -> MHD_Result {
        guard let body = exchange.body else { return WebReply.queue(tooLarge, of: exchange, on: connection) }
        let request = WebReply.request(method: method == "HEAD" ? "GET" : method, path: path, body: body, of: connection)
        switch routes.answer(method: request.method, path: request.path) {
        case .now(let handler): return WebReply.queue(handler(request), of: exchange, on: connection)
        case .later(let handler):
            if state.withLock({ $0.isStopping }) { return WebReply.queue(.stopping, of: exchange, on: connection) }
            exchange.wait(on: connection) { await handler(request) }
            // The server may have begun to stop in between, and not have seen this one asleep.
            if state.withLock({ $0.isStopping }) { exchange.letGo() }
            return .YES
        }
    }

    private var tooLarge: WebResponse { .text("The body is larger than \(bodyLimit) bytes.\n", status: 413) }
}

extension WebResponse {
    static let stopping = WebResponse.text("The server stops.\n", status: 503)
}
