import Synchronization

/// A cluster as its users see it: statements in, rows out. Connects by itself, in the background, for as long as it is open.
public final class CassandraSession: Sendable {
    private struct State {
        var up: [Connection] = []
        var problems: [CassandraError] = []
        var turn = 0
        var waiting: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        var lastWaiter: UInt64 = 0
        var closed = false
    }

    public let configuration: CassandraConfiguration
    private let loop: Loop
    private let cluster: Cluster
    private let state: Mutex<State>

    /// Throws when the system has no thread or descriptor to give; never for want of a node.
    public init(_ configuration: CassandraConfiguration) throws {
        self.configuration = configuration
        loop = try Loop(name: "cql")
        state = Mutex(State())
        let box = WeakBox()
        cluster = Cluster(loop, configuration) { up, problems in box.session?.changed(up, problems) }
        box.session = self
        loop.post { [cluster] in cluster.start() }
    }

    deinit { close() }

    /// Ends all connections; what is on its way fails with `connectionLost`, what comes after with `closed`.
    public func close() {
        let waiting = state.withLock { state in
            state.closed = true
            defer { state.waiting = [:] }
            return state.waiting.values
        }
        for continuation in waiting { continuation.resume(throwing: CassandraError(.closed, "the session is closed")) }
        loop.post { [loop, cluster] in
            cluster.close()
            loop.stop()
        }
    }

    /// The nodes that can be asked now.
    public var nodes: [String] { state.withLock { $0.up.map(\.endpoint.description) } }

    /// What keeps each of the other nodes away, by node.
    public var problems: [CassandraError] { state.withLock { $0.problems } }

    // MARK: Statements

    /// Runs `statement` and returns the page asked for.
    ///
    /// A node that does not know the statement (any more) prepares it once. An idempotent statement whose outcome is unknown is
    /// tried on another node, within `timeout` (the configuration's when nil).
    public func execute(
        _ statement: PreparedStatement, _ values: [CQLValue] = [], consistency: Consistency = .localQuorum,
        page: PageRequest = .whole, timeout: Duration? = nil
    ) async throws -> Rows {
        let options = StatementOptions(consistency: consistency, page: page)
        return try await run(idempotent: statement.idempotent, timeout) { connection, deadline in
            try await self.prepared(statement, on: connection, until: deadline) { id in
                Request.execute(id, values, options)
            } checking: {
                try Self.check(values, $0, statement)
            }
        }
    }

    /// Runs one statement that is not prepared: for schema and the like.
    public func execute(
        _ cql: String, _ values: [CQLValue] = [], consistency: Consistency = .localQuorum, page: PageRequest = .whole,
        idempotent: Bool = false, timeout: Duration? = nil
    ) async throws -> Rows {
        let request = Request.query(cql, values, StatementOptions(consistency: consistency, page: page))
        return try await run(idempotent: idempotent, timeout) { connection, deadline in
            try Self.rows(try await connection.send(request, until: deadline), connection)
        }
    }

    /// Runs `statement` once for each of `entries`, as one unlogged batch: worth it for rows of one partition.
    public func batch(
        _ statement: PreparedStatement, _ entries: [[CQLValue]], consistency: Consistency = .localQuorum, timeout: Duration? = nil
    ) async throws {
        guard !entries.isEmpty else { return }
        guard entries.count <= Int(UInt16.max) else {
            throw CassandraError(.wrongValue, "a batch of \(entries.count) statements; 65,535 is the limit")
        }
        _ = try await run(idempotent: statement.idempotent, timeout) { connection, deadline in
            try await self.prepared(statement, on: connection, until: deadline) { id in
                Request.batch(entries.map { (id, $0) }, consistency)
            } checking: {
                for values in entries { try Self.check(values, $0, statement) }
            }
        }
    }

    private func prepared(
        _ statement: PreparedStatement, on connection: Connection, until deadline: ContinuousClock.Instant,
        request: ([UInt8]) -> EncodedRequest, checking: (Response.Prepared) throws -> Void
    ) async throws -> Rows {
        let first = try await prepare(statement, on: connection)
        try checking(first)
        do {
            return try Self.rows(try await connection.send(request(first.id), until: deadline), connection)
        } catch let error as CassandraError where error.code == .unprepared {
            // The node forgot it. It may get another id now; that one is tried once.
            connection.prepared.forget(statement.cql, id: first.id)
            let second = try await prepare(statement, on: connection)
            try checking(second)
            return try Self.rows(try await connection.send(request(second.id), until: deadline), connection)
        }
    }

    private func prepare(_ statement: PreparedStatement, on connection: Connection) async throws -> Response.Prepared {
        try await connection.prepared.id(of: statement.cql) {
            // Others may wait for it too, so that it outlives the caller.
            let frame = try await connection.send(
                Request.prepare(statement.cql), until: .now + configuration.attemptTimeout, cancellable: false)
            switch try Self.response(frame, connection) {
            case .prepared(let prepared): return prepared
            default: throw CassandraError(.protocolViolation, node: connection.endpoint.description, "PREPARE was answered with something else")
            }
        }
    }

