import Cell

/// The client's part of `contract/chat.proto`: which stream to open, what to send on it, what to believe. Pure: the time is an argument
/// (monotonic, since whenever), chance is a seeded generator, and what is to be done comes back as actions.
///
///     asking ──address──▶ opening ──Opened──▶ open ──Moved──▶ open and opening ──Opened──▶ open
///       ▲                    │ lost              │ lost
///       └──── wait ──────────┴──── fallback ◀────┘
public struct DeviceMachine: Sendable {
    public private(set) var state: DeviceState
    /// The stream that serves the device, if one does.
    public private(set) var current: OpenStream?
    /// The stream that is to become it.
    private var pending: PendingStream?
    private var asking = false
    private var ended = false
    private var attempt: UInt32 = 0
    private var streams = 0
    private var backoff = Backoff()
    private var generator: SplitMix64
    private var actions: [DeviceAction] = []

    public struct OpenStream: Equatable, Sendable {
        public let key: StreamKey
        public let address: String
        var opened: Opened
        var openedAt: Duration
        var heardAt: Duration
        var fallback: String
        var round: UInt32 = 0
        /// A round was refused; the next one begins at this time.
        var waitsUntil: Duration?
        /// When each id was last sent in this stream's round.
        var sentAt: [MessageID: Duration] = [:]
        /// Unix milliseconds of the server minus our time.
        var clock_ms: Int64
    }

    struct PendingStream: Equatable, Sendable {
        let key: StreamKey
        let address: String
        let open: Open
        /// No first frame until then: the server is lost.
        let deadline: Duration
    }

    public init(_ state: DeviceState, seed: UInt64) {
        self.state = state
        generator = SplitMix64(seed)
    }

    // MARK: What happens

    public mutating func start(at now: Duration) -> [DeviceAction] {
        ask(at: now)
        return take()
    }

    /// The connect server's answer.
    public mutating func connected(to address: String, epoch: Int64, at now: Duration) -> [DeviceAction] {
        guard asking, !ended else { return take() }
        asking = false
        state.epoch = max(state.epoch, epoch)
        open(address, at: now, after: .zero)
        return take()
    }

    /// The connect server has no answer yet.
    public mutating func connectFailed(at now: Duration) -> [DeviceAction] {
        guard asking, !ended else { return take() }
        asking = false
        ask(at: now)
        return take()
    }

    /// A message to send; it waits while nothing is open.
    public mutating func submit(_ token: Int, to receiver: UserID, body: [UInt8], at now: Duration) -> [DeviceAction] {
        guard !ended else { return take() }
        state.unacknowledged.append(Outgoing(token: token, receiver: receiver, body: body))
        sendWhatMay(at: now)
        return take()
    }

    public mutating func received(_ frame: ServerFrame, on key: StreamKey, at now: Duration) -> [DeviceAction] {
        if let pending, pending.key == key {
            answered(pending, frame, at: now)
        } else if current?.key == key {
            current?.heardAt = now
            heard(frame, at: now)
        }
        return take()
    }

    /// A stream is over: gRPC's status code, 14 for a lost connection.
    public mutating func lost(_ key: StreamKey, code: Int, detail: String, at now: Duration) -> [DeviceAction] {
        if pending?.key == key {
            pendingLost(code: code, detail: detail, at: now)
        } else if current?.key == key {
            currentLost(code: code, detail: detail, at: now)
        }
        return take()
    }

    /// Time passes: to be called some ten times a second.
    public mutating func tick(at now: Duration) -> [DeviceAction] {
        if let pending, now >= pending.deadline {
            actions.append(.drop(pending.key))
            pendingLost(code: 14, detail: "no answer to Open", at: now)
        }
        if let stream = current {
            let silence = Duration.milliseconds(3 * Int64(max(stream.opened.alive_ms, 1_000)))
            let unanswered = stream.waitsUntil == nil && stream.sentAt.values.contains { now - $0 >= .seconds(10) }
            if now - stream.heardAt >= silence || unanswered {
                actions.append(.drop(stream.key))
                currentLost(code: 14, detail: unanswered ? "an id was not answered for 10 s" : "silence", at: now)
            }
        }
        if let until = current?.waitsUntil, now >= until { beginRound(at: now) }
        return take()
    }

