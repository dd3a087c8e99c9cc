import CLinux
import Glibc
import Synchronization
import Threads

/// One connection to one node: many requests at once, each on a stream id of its own.
///
/// `@unchecked Sendable`: its state is touched on the loop's thread only; what other threads use is `send` and `load`.
final class Connection: @unchecked Sendable, Loop.Watcher {
    struct Pending: Sendable {
        var request: EncodedRequest
        var complete: @Sendable (Result<Frame, CassandraError>) -> Void
    }
    private enum Phase {
        case idle
        case connecting(socket: Int32, others: [Dial.Address])
        case shaking(Handshake), open, closed
    }

    let endpoint: Endpoint
    private let loop: Loop
    private let configuration: CassandraConfiguration
    /// Requests on their way or waiting; for choosing the less busy of two.
    let load = Atomic<Int>(0)
    private let lastNumber = Atomic<UInt64>(0)
    /// The statements that this node knows, by their text.
    let prepared = PreparedCache()

    private var phase = Phase.idle
    private var wire: (any Wire)?
    private var socket: Int32 = -1
    private var token: UInt64 = 0
    private var watchesWrite = false
    private var reader: FrameReader
    private var streams: StreamTable<Pending>
    private var out: [UInt8] = []
    private var sent = 0
    private var flushing = false
    private var tick: UInt64 = 0
    private var ticksFast = false
    private var asksForLife = false
    private var opened: (() -> Void)?
    private var ended: ((CassandraError) -> Void)?

    init(_ endpoint: Endpoint, on loop: Loop, _ configuration: CassandraConfiguration) {
        self.endpoint = endpoint
        self.loop = loop
        self.configuration = configuration
        reader = FrameReader(limit: configuration.maxFrameBytes)
        streams = StreamTable(
            limits: .init(
                inFlight: configuration.maxInFlight, queued: configuration.maxQueued,
                orphanAge: configuration.orphanAge, silence: configuration.silence), now: .now)
    }

    // MARK: From any thread

