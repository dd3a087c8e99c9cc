/// Which of a connection's stream ids wait for an answer, and who waits. Values only; `now` is an argument.
///
///     free ──admit──▶ waiting ──answer──▶ free
///                        │ expire, abandon
///                        ▼
///                     orphan ──answer──▶ free        an id stays taken until its answer came
struct StreamTable<Waiter: Sendable>: Sendable {
    struct Limits: Sendable {
        /// Ids in use at once, at most 32,768.
        var inFlight: Int
        /// Requests that wait for an id; one more is refused.
        var queued: Int
        /// An id that was given up so long ago means that its answer never comes.
        var orphanAge: Duration
        /// Nothing heard for so long while something is awaited: the node is lost.
        var silence: Duration
    }

    enum Admission: Equatable { case send(Int16), queued, refused }
    enum Answer {
        case deliver(Waiter)
        /// Nobody waits any more.
        case late
        /// No request has this id: the peer does not speak the protocol.
        case unknown
    }
    enum Verdict: Equatable { case healthy, tooManyOrphans(Int), orphanTooOld, silent }

    private struct Request: Sendable {
        var waiter: Waiter
        var number: UInt64
        var deadline: ContinuousClock.Instant
    }
    private struct Slot: Sendable {
        /// nil: an orphan.
        var request: Request?
        var sent: ContinuousClock.Instant
    }

    private let limits: Limits
    private let capacity: Int
    private var slots: [Slot?] = []
    private var free: [Int16] = []
    private var queue: [Request] = []
    private var lastHeard: ContinuousClock.Instant
    private(set) var taken = 0
    private(set) var orphans = 0

    init(limits: Limits, now: ContinuousClock.Instant) {
        self.limits = limits
        capacity = min(max(limits.inFlight, 1), 32_768)
        lastHeard = now
    }

    var queued: Int { queue.count }

    /// A place for a request: an id, the queue, or none. `number` is the caller's, for `abandon`.
    mutating func admit(_ waiter: Waiter, number: UInt64, deadline: ContinuousClock.Instant, now: ContinuousClock.Instant) -> Admission {
        let request = Request(waiter: waiter, number: number, deadline: deadline)
        if queue.isEmpty, let stream = freeStream() {
            place(request, on: stream, now)
            return .send(stream)
        }
        guard queue.count < limits.queued else { return .refused }
        queue.append(request)
        return .queued
    }

    /// Whose answer this is; its id is free from now on.
    mutating func answer(_ stream: Int16, now: ContinuousClock.Instant) -> Answer {
        lastHeard = now
        guard stream >= 0, Int(stream) < slots.count, let slot = slots[Int(stream)] else { return .unknown }
        slots[Int(stream)] = nil
        free.append(stream)
        taken -= 1
        guard let request = slot.request else {
            orphans -= 1
            return .late
        }
        return .deliver(request.waiter)
    }

    /// What may be sent from the queue now; ask until nil.
    mutating func next(now: ContinuousClock.Instant) -> (stream: Int16, waiter: Waiter)? {
        guard !queue.isEmpty, let stream = freeStream() else { return nil }
        let request = queue.removeFirst()
        place(request, on: stream, now)
        return (stream, request.waiter)
    }

    /// Everybody whose deadline has passed. The ids of those that were sent stay taken.
    mutating func expire(now: ContinuousClock.Instant) -> [Waiter] { giveUp(now) { $0.deadline <= now } }

    /// The one whose request has `number`, if it still waits.
    mutating func abandon(_ number: UInt64, now: ContinuousClock.Instant) -> Waiter? {
        giveUp(now) { $0.number == number }.first
    }

    private mutating func giveUp(_ now: ContinuousClock.Instant, _ gone: (Request) -> Bool) -> [Waiter] {
        var waiters: [Waiter] = []
        for index in slots.indices {
            guard let request = slots[index]?.request, gone(request) else { continue }
            waiters.append(request.waiter)
            slots[index]?.request = nil
            orphans += 1
        }
        if queue.contains(where: gone) {
            waiters += queue.filter(gone).map(\.waiter)
            queue.removeAll(where: gone)
        }
        return waiters
    }

    /// Everybody who waits; for a connection that ended.
    mutating func removeAll() -> [Waiter] {
        defer {
            slots = []
            free = []
            queue = []
            taken = 0
            orphans = 0
        }
        return slots.compactMap { $0?.request?.waiter } + queue.map(\.waiter)
    }

    /// Whether the connection is still worth having.
    func verdict(now: ContinuousClock.Instant) -> Verdict {
        guard taken > 0 else { return .healthy }
        if orphans > capacity / 2 { return .tooManyOrphans(orphans) }
        var oldest = now
        for slot in slots {
            guard let slot else { continue }
            if slot.request == nil, now - slot.sent > limits.orphanAge { return .orphanTooOld }
            oldest = min(oldest, slot.sent)
        }
        return now - max(lastHeard, oldest) > limits.silence ? .silent : .healthy
    }

    /// How long ago the peer was last heard.
    func quiet(now: ContinuousClock.Instant) -> Duration { now - lastHeard }

    private mutating func freeStream() -> Int16? {
        if let stream = free.popLast() { return stream }
        guard slots.count < capacity else { return nil }
        slots.append(nil)
        return Int16(slots.count - 1)
    }

    private mutating func place(_ request: Request, on stream: Int16, _ now: ContinuousClock.Instant) {
        slots[Int(stream)] = Slot(request: request, sent: now)
        taken += 1
    }
}