    private static func check(_ values: [CQLValue], _ prepared: Response.Prepared, _ statement: PreparedStatement) throws(CassandraError) {
        guard values.count == prepared.types.count else {
            throw CassandraError(.wrongValue, "\(values.count) values for \(prepared.types.count) place holders of “\(statement.cql)”")
        }
        for (index, (value, type)) in zip(values, prepared.types).enumerated() where !value.suits(type) {
            throw CassandraError(.wrongValue, "value \(index) is \(value), which is no \(type), in “\(statement.cql)”")
        }
    }

    private static func response(_ frame: Frame, _ connection: Connection) throws(CassandraError) -> Response {
        let response: Response
        do { response = try Response(frame) } catch { throw error.at(connection.endpoint) }
        if case .error(let error) = response { throw error.at(connection.endpoint) }
        return response
    }

    private static func rows(_ frame: Frame, _ connection: Connection) throws(CassandraError) -> Rows {
        switch try response(frame, connection) {
        case .rows(let rows): return rows
        case .void, .schemaChange, .keyspace: return .none
        default: throw CassandraError(.protocolViolation, node: connection.endpoint.description, "a statement was answered with something else")
        }
    }

    // MARK: Attempts

    private func run(
        idempotent: Bool, _ timeout: Duration?, _ attempt: (Connection, ContinuousClock.Instant) async throws -> Rows
    ) async throws -> Rows {
        let deadline = ContinuousClock.now + (timeout ?? configuration.timeout)
        var tried: [Endpoint] = []
        while true {
            let connection = try await connection(avoiding: tried, until: deadline)
            do {
                // What is not tried again elsewhere may use all the time there is: a change of the schema takes some.
                return try await attempt(connection, idempotent ? min(deadline, .now + configuration.attemptTimeout) : deadline)
            } catch let error as CassandraError {
                let again = RetryPolicy.again(after: error.code, attempts: tried.count + 1, idempotent: idempotent)
                guard again, ContinuousClock.now < deadline, !Task.isCancelled else { throw error }
                tried.append(connection.endpoint)
            }
        }
    }

    /// A node's connection: of the next two in turn the one with less to do; one that was tried only when there is no other.
    private func connection(avoiding tried: [Endpoint], until deadline: ContinuousClock.Instant) async throws -> Connection {
        while true {
            let (found, refusal) = state.withLock { state -> (Connection?, CassandraError?) in
                if state.closed { return (nil, CassandraError(.closed, "the session is closed")) }
                let fresh = state.up.filter { !tried.contains($0.endpoint) }
                let candidates = fresh.isEmpty ? state.up : fresh
                guard !candidates.isEmpty else { return (nil, Self.refusal(state)) }
                state.turn = (state.turn + 1) % 1_000_000
                let first = candidates[state.turn % candidates.count]
                let second = candidates[(state.turn + 1) % candidates.count]
                return (second.load.load(ordering: .relaxed) < first.load.load(ordering: .relaxed) ? second : first, nil)
            }
            if let found { return found }
            if let refusal { throw refusal }
            try await untilChanged(or: deadline)
        }
    }

    /// What is wrong for good, so that waiting is of no use.
    private static func refusal(_ state: State) -> CassandraError? {
        state.problems.first { $0.code == .badCredentials }
    }

    private func untilChanged(or deadline: ContinuousClock.Instant) async throws {
        let number = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let now = state.withLock { state -> Result<Void, any Error>? in
                    if state.closed { return .failure(CassandraError(.closed, "the session is closed")) }
                    if !state.up.isEmpty || Self.refusal(state) != nil { return .success(()) }
                    guard state.waiting.count < configuration.maxQueued else {
                        return .failure(CassandraError(.busy, "no node is up and \(configuration.maxQueued) statements wait for one"))
                    }
                    state.waiting[number] = continuation
                    return nil
                }
                if let now { continuation.resume(with: now) } else { giveUp(number, at: deadline) }
            }
        } onCancel: {
            release(number, CassandraError(.cancelled, "the caller cancelled"))
        }
        if Task.isCancelled { throw CassandraError(.cancelled, "the caller cancelled") }
    }

    private func giveUp(_ number: UInt64, at deadline: ContinuousClock.Instant) {
        loop.post { [weak self, loop] in
            loop.after(deadline - .now) { [weak self] in
                guard let self else { return }
                let problems = self.problems.map(\.what)
                let why = problems.isEmpty ? "none has answered yet" : problems.joined(separator: "; ")
                self.release(number, CassandraError(.noNode, "no node is up: \(why)"))
            }
        }
    }

    private func release(_ number: UInt64, _ error: CassandraError) {
        state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(throwing: error)
    }

    private func changed(_ up: [Connection], _ problems: [CassandraError]) {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, any Error>] in
            state.up = up
            state.problems = problems
            guard !up.isEmpty || Self.refusal(state) != nil else { return [] }
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.resume() }
    }
}

/// `@unchecked Sendable`: `session` is set once, before the loop gets its first work.
private final class WeakBox: @unchecked Sendable {
    weak var session: CassandraSession?
}
