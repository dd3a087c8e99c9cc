import CCurl
import Synchronization

/// What tasks leave for the client's thread.
final class HTTPDesk: Sendable {
    enum Order: Sendable {
        case start(HTTPExchange)
        case cancel(UInt64)
        case goOn(UInt64)
    }

    private struct State {
        var orders: [Order] = []
        var isClosed = false
        var hasEnded = false
    }

    // Safe because libcurl lets any thread wake a multi handle, and it is only cleaned up once `hasEnded` is set under the lock.
    nonisolated(unsafe) let multi: UnsafeMutableRawPointer
    private let state = Mutex(State())

    init() throws(HTTPError) {
        guard Self.library == CURLE_OK, let multi = curl_multi_init() else { throw HTTPError(.local, "libcurl does not start", url: "") }
        self.multi = multi
        _ = cell_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, Self.keptConnections)
    }

    /// That nothing goes over at the moment. Without a bound libcurl keeps as many as there ever were at a time, and their descriptors.
    private static let keptConnections = 64

    private static let library = cell_curl_begin()

    /// Starting fails at once when the client is closed.
    func put(_ order: Order) {
        let isTaken = state.withLock { state in
            guard !state.hasEnded, !state.isClosed else { return false }
            state.orders.append(order)
            curl_multi_wakeup(multi)
            return true
        }
        if !isTaken, case .start(let exchange) = order { exchange.ended(.failure(.closed(exchange.request.url))) }
    }

    func close() {
        state.withLock { state in
            state.isClosed = true
            if !state.hasEnded { curl_multi_wakeup(multi) }
        }
    }

    func take() -> (orders: [Order], isClosed: Bool) {
        state.withLock { state in
            defer { state.orders = [] }
            return (state.orders, state.isClosed)
        }
    }

    /// The thread is done; nobody wakes it any more.
    func end() {
        state.withLock { $0.hasEnded = true }
        curl_multi_cleanup(multi)
    }
}

extension HTTPError {
    static func closed(_ url: String) -> HTTPError { HTTPError(.closed, "the client was closed", url: url) }
}