    /// Records of a gap were read from the history, which is complete through `through`.
    public mutating func filled(_ gap: HistoryGap, through: Int64) {
        guard let index = state.gaps.firstIndex(of: gap) else { return }
        if through >= gap.to { state.gaps.remove(at: index) } else { state.gaps[index].from = max(gap.from, through) }
    }

    private mutating func take() -> [DeviceAction] {
        defer { actions = [] }
        return actions
    }
}

// MARK: - Opening

extension DeviceMachine {
    private mutating func ask(at now: Duration) {
        guard !asking else { return }
        asking = true
        actions.append(.askConnect(after: backoff.next(using: &generator)))
    }

    private mutating func open(_ address: String, at now: Duration, after wait: Duration) {
        streams += 1
        attempt += 1
        var open = Open()
        open.device = state.device
        open.log = state.cursor == nil ? "" : state.log?.description ?? ""
        open.cursor = state.cursor
        open.session = state.session
        open.attempt = attempt
        open.epoch = state.epoch
        let stream = PendingStream(key: StreamKey(number: streams), address: address, open: open, deadline: now + wait + .seconds(15))
        pending = stream
        actions.append(.open(stream.key, at: address, open, after: wait))
    }

    private mutating func answered(_ stream: PendingStream, _ frame: ServerFrame, at now: Duration) {
        switch frame {
        case .moved(let moved):
            state.epoch = max(state.epoch, moved.epoch)
            pending = nil
            actions.append(.drop(stream.key))
            open(moved.messaging, at: now, after: backoff.next(using: &generator))
        case .opened(let opened): begin(stream, opened, at: now)
        default:
            actions.append(.drop(stream.key))
            pendingLost(code: 13, detail: "the first answer was neither Opened nor Moved", at: now)
        }
    }

    private mutating func begin(_ stream: PendingStream, _ opened: Opened, at now: Duration) {
        if let old = current { actions.append(.drop(old.key)) }
        pending = nil
        state.epoch = max(state.epoch, opened.epoch)
        let log = LogID(opened.log)
        if let old = state.log, let cursor = state.cursor, old != log { note(HistoryGap(log: old, from: cursor + 1, to: .max)) }
        if state.cursor == nil || state.log != log { state.cursor = opened.next - 1 }
        state.log = log
        current = OpenStream(
            key: stream.key, address: stream.address, opened: opened, openedAt: now, heardAt: now, fallback: opened.fallback,
            clock_ms: opened.time_ms - now.milliseconds)
        actions.append(.opened(stream.key, at: stream.address))
        sendWhatMay(at: now)
    }

    private mutating func pendingLost(code: Int, detail: String, at now: Duration) {
        pending = nil
        if endsForGood(code, detail) { return }
        if code == 11 { dropCursor() }
        ask(at: now)
    }

    private mutating func currentLost(code: Int, detail: String, at now: Duration) {
        guard let stream = current else { return }
        current = nil
        if now - stream.openedAt >= .seconds(5) { backoff.reset() }
        if endsForGood(code, detail) { return }
        if code == 11 { dropCursor() }
        guard pending == nil, !asking else { return }
        if code == 8 {
            open(stream.address, at: now, after: backoff.next(using: &generator))
        } else if !stream.fallback.isEmpty {
            open(stream.fallback, at: now, after: backoff.next(using: &generator))
        } else {
            ask(at: now)
        }
    }

    /// OUT_OF_RANGE: the cursor is above the log's end.
    private mutating func dropCursor() {
        state.log = nil
        state.cursor = -1
    }

