import Cell
import Streams

/// Puts the core on an event loop: streams' events go in, actions come out once a tick. Loop thread only.
final class MessagingService: GRPCService, @unchecked Sendable {
    // Why @unchecked: used on its loop's thread only; others reach it through `loop.execute`.
    let core: MessagingCore
    let log: LogLink
    private let loop: EventLoop
    private let configuration: MessagingConfiguration
    private let questions: Questions
    private var streams: [StreamID: ServerStream] = [:]
    private var lastStream: UInt64 = 0
    private var draining: Set<StreamID> = []
    private var drainTimer = false
    private var timer: (id: TimerID, due_ms: Int64)?

    /// What a stream carries.
    private final class Seat {
        let id: StreamID
        /// A frame that moves the cursor was not taken.
        var isBehind = false
        init(_ id: StreamID) { self.id = id }
    }

    static let path = "/cecochat.v1.Messaging/Converse"

    init(_ configuration: MessagingConfiguration, loop: EventLoop, questions: Questions) {
        self.configuration = configuration
        self.loop = loop
        self.questions = questions
        core = MessagingCore(configuration.identity, settings: configuration.settings, now: SystemClock.now)
        log = LogLink(configuration, core: core, loop: loop, questions: questions)
        loop.onTick { [unowned self] in perform() }
    }

    // MARK: streams

    func begin(_ stream: ServerStream) {
        guard stream.path == Self.path else { return stream.finish(GRPCStatus(.unimplemented, "\(stream.path) is not served here")) }
        switch configuration.authenticate({ stream.metadata($0) }) {
        case .refused(let status): stream.finish(status)
        case .user(let user, let until_ms):
            lastStream += 1
            let id = StreamID(number: lastStream)
            stream.context = Seat(id)
            streams[id] = stream
            core.began(id, user: user, until_ms: until_ms, at: SystemClock.now)
        }
    }

    func receive(_ message: UnsafeRawBufferPointer, on stream: ServerStream) {
        guard let seat = stream.context as? Seat else { return }
        do throws(ProtobufError) {
            core.received(try ClientFrame.decode(message), on: seat.id, at: SystemClock.now)
        } catch {
            core.receivedNonsense(error.description, on: seat.id, at: SystemClock.now)
        }
    }

    func halfClosed(_ stream: ServerStream) {
        if let seat = stream.context as? Seat { core.halfClosed(seat.id, at: SystemClock.now) }
    }

    func ended(_ stream: ServerStream, _ reason: EndReason) {
        guard let seat = stream.context as? Seat else { return }
        streams[seat.id] = nil
        core.ended(seat.id, at: SystemClock.now)
    }

    // MARK: actions

    /// Does what the core wants, until it wants nothing more, and sees to its next deadline.
    private func perform() {
        var actions = core.takeActions()
        while !actions.isEmpty {
            for action in actions { perform(action) }
            log.readings.flush()
            actions = core.takeActions()
        }
        setTimer()
    }

    private func perform(_ action: Action) {
        switch action {
        case .send(let id, let frame): send(frame, to: id)
        case .deliver(let id, let frame, let next): deliver(frame, to: id, next: next)
        case .awaitDrain(let id): awaitDrain(id)
        case .finish(let id, let end): streams[id]?.finish(end.status)
        case .produce(let partition, let record, let ticket): log.produce(record, to: partition, ticket: ticket)
        case .startReading(let partition, let reading, let start): log.readings.start(partition, reading: reading, from: start)
        case .stopReading(let partition): log.readings.stop(partition)
        case .pace(let partition, let pace): log.readings.pace(partition, pace)
        case .askEnd(let partition, let query): log.readings.askEnd(partition, query: query)
        case .readAssignment: questions.ask(.assignment)
        case .probe(let incarnation, let http): questions.ask(.health(incarnation, http: http))
        case .acknowledged(let after_ms): configuration.acknowledged(.milliseconds(after_ms))
        case .report: configuration.reportChanged()
        }
    }

    /// What answers have beyond the bound for what is delivered.
    private static let room_bytes = 64 << 10

    private func send(_ frame: [UInt8], to id: StreamID) {
        guard let stream = streams[id] else { return }
        guard stream.backlog + frame.count <= core.settings.limits.backlog + Self.room_bytes, stream.send(framed: frame) != .overflow else {
            return core.overflowed(id, at: SystemClock.now)
        }
    }

    private func deliver(_ frame: [UInt8], to id: StreamID, next: Int64) {
        guard let stream = streams[id], let seat = stream.context as? Seat, !seat.isBehind else { return }
        let fits = stream.backlog == 0 || stream.backlog + frame.count <= core.queueBound(total: loop.queuedBytes)
        guard fits, stream.send(framed: frame) != .overflow else {
            seat.isBehind = true
            return core.fellBehind(id, next: next, at: SystemClock.now)
        }
    }

    // MARK: clients that are being replayed to

    private static let drainCheck = Duration.milliseconds(5)

    private func awaitDrain(_ id: StreamID) {
        draining.insert(id)
        guard !drainTimer else { return }
        drainTimer = true
        _ = loop.schedule(after: Self.drainCheck) { [weak self] in self?.checkDrained() }
    }

    private func checkDrained() {
        drainTimer = false
        let waiting = draining
        draining = []
        for id in waiting.sorted() {
            guard let stream = streams[id], let seat = stream.context as? Seat else { continue }
            guard stream.backlog <= min(MessagingCore.slice_bytes, core.settings.limits.backlog) / 4 else {
                awaitDrain(id)
                continue
            }
            seat.isBehind = false
            core.drained(id, at: SystemClock.now)
        }
    }

    // MARK: time

    private func setTimer() {
        guard let due_ms = core.nextDue_ms else { return }
        if let timer, timer.due_ms <= due_ms { return }
        if let timer { loop.cancel(timer.id) }
        let wait_ms = max(0, due_ms - SystemClock.now.monotonic_ms)
        let id = loop.schedule(after: .milliseconds(wait_ms)) { [weak self] in
            guard let self else { return }
            timer = nil
            core.advance(to: SystemClock.now)
        }
        timer = (id, due_ms)
    }

    /// Streams that are not over, opened or not.
    var streamCount: Int { streams.count }

    /// Bytes that wait for clients.
    var queuedBytes: Int { streams.values.reduce(0) { $0 + $1.backlog } }
}

extension StreamEnd {
    var status: GRPCStatus {
        switch self {
        case .unavailable(let text): GRPCStatus(.unavailable, text)
        case .resourceExhausted(let text): GRPCStatus(.resourceExhausted, text)
        case .aborted(let text): GRPCStatus(.aborted, text)
        case .outOfRange(let text): GRPCStatus(.outOfRange, text)
        case .invalidArgument(let text): GRPCStatus(.invalidArgument, text)
        case .unauthenticated(let text): GRPCStatus(.unauthenticated, text)
        }
    }
}
