import Cell

/// From the first frame to Opened, or to whatever else is the answer.
extension MessagingCore {
    /// - Parameter until_ms: when the client's token ends, Unix milliseconds; nil: never.
    func began(_ id: StreamID, user: UserID, until_ms: Int64? = nil, at now: Now) {
        self.now = now
        let conversation = Conversation(id: id, user: user, partition: user.partition(of: identity.partitions), until_ms: until_ms)
        conversations[id] = conversation
        guard !isStopping else { return finish(conversation, .unavailable("this server is stopping")) }
        tokenMayEnd(id)
        guard conversation.stage != .over else { return }
        wait(conversation)
    }

    /// The client or its connection is gone, or the shell had to end it.
    func ended(_ id: StreamID, at now: Now) {
        self.now = now
        if let conversation = conversations[id] { forget(conversation) }
    }

    /// The client says nothing more. It may go on listening.
    func halfClosed(_ id: StreamID, at now: Now) {
        self.now = now
        guard let conversation = conversations[id], conversation.stage == .fresh else { return }
        finish(conversation, .invalidArgument("the stream was closed before Open"))
    }

    func received(_ frame: ClientFrame?, on id: StreamID, at now: Now) {
        self.now = now
        guard let conversation = conversations[id] else { return }
        switch (frame, conversation.stage) {
        case (.open(let open), .fresh): opened(conversation, open)
        case (.open, _): finish(conversation, .invalidArgument("a second Open on one stream"))
        case (.send(let send), .replaying), (.send(let send), .live): received(send, from: conversation)
        case (.send, _): finish(conversation, .invalidArgument("a Send before Opened"))
        // A frame of a later version of the contract.
        case (nil, _): break
        }
    }

    /// What came is no ClientFrame.
    func receivedNonsense(_ why: String, on id: StreamID, at now: Now) {
        self.now = now
        if let conversation = conversations[id] { finish(conversation, .invalidArgument("a message is no ClientFrame: \(why)")) }
    }

    private func opened(_ conversation: Conversation, _ open: Open) {
        counters.opens += 1
        if let problem = Self.problem(of: open) { return finish(conversation, .invalidArgument(problem)) }
        guard heldCount < limit else { return finish(conversation, .unavailable("this server holds \(heldCount) streams already")) }
        conversation.device = open.device
        conversation.session = open.session
        conversation.attempt = open.attempt
        conversation.open = open
        conversation.stage = .held
        held[conversation.partition, default: HeldOpens()].add(conversation)
        heldCount += 1
        consider(conversation)
    }

    private static func problem(of open: Open) -> String? {
        guard (1...64).contains(open.device.utf8.count) else { return "Open.device has \(open.device.utf8.count) bytes; 1 to 64 are allowed" }
        guard (1...64).contains(open.session.utf8.count) else { return "Open.session has \(open.session.utf8.count) bytes; 1 to 64 are allowed" }
        if let cursor = open.cursor, cursor < -1 { return "Open.cursor is \(cursor); it is at least -1" }
        guard open.log.isEmpty || LogID(open.log) != nil else { return "Open.log is no UUIDv7" }
        return nil
    }

    /// Streams at once, as spec and descriptors allow.
    var limit: Int { min(settings.maxConnections, identity.descriptorLimit) }

    /// One who resumes has nowhere else to go: after a loss the survivors take more than they invite.
    var resumeLimit: Int { min(settings.maxConnections + settings.maxConnections / 16, identity.descriptorLimit) }

    // MARK: the answer to an Open

    /// Looks again at everything that is held for a partition. The newest first: of one device it is the one that stays.
    func consider(_ partition: Partition) {
        for conversation in (held[partition]?.all ?? []).reversed() where !conversation.isInLine { consider(conversation) }
    }

    /// Answers a held Open if there is an answer by now.
    func consider(_ conversation: Conversation) {
        guard conversation.stage == .held, let open = conversation.open else { return }
        if isOvertaken(conversation) { return }
        if mustReadAssignment(for: open), !conversation.assignmentWasRead { return readAssignment() }
        guard let log else { return }
        if let theirs = LogID(open.log), theirs > log {
            return finish(conversation, .unavailable("this server knows an older log than \(theirs) only"))
        }
        guard let partition = partitions[conversation.partition], partition.role == .owns else { return sendAway(conversation) }
        guard partition.isWarm, let position = partition.position else { return }
        guard let next = place(of: conversation, open, log, position, partition) else { return }
        guard admission.admits(conversation.admission, at: now.monotonic_ms) else { return line(up: conversation) }
        begin(conversation, at: next, partition, log)
    }

    private func mustReadAssignment(for open: Open) -> Bool {
        if Epoch(open.epoch) > assignment.epoch { return true }
        guard let theirs = LogID(open.log), let log else { return false }
        return theirs > log
    }

    /// Where the stream is to begin; nil while that is not known, or when it has ended.
    private func place(of conversation: Conversation, _ open: Open, _ log: LogID, _ position: Int64, _ partition: PartitionLog) -> Int64? {
        if let cursor = open.cursor {
            if LogID(open.log) != log { return 0 }
            if cursor < position { return cursor + 1 }
        }
        switch conversation.end {
        case .no:
            wantEnd(for: conversation, partition)
            return nil
        case .query: return nil
        case .answered(let end):
            if let cursor = open.cursor, cursor >= end {
                finish(conversation, .outOfRange("Open.cursor is \(cursor), and the log ends before \(end)"))
                return nil
            }
            // With a cursor its record is there and not read yet.
            return open.cursor == nil && position >= end ? end : nil
        }
    }

