import CCurl

/// The body of a client's thread: one multi handle for all requests.
final class HTTPLoop {
    private let desk: HTTPDesk
    private var transfers: [UInt64: HTTPTransfer] = [:]
    private var numbers: [UnsafeMutableRawPointer: UInt64] = [:]

    init(_ desk: HTTPDesk) { self.desk = desk }

    func run() {
        while true {
            let (orders, isClosed) = desk.take()
            for order in orders { obey(order) }
            if isClosed { break }
            var running: Int32 = 0
            curl_multi_perform(desk.multi, &running)
            finish()
            let wait = dropIdle()
            var events: Int32 = 0
            curl_multi_poll(desk.multi, nil, 0, Int32(wait), &events)
        }
        for transfer in transfers.values.sorted(by: { $0.exchange.number < $1.exchange.number }) {
            end(transfer, .failure(.closed(transfer.exchange.request.url)))
        }
        desk.end()
    }

    private func obey(_ order: HTTPDesk.Order) {
        switch order {
        case .start(let exchange): start(exchange)
        case .goOn(let number): if let transfer = transfers[number] { cell_curl_continue(transfer.easy) }
        case .cancel(let number): if let transfer = transfers[number] { end(transfer, .failure(.closed(transfer.exchange.request.url))) }
        }
    }

    private func start(_ exchange: HTTPExchange) {
        do {
            let transfer = try HTTPTransfer(exchange)
            transfers[exchange.number] = transfer
            numbers[transfer.easy] = exchange.number
            curl_multi_add_handle(desk.multi, transfer.easy)
        } catch {
            exchange.ended(.failure(error))
        }
    }

    private func finish() {
        var result = CURLE_OK
        while let easy = cell_curl_finished(desk.multi, &result) {
            guard let transfer = numbers[easy].flatMap({ transfers[$0] }) else { continue }
            end(transfer, result == CURLE_OK ? .success(()) : .failure(transfer.failure(result)))
        }
    }

    /// Lets the idle go; returns how many milliseconds later to look again.
    private func dropIdle() -> Int {
        let now = ContinuousClock.now
        var next = Duration.seconds(10)
        for transfer in Array(transfers.values) {
            guard let deadline = transfer.idleDeadline() else { continue }
            if deadline <= now { end(transfer, .failure(transfer.idleError)) } else { next = min(next, deadline - now) }
        }
        return next.milliseconds
    }

    private func end(_ transfer: HTTPTransfer, _ result: Result<Void, HTTPError>) {
        curl_multi_remove_handle(desk.multi, transfer.easy)
        numbers[transfer.easy] = nil
        transfers[transfer.exchange.number] = nil
        transfer.exchange.ended(result)
    }
}