    /// ABORTED and INVALID_ARGUMENT: do not return. UNAUTHENTICATED needs another token, which this client has not.
    private mutating func endsForGood(_ code: Int, _ detail: String) -> Bool {
        guard [3, 10, 16].contains(code) else { return false }
        ended = true
        if let stream = current { actions.append(.drop(stream.key)) }
        if let pending { actions.append(.drop(pending.key)) }
        current = nil
        pending = nil
        actions.append(.ended(code: code, detail: detail))
        return true
    }
}

// MARK: - On an open stream

extension DeviceMachine {
    private mutating func heard(_ frame: ServerFrame, at now: Duration) {
        switch frame {
        case .opened: break
        case .message(let message):
            guard message.offset > state.cursor ?? -1 else { return }
            state.cursor = message.offset
            actions.append(.deliver(message))
        case .ack(let ack):
            guard let id = MessageID(bytes: ack.id) else { return }
            forget(id) { .acknowledged(token: $0.token, id: id) }
            sendWhatMay(at: now)
        case .refused(let refused): heard(refused, at: now)
        case .gap(let gap):
            guard let log = state.log, gap.to - 1 > state.cursor ?? -1 else { return }
            note(HistoryGap(log: log, from: max(gap.from, (state.cursor ?? -1) + 1), to: gap.to))
            state.cursor = gap.to - 1
        case .alive(let alive):
            state.cursor = max(state.cursor ?? -1, alive.next - 1)
            current?.fallback = alive.fallback
        case .moved(let moved):
            state.epoch = max(state.epoch, moved.epoch)
            guard pending == nil else { return }
            actions.append(.moved(to: moved.messaging))
            open(moved.messaging, at: now, after: .zero)
        }
    }

    private mutating func heard(_ refused: Refused, at now: Duration) {
        if refused.reason.endsRound {
            guard let round = current?.round, refused.round == round else { return }
            let until = now + .milliseconds(Int64(min(max(refused.retryAfter_ms, 0), 5_000)))
            let before = current?.waitsUntil ?? .zero
            current?.waitsUntil = max(until, before)
        } else if let id = MessageID(bytes: refused.id) {
            forget(id) { .refused(token: $0.token, id: id, refused) }
            sendWhatMay(at: now)
        }
    }

    private mutating func forget(_ id: MessageID, _ action: (Outgoing) -> DeviceAction) {
        current?.sentAt[id] = nil
        guard let index = state.unacknowledged.firstIndex(where: { $0.id == id }) else { return }
        actions.append(action(state.unacknowledged.remove(at: index)))
    }

    private mutating func note(_ gap: HistoryGap) {
        guard gap.from < gap.to else { return }
        state.gaps.append(gap)
        actions.append(.gap(gap))
    }

    private mutating func beginRound(at now: Duration) {
        current?.round += 1
        current?.waitsUntil = nil
        current?.sentAt = [:]
        sendWhatMay(at: now)
    }

    /// Sends in order what this round has not sent yet, as far as the server's limit allows.
    private mutating func sendWhatMay(at now: Duration) {
        guard var stream = current, stream.waitsUntil == nil else { return }
        let limit = stream.opened.maxUnacknowledged > 0 ? Int(stream.opened.maxUnacknowledged) : .max
        for index in state.unacknowledged.indices {
            guard stream.sentAt.count < limit else { break }
            let id = state.unacknowledged[index].id ?? MessageID(time_ms: stream.clock_ms + now.milliseconds, using: &generator)
            guard stream.sentAt[id] == nil else { continue }
            state.unacknowledged[index].id = id
            stream.sentAt[id] = now
            var send = Send()
            send.id = id.bytes
            send.receiver = state.unacknowledged[index].receiver.value
            send.body = state.unacknowledged[index].body
            send.round = stream.round
            actions.append(.send(stream.key, send))
        }
        current = stream
    }
}