    private func begin(_ conversation: Conversation, at next: Int64, _ partition: PartitionLog, _ log: LogID) {
        let others = partition.listeners[conversation.user] ?? []
        let stay = others.filter { !$0.isSameDevice(as: conversation) }
        guard stay.count < settings.limits.streamsPerUser else {
            return finish(conversation, .unavailable("user \(conversation.user) has \(stay.count) streams here; \(settings.limits.streamsPerUser) are allowed"))
        }
        guard openedCount - (others.count - stay.count) < (conversation.admission == .resume ? resumeLimit : limit) else {
            return finish(conversation, .unavailable("this server is full with \(openedCount) streams"))
        }
        endOthers(of: conversation, others)
        release(conversation)
        conversation.open = nil
        conversation.next = next
        conversation.stage = .replaying
        conversation.tookAt_ms = now.monotonic_ms
        openedCount += 1
        counters.opened += 1
        partition.add(conversation)
        say(.opened(answer(to: conversation, log)), to: conversation)
        replay(conversation, partition)
        if conversation.stage == .replaying {
            admission.replayBegins(conversation.id)
            alarm(.replay(conversation.id), after: Admission.replay_ms)
        }
        alarm(.alive(conversation.id), after: aliveInterval_ms)
    }

    private func answer(to conversation: Conversation, _ log: LogID) -> Opened {
        var opened = Opened()
        opened.log = log.description
        opened.next = conversation.next
        opened.partition = conversation.partition.number
        opened.time_ms = now.wall_ms
        opened.idWindow_ms = Int32(clamping: identity.idWindow.milliseconds)
        opened.alive_ms = Int32(clamping: settings.alive_ms)
        opened.maxBodyBytes = Int32(clamping: settings.limits.bodyBytes)
        opened.fallback = fallback.address
        conversation.fallbackTold = fallback.version
        opened.maxUnacknowledged = Int32(clamping: settings.limits.unacknowledged)
        opened.epoch = assignment.epoch.value
        return opened
    }

    // MARK: several streams of one device

    /// Whether a stream of the same device that came later, or a later attempt, is here: then this one ends.
    private func isOvertaken(_ conversation: Conversation) -> Bool {
        let listening = partitions[conversation.partition]?.listeners[conversation.user] ?? []
        let waiting = held[conversation.partition]?.of(conversation.user) ?? []
        let same = { (other: Conversation) in other !== conversation && other.isSameDevice(as: conversation) }
        if (listening + waiting).contains(where: { same($0) && $0.session == conversation.session && $0.attempt > conversation.attempt }) {
            finish(conversation, .unavailable("a later attempt of this session is here"))
            return true
        }
        if waiting.contains(where: { same($0) && $0.session != conversation.session && $0.id > conversation.id }) {
            finish(conversation, .aborted("device \(conversation.device) was started elsewhere"))
            return true
        }
        return false
    }

    private func endOthers(of conversation: Conversation, _ listening: [Conversation]) {
        for other in listening + (held[conversation.partition]?.of(conversation.user) ?? [])
        where other !== conversation && other.isSameDevice(as: conversation) {
            if other.session == conversation.session {
                finish(other, .unavailable("a later attempt of this session is here"))
            } else {
                finish(other, .aborted("device \(other.device) was started elsewhere"))
            }
        }
    }

    // MARK: the log's end

    private func wantEnd(for conversation: Conversation, _ partition: PartitionLog) {
        // One that is under way was asked before this Open.
        conversation.end = .query(queries + 1)
        if partition.query == nil { askEnd(partition) } else { partition.askAgain = true }
    }

    func askEnd(_ partition: PartitionLog) {
        guard partition.query == nil else { return partition.askAgain = true }
        queries += 1
        partition.query = queries
        partition.askAgain = false
        act(.askEnd(partition.partition, query: queries))
    }

    /// - Parameter end: the offset of the partition's next record when the log was asked; nil: it did not answer.
    func endAnswered(_ number: Partition, query: UInt64, end: Int64?, at now: Now) {
        self.now = now
        guard let partition = partitions[number], partition.query == query else { return }
        partition.query = nil
        guard let end else {
            partition.askAgain = true
            return alarm(.askAgain(number, reading: partition.reading), after: Self.askAgain_ms)
        }
        if partition.askAgain { askEnd(partition) }
        for conversation in held[number]?.all ?? [] {
            if case .query(let wanted) = conversation.end, wanted <= query { conversation.end = .answered(end) }
        }
        consider(number)
    }

    // MARK: time

    /// Gives the stream, as it is now, 10 s.
    func wait(_ conversation: Conversation) {
        conversation.waitsUntil_ms = now.monotonic_ms + Self.hold_ms
        alarm(.hold(conversation.id), after: Self.hold_ms)
    }

    /// Ends the stream whose token has ended, or looks again later: often enough for a wall clock that is set, and seldom enough that streams which
    /// are gone leave little behind.
    func tokenMayEnd(_ id: StreamID) {
        guard let conversation = conversations[id], let until_ms = conversation.until_ms else { return }
        guard until_ms > now.wall_ms else { return finish(conversation, .unauthenticated("the token has expired. Open again with a new one")) }
        alarm(.token(id), after: min(until_ms - now.wall_ms, Self.tokenLook_ms))
    }

    func holdEnds(_ id: StreamID) {
        guard let conversation = conversations[id], conversation.waitsUntil_ms <= now.monotonic_ms else { return }
        switch conversation.stage {
        case .fresh: finish(conversation, .invalidArgument("no Open within \(Self.hold_ms / 1_000) s"))
        case .held where conversation.isInLine: finish(conversation, .unavailable("\(admission.waiting) clients wait here for their turn"))
        case .held: finish(conversation, .unavailable("partition \(conversation.partition) has no ready owner"))
        case .sentAway: finish(conversation, .unavailable("partition \(conversation.partition) is served elsewhere"))
        case .replaying, .live, .over: break
        }
    }
}