    /// Sends `request` and returns the frame that answers it.
    /// Throws `timedOut` at `deadline`, `cancelled`, `busy` when too many wait, `connectionLost`.
    func send(_ request: EncodedRequest, until deadline: ContinuousClock.Instant, cancellable: Bool = true) async throws -> Frame {
        let number = lastNumber.add(1, ordering: .relaxed).newValue
        load.add(1, ordering: .relaxed)
        defer { load.subtract(1, ordering: .relaxed) }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Frame, any Error>) in
                let complete: @Sendable (Result<Frame, CassandraError>) -> Void = { result in
                    continuation.resume(with: result.mapError { $0 as any Error })
                }
                let posted = loop.post { self.submit(request, number, until: deadline, complete) }
                if !posted { continuation.resume(throwing: CassandraError(.closed, "the session is closed")) }
                // Who cancelled before this had nothing to abandon yet.
                if posted, cancellable, Task.isCancelled { loop.post { self.abandon(number) } }
            }
        } onCancel: {
            if cancellable { loop.post { self.abandon(number) } }
        }
    }

    // MARK: On the loop

    func connect(opened: @escaping () -> Void, ended: @escaping (CassandraError) -> Void) {
        self.opened = opened
        self.ended = ended
        loop.after(configuration.connectTimeout) { [weak self] in self?.connectTimedOut() }
        if let addresses = try? Dial.addresses(of: endpoint, numericOnly: true) {
            dial(addresses, problem: nil)
            return
        }
        lookUp()
    }

    /// Looking a name up blocks, so it has its own thread.
    private func lookUp() {
        let (endpoint, loop) = (endpoint, loop)
        do {
            try OwnThread.start("cql-resolve") {
                let result = Result { () throws(CassandraError) in try Dial.addresses(of: endpoint, numericOnly: false) }
                loop.post {
                    switch result {
                    case .success(let addresses): self.dial(addresses, problem: nil)
                    case .failure(let error): self.close(error)
                    }
                }
            }
        } catch {
            close(CassandraError(.noNode, node: endpoint.description, "\(error)"))
        }
    }

    private func connectTimedOut() {
        if case .open = phase { return }
        close(CassandraError(.noNode, node: endpoint.description, "no connection within \(configuration.connectTimeout)"))
    }

    private func dial(_ addresses: [Dial.Address], problem: CassandraError?) {
        if case .closed = phase { return }
        guard let first = addresses.first else {
            close(problem ?? CassandraError(.noNode, node: endpoint.description, "the name has no address"))
            return
        }
        do {
            socket = try Dial.socket(to: first, endpoint)
            phase = .connecting(socket: socket, others: Array(addresses.dropFirst()))
            token = loop.watch(socket, EPOLLOUT.rawValue, self)
        } catch {
            dial(Array(addresses.dropFirst()), problem: error)
        }
    }

    func ready(_ events: UInt32) {
        if case .connecting(let socket, let others) = phase {
            connected(socket, others)
            return
        }
        if events & EPOLLOUT.rawValue != 0 { flush() }
        if events & ~EPOLLOUT.rawValue != 0 { read() }
    }

    private func connected(_ socket: Int32, _ others: [Dial.Address]) {
        if let problem = Dial.problem(of: socket, endpoint) {
            loop.forget(socket, token)
            Glibc.close(socket)
            self.socket = -1
            dial(others, problem: problem)
            return
        }
        do {
            wire = try configuration.wire(socket, endpoint)
        } catch {
            Glibc.close(socket)
            close(CassandraError(.noNode, node: endpoint.description, "\(error)"))
            return
        }
        loop.change(socket, EPOLLIN.rawValue, token)
        let handshake = Handshake(credentials: configuration.credentials)
        phase = .shaking(handshake)
        say(handshake.opening)
        ticked(tick)
    }

    /// Sends a request of the handshake.
    private func say(_ request: EncodedRequest) {
        submit(request, 0, until: .now + configuration.connectTimeout) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let frame): self.shook(frame)
            case .failure(let error): if case .shaking = self.phase { self.close(error) }
            }
        }
    }

    private func shook(_ frame: Frame) {
        guard case .shaking(var handshake) = phase else { return }
        do {
            let action = handshake.received(try Response(frame))
            phase = .shaking(handshake)
            switch action {
            case .send(let request): say(request)
            case .fail(let error): close(error.at(endpoint))
            case .ready:
                phase = .open
                opened?()
                opened = nil
            }
        } catch {
            close(error.at(endpoint))
        }
    }

    func submit(
        _ request: EncodedRequest, _ number: UInt64, until deadline: ContinuousClock.Instant,
        _ complete: @escaping @Sendable (Result<Frame, CassandraError>) -> Void
    ) {
        switch phase {
        case .open, .shaking: break
        default:
            complete(.failure(CassandraError(.connectionLost, node: endpoint.description, "the connection has ended before the request was sent")))
            return
        }
        let pending = Pending(request: request, complete: complete)
        switch streams.admit(pending, number: number, deadline: deadline, now: .now) {
        case .send(let stream): append(request, stream)
        case .queued: break
        case .refused:
            complete(
                .failure(
                    CassandraError(
                        .busy, node: endpoint.description,
                        "\(configuration.maxInFlight) requests are on their way and \(configuration.maxQueued) wait")))
        }
        if !ticksFast { scheduleTick(fast: true) }
    }

    private func abandon(_ number: UInt64) {
        streams.abandon(number, now: .now)?.complete(
            .failure(CassandraError(.cancelled, node: endpoint.description, "the caller cancelled")))
    }

    private func append(_ request: EncodedRequest, _ stream: Int16) {
        out += Frame.request(request, stream: stream)
        guard !flushing else { return }
        flushing = true
        // What came in together goes out together, in one system call.
        loop.whenSettled { [weak self] in self?.flush() }
    }

    private func flush() {
        flushing = false
        guard let wire else { return }
        while sent < out.count {
            let result = out.withUnsafeBytes { wire.write(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
            guard case .bytes(let count) = result else {
                if case .failed(let why) = result { lost(why) }
                break
            }
            sent += count
        }
        if sent == out.count {
            out.removeAll(keepingCapacity: out.capacity <= 1 << 18)
            sent = 0
        }
        watchWrite()
    }

    private func watchWrite() {
        guard let wire, wire.wantsWrite != watchesWrite else { return }
        watchesWrite = wire.wantsWrite
        loop.change(socket, EPOLLIN.rawValue | (watchesWrite ? EPOLLOUT.rawValue : 0), token)
    }

    private func read() {
        while let wire {
            switch wire.read(into: loop.buffer) {
            case .bytes(let count):
                reader.append(UnsafeRawBufferPointer(rebasing: loop.buffer[..<count]))
                takeFrames()
                if count < loop.buffer.count { return watchWrite() }
            case .wait: return watchWrite()
            case .ended: return lost("the node closed the connection")
            case .failed(let why): return lost(why)
            }
        }
    }

    private func takeFrames() {
        do throws(CassandraError) {
            while let frame = try reader.next() {
                guard frame.stream >= 0 else { continue }
                switch streams.answer(frame.stream, now: .now) {
                case .deliver(let pending): pending.complete(.success(frame))
                case .late: break
                case .unknown:
                    throw CassandraError(.protocolViolation, "an answer on stream \(frame.stream), where nothing was asked")
                }
            }
        } catch {
            close(error.at(endpoint))
        }
        sendQueued()
    }

    private func sendQueued() {
        while let (stream, pending) = streams.next(now: .now) { append(pending.request, stream) }
    }

    private func lost(_ why: String) {
        close(CassandraError(.connectionLost, node: endpoint.description, why))
    }

    /// Also while answers are awaited: a statement may take longer than `silence` on a node that lives.
    private func askForLife() {
        asksForLife = true
        submit(Request.options, 0, until: .now + configuration.silence) { [weak self] _ in self?.asksForLife = false }
    }

    /// Ends the connection; everybody who waits gets `connectionLost`.
    func close(_ error: CassandraError) {
        if case .closed = phase { return }
        phase = .closed
        if token != 0, socket >= 0 { loop.forget(socket, token) }
        if let wire { wire.close() } else if socket >= 0 { Glibc.close(socket) }
        wire = nil
        socket = -1
        for pending in streams.removeAll() {
            pending.complete(.failure(CassandraError(.connectionLost, node: endpoint.description, error.what)))
        }
        opened = nil
        ended?(error)
        ended = nil
    }

    // MARK: Time

    private func scheduleTick(fast: Bool) {
        tick += 1
        ticksFast = fast
        let number = tick
        loop.after(fast ? .milliseconds(20) : min(configuration.heartbeat, .seconds(1))) { [weak self] in self?.ticked(number) }
    }

    private func ticked(_ number: UInt64) {
        guard number == tick, wire != nil else { return }
        let now = ContinuousClock.now
        for pending in streams.expire(now: now) {
            pending.complete(.failure(CassandraError(.timedOut, node: endpoint.description, "no answer in time")))
        }
        switch streams.verdict(now: now) {
        case .healthy: break
        case .tooManyOrphans(let count): return lost("\(count) answers are overdue")
        case .orphanTooOld: return lost("an answer is overdue for more than \(configuration.orphanAge)")
        case .silent: return lost("nothing was heard for \(configuration.silence)")
        }
        if case .open = phase, !asksForLife, streams.quiet(now: now) >= configuration.heartbeat { askForLife() }
        scheduleTick(fast: streams.taken > 0 || streams.queued > 0)
    }
}
