/// One request of a client: commands that are sent one behind the other, and their answers. Pure.
struct Exchange<Promise> {
    var commands: [RedisCommand]
    var deadline: ContinuousClock.Instant
    var promise: Promise
    var replies: [Result<RedisValue, RedisError>] = []

    var awaited: RedisCommand? { replies.count < commands.count ? commands[replies.count] : nil }
}

extension Exchange: Sendable where Promise: Sendable {}

/// What a client's thread has to do next.
enum LinkAction<Promise> {
    case connect
    case send([RedisCommand])
    /// Every answer is there.
    case finish(Exchange<Promise>)
    case fail(Exchange<Promise>, RedisError)
    case close
}

/// A client's link to Redis: what waits, what is under way, when to connect. Pure; time is an argument.
///
///                submit            connected
///        ┌─ down ──────▶ connecting ──────▶ up ── READONLY ──▶ draining
///        │   ▲               │ failed        │ failed, late       │ nothing is under way any more
///        │   └───────────────┴───────────────┴────────────────────┘
///        └─ submit again before `retryAfter`: fails at once with the last error
struct RedisLink<Promise> {
    enum Phase: Equatable {
        case down(RedisError)
        case connecting
        case up
        /// This Redis has become a replica: nothing new goes there, answers under way are still awaited.
        case draining(RedisError)
    }

    let options: RedisOptions
    let address: RedisAddress
    private(set) var phase: Phase
    private(set) var waiting: [Exchange<Promise>] = []
    private(set) var underWay = Line<Exchange<Promise>>()
    private var commands = 0
    private var lastAttempt: ContinuousClock.Instant?
    private var overdue = false

    init(_ address: RedisAddress, options: RedisOptions) {
        self.address = address
        self.options = options
        phase = .down(RedisError(.lost, "not connected yet", at: address))
    }

    typealias Actions = [LinkAction<Promise>]

    mutating func submit(_ exchange: Exchange<Promise>, now: ContinuousClock.Instant) -> Actions {
        guard commands + exchange.commands.count <= options.limit else {
            return [.fail(exchange, RedisError(.overloaded, "more than \(options.limit) commands wait for an answer", at: address))]
        }
        switch phase {
        case .up:
            underWay.append(exchange)
            commands += exchange.commands.count
            return [.send(exchange.commands)]
        case .connecting where overdue: return [.fail(exchange, lateConnecting)]
        case .connecting, .draining:
            wait(exchange)
            return []
        case .down(let error):
            guard mayConnect(now) else { return [.fail(exchange, error)] }
            wait(exchange)
            return connect(now)
        }
    }

    mutating func connected() -> Actions {
        phase = .up
        defer { waiting = [] }
        for exchange in waiting { underWay.append(exchange) }
        return waiting.map { .send($0.commands) }
    }

    /// Connecting failed, or the connection broke.
    mutating func failed(_ error: RedisError, now: ContinuousClock.Instant) -> Actions {
        var sent = error
        sent.mayHaveRun = true
        let lost = underWay
        underWay = Line()
        var actions: Actions = phase == .connecting ? [] : [.close]
        let wasConnecting = phase == .connecting
        phase = .down(error)
        actions += lost.map { .fail($0, sent) }
        if !wasConnecting, !waiting.isEmpty, mayConnect(now) {
            actions += connect(now)
        } else {
            actions += waiting.map { .fail($0, error) }
            waiting = []
        }
        recount()
        return actions
    }

    /// The next answer came; an error is an answer too.
    mutating func replied(_ value: RedisValue, now: ContinuousClock.Instant) -> Actions {
        guard !underWay.isEmpty else {
            let error = value.firstError ?? RedisError(.garbled, "an answer that nobody asked for", at: address)
            return failed(error, now: now)
        }
        if let error = value.firstError, error.code == .readOnly, phase == .up { phase = .draining(error) }
        if case .error(let error) = value {
            underWay.first?.replies.append(.failure(error))
        } else {
            underWay.first?.replies.append(.success(value))
        }
        var actions: Actions = []
        if underWay.first?.awaited == nil, let done = underWay.popFirst() {
            actions.append(.finish(done))
            commands -= done.commands.count
        }
        if case .draining(let error) = phase, underWay.isEmpty { actions += failed(error, now: now) }
        return actions
    }

    /// Lets go of what is too late.
    mutating func tick(_ now: ContinuousClock.Instant) -> Actions {
        if underWay.contains(where: { $0.deadline <= now }) {
            return failed(RedisError(.timeout, "no answer within \(options.commandTimeout)", at: address), now: now)
        }
        if phase == .connecting, let lastAttempt, now - lastAttempt >= options.connectTimeout { overdue = true }
        let late = waiting.filter { overdue || $0.deadline <= now }
        guard !late.isEmpty else { return [] }
        waiting.removeAll { overdue || $0.deadline <= now }
        recount()
        return late.map { .fail($0, lateConnecting) }
    }

    /// Ends everything, because the owner let go of the client.
    mutating func end() -> Actions {
        let error = RedisError(.closed, "the client was closed", at: address)
        defer { (underWay, waiting) = (Line(), []) }
        var sent = error
        sent.mayHaveRun = true
        return underWay.map { .fail($0, sent) } + waiting.map { .fail($0, error) }
    }

    /// When ``tick(_:)`` has something to do at the latest.
    var deadline: ContinuousClock.Instant? {
        let connecting = phase == .connecting && !overdue && !waiting.isEmpty ? lastAttempt.map { $0 + options.connectTimeout } : nil
        return [underWay.lazy.map(\.deadline).min(), waiting.lazy.map(\.deadline).min(), connecting].compactMap { $0 }.min()
    }

    /// Whether the next answer can come from a script.
    var awaitsScript: Bool { underWay.first?.awaited?.isScript ?? false }

    private var lateConnecting: RedisError {
        RedisError(.timeout, "no connection within \(options.connectTimeout)", at: address)
    }

    private func mayConnect(_ now: ContinuousClock.Instant) -> Bool {
        lastAttempt.map { now - $0 >= options.retryAfter } ?? true
    }

    private mutating func connect(_ now: ContinuousClock.Instant) -> Actions {
        phase = .connecting
        lastAttempt = now
        overdue = false
        return [.connect]
    }

    private mutating func wait(_ exchange: Exchange<Promise>) {
        waiting.append(exchange)
        commands += exchange.commands.count
    }

    private mutating func recount() {
        commands = underWay.reduce(0) { $0 + $1.commands.count } + waiting.reduce(0) { $0 + $1.commands.count }
    }
}
