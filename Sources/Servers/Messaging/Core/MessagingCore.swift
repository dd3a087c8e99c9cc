import Cell

/// Everything a messaging server decides: values in, actions out. It knows no clock, no socket and no Kafka.
///
/// Belongs to one thread. Every event is a method that takes the time; `takeActions` gives what is to be done about it, in order.
final class MessagingCore {
    let identity: MessagingIdentity
    var settings: Settings
    var assignment = Assignment()
    var log: LogID?
    var now = Now(monotonic_ms: 0, wall_ms: 0)
    var counters = MessagingCounters()

    /// Every stream that is not over.
    var conversations: [StreamID: Conversation] = [:]
    var openedCount = 0
    /// Streams whose Open is not answered yet.
    var held: [Partition: HeldOpens] = [:]
    var heldCount = 0
    var admission = Admission()
    private var isAdmitting = false

    var partitions: [Partition: PartitionLog] = [:]
    var readings: UInt64 = 0
    var queries: UInt64 = 0
    var windowBytes = 0
    /// The highest offset of each partition that this server has read or was told of; -1: none.
    var seen: [Int64]

    var flights: [UserID: [MessageID: Flight]] = [:]
    var tickets: [Ticket: Flight] = [:]
    var lastTicket: Ticket = 0
    var flightBytes = 0
    var canProduce = false
    var userRates: [UserID: TokenBucket] = [:]
    var partitionRates: [Partition: TokenBucket] = [:]

    var owners: [Partition: Owner] = [:]
    var fallback = Fallback()
    /// Streams that are to hear of the present fallback, in slices.
    var uninformed: ArraySlice<StreamID> = []
    var probes: [Incarnation: Probe] = [:]
    var readingAssignment = false
    var moving: [Moving] = []
    var movedAllowance: Double = 0
    var movedAt_ms: Int64 = 0
    var leavings: UInt64 = 0
    var isStopping = false

    var deadlines = Deadlines<Alarm>()
    private var actions: [Action] = []

    /// What a deadline is about.
    enum Alarm: Equatable {
        case hold(StreamID)
        case token(StreamID)
        case admit
        case replay(StreamID)
        case alive(StreamID)
        case behind(StreamID)
        case flight(UserID, MessageID)
        case silence(Partition, reading: UInt64)
        case askAgain(Partition, reading: UInt64)
        case probe(Incarnation)
        case move
        case fallback
        case grace(Partition, attempt: UInt64)
        case sweep
    }

    init(_ identity: MessagingIdentity, settings: Settings, now: Now) {
        self.identity = identity
        self.settings = settings
        self.now = now
        seen = Array(repeating: -1, count: identity.partitions)
        deadlines.add(.sweep, at: now.monotonic_ms + Self.sweep_ms)
    }

    // Bounds that no setting names.
    static let hold_ms: Int64 = 10_000
    static let unknownOutcome_ms: Int64 = 5_000
    static let silence_ms: Int64 = 10_000
    static let tokenLook_ms: Int64 = 30_000
    static let behind_ms: Int64 = 5_000
    static let sweep_ms: Int64 = 5_000
    static let askAgain_ms: Int64 = 100
    static let probeIsFresh_ms: Int64 = 250
    static let probeAgain_ms: Int64 = 100
    static let moveSlice_ms: Int64 = 20
    static let fallbackSlice = 100
    static let fallbackSettles_ms: Int64 = 200
    static let slice_bytes = 64 << 10
    /// What may wait for all clients together before each may have only little waiting.
    static let queues_bytes = 256 << 20
    static let shortQueue_bytes = 16 << 10
    /// Below what the producer's own queue takes, so that a copy always finds room.
    static let flightsAtOnce = 50_000
    static let flightBytesAtOnce = 64 << 20

    // MARK: actions

    func act(_ action: Action) { actions.append(action) }

    /// What is to be done, once.
    func takeActions() -> [Action] {
        defer { actions.removeAll(keepingCapacity: actions.count < 1_024) }
        return actions
    }

    func say(_ frame: ServerFrame, to conversation: Conversation) {
        act(.send(conversation.id, frame: grpcFramed(frame.encode())))
    }

    /// Ends a stream, and forgets it at once; its Sends in flight go on.
    func finish(_ conversation: Conversation, _ end: StreamEnd) {
        guard conversation.stage != .over else { return }
        counters.ends[end.name, default: 0] += 1
        act(.finish(conversation.id, end))
        forget(conversation)
    }

    func forget(_ conversation: Conversation) {
        conversations[conversation.id] = nil
        if conversation.isOpened {
            openedCount -= 1
            partitions[conversation.partition]?.remove(conversation)
            if partitions[conversation.partition].map({ $0.role == .leaves && $0.listeners.isEmpty }) == true { act(.report) }
        } else if conversation.stage == .held {
            release(conversation)
        }
        admission.replayEnds(conversation.id)
        conversation.stage = .over
        conversation.open = nil
        retireIfUnused(conversation.partition)
    }

    func release(_ conversation: Conversation) {
        heldCount -= 1
        held[conversation.partition]?.remove(conversation)
        if held[conversation.partition]?.isEmpty == true { held[conversation.partition] = nil }
    }

    // MARK: admission

    /// Puts an Open that could be answered in line.
    func line(up conversation: Conversation) {
        conversation.isInLine = true
        admission.wait(conversation.id, conversation.admission)
        if !isAdmitting { alarm(.admit, after: Admission.slice_ms) }
        isAdmitting = true
    }

    /// The next slice of those who wait.
    private func admit() {
        isAdmitting = false
        while let id = admission.next(at: now.monotonic_ms) {
            guard let conversation = conversations[id], conversation.isInLine else { continue }
            conversation.isInLine = false
            consider(conversation)
        }
        guard admission.waiting > 0, !isAdmitting else { return }
        isAdmitting = true
        alarm(.admit, after: Admission.slice_ms)
    }

    // MARK: settings and time

    func configured(_ new: Settings, at now: Now) {
        self.now = now
        settings = new
        trimWindows()
    }

    /// Does what is due. `nextDue_ms` says when to come again.
    func advance(to now: Now) {
        self.now = now
        while let alarm = deadlines.popDue(now.monotonic_ms) { ring(alarm) }
    }

    var nextDue_ms: Int64? { deadlines.next_ms }

    func alarm(_ alarm: Alarm, after delay_ms: Int64) { deadlines.add(alarm, at: now.monotonic_ms + delay_ms) }

    private func ring(_ alarm: Alarm) {
        switch alarm {
        case .hold(let id): holdEnds(id)
        case .token(let id): tokenMayEnd(id)
        case .admit: admit()
        case .replay(let id): replayIsLate(id)
        case .alive(let id): aliveIsDue(id)
        case .behind(let id): isStillBehind(id)
        case .flight(let sender, let id): flightIsLate(sender, id)
        case .silence(let partition, let reading): silenceIsDue(partition, reading)
        case .askAgain(let partition, let reading):
            if let log = partitions[partition], log.reading == reading, log.askAgain { askEnd(log) }
        case .probe(let incarnation): probeAgain(incarnation)
        case .move: moveSlice()
        case .fallback: fallbackSlice()
        case .grace(let partition, let attempt): graceEnds(partition, attempt)
        case .sweep: sweep()
        }
    }

    private func sweep() {
        trimWindows()
        userRates = userRates.filter { rate in
            var bucket = rate.value
            return !bucket.isFull(rate: settings.limits.userRate, now_ms: now.monotonic_ms)
        }
        alarm(.sweep, after: Self.sweep_ms)
    }
}
