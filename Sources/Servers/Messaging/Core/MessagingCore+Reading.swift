import Cell

/// The log as it is read, and what clients get of it.
extension MessagingCore {
    // MARK: a reading

    func startReading(_ number: Partition, of log: LogID) -> PartitionLog {
        readings += 1
        let once = OnceRule(idWindow: identity.idWindow, log: log)
        // What a resuming client may ask for is read back too, so that a planned move or a failover sends nobody to the history.
        let windowFrom_ms = now.wall_ms - settings.windowAge_ms
        let partition = PartitionLog(number, reading: readings, once: once, rightFrom_ms: windowFrom_ms, now: now)
        partitions[number] = partition
        for conversation in held[number]?.all ?? [] { conversation.end = .no }
        let start: ReadingStart = identity.embedded ? .beginning : .time(windowFrom_ms - once.readBack_ms)
        act(.startReading(number, reading: readings, from: start))
        return partition
    }

    func stopReading(_ partition: PartitionLog) {
        windowBytes -= partition.window.bytes
        partitions[partition.partition] = nil
        act(.stopReading(partition.partition))
    }

    /// - Parameters:
    ///   - start: the offset of the first record that will come.
    ///   - end: the log's end before `start` was asked for.
    func readingBegan(_ number: Partition, reading: UInt64, start: Int64, end: Int64, at now: Now) {
        self.now = now
        guard let partition = partitions[number], partition.reading == reading else { return }
        partition.begin(at: start, end: end, isWhole: start == 0 || identity.embedded)
        if partition.isWarm { act(.report) }
        consider(number)
    }

    /// What was to be read next is gone from the log: reads afresh. Clients resume, and are told of the gap.
    func readingFailed(_ number: Partition, at now: Now) {
        self.now = now
        guard let partition = partitions[number], let log else { return }
        let role = partition.role
        for conversation in partition.everyListener { finish(conversation, .unavailable("partition \(number) is read afresh")) }
        guard partitions[number] != nil else { return }
        stopReading(partition)
        let again = startReading(number, of: log)
        take(role, again)
        if role == .owns { watchSilence(of: again) }
    }

    /// - Parameter next: below it everything has been handed over, when the log's end was reached.
    func read(_ number: Partition, reading: UInt64, _ records: [LogEntry], caughtUp next: Int64?, at now: Now) {
        self.now = now
        guard let partition = partitions[number], partition.reading == reading, let before = partition.position else { return }
        let wasWarm = partition.isWarm
        for record in records where record.offset >= partition.position ?? 0 {
            counters.records += 1
            let kept = partition.take(record, embedded: identity.embedded, partitions: identity.partitions)
            guard let kept else {
                counters.skipped += 1
                continue
            }
            windowBytes += kept.cost_bytes
            deliver(kept, partition)
        }
        if let next { partition.caughtUp(next) }
        guard let position = partition.position, position > before || !wasWarm else { return }
        note(position - 1, in: number)
        if partition.isWarm, !wasWarm { act(.report) }
        if position > before { partition.stirred_ms = now.monotonic_ms }
        if windowBytes > settings.windowBytes { trimWindows() }
        if held[number] != nil { consider(number) }
    }

    func note(_ offset: Int64, in partition: Partition) {
        guard seen.indices.contains(Int(partition.number)) else { return }
        seen[Int(partition.number)] = max(seen[Int(partition.number)], offset)
    }

    // MARK: to clients

    private func deliver(_ entry: RecentWindow.Entry, _ partition: PartitionLog) {
        deliver(entry, to: entry.first, partition)
        if let second = entry.second { deliver(entry, to: second, partition) }
    }

    private func deliver(_ entry: RecentWindow.Entry, to user: UserID, _ partition: PartitionLog) {
        for conversation in partition.listeners[user] ?? [] where conversation.stage == .live {
            counters.deliveries += 1
            partition.messages += 1
            act(.deliver(conversation.id, frame: entry.frame, next: entry.offset))
        }
    }

    /// Hands over what the window holds from `conversation.next` on: a slice now, more when the client has taken it. What is read meanwhile waits
    /// in the window, so nothing overtakes; what the window has let go is announced first.
    func replay(_ conversation: Conversation, _ partition: PartitionLog) {
        if conversation.next < partition.window.start {
            counters.gaps += 1
            var gap = Gap()
            gap.from = conversation.next
            gap.to = partition.window.start
            act(.deliver(conversation.id, frame: grpcFramed(ServerFrame.gap(gap).encode()), next: gap.from))
            conversation.next = gap.to
        }
        // Who was live and fell behind has shown that it takes what it gets.
        let slice = conversation.behindSince_ms == nil ? Admission.slice_bytes(afterDrains: conversation.drains, isSlow: conversation.isSlow) : Self.slice_bytes
        var rest = min(slice, settings.limits.backlog / 2)
        while let entry = partition.window.next(for: conversation.user, from: conversation.next) {
            guard rest > 0 else { return act(.awaitDrain(conversation.id)) }
            act(.deliver(conversation.id, frame: entry.frame, next: entry.offset))
            counters.replayed += 1
            rest -= entry.frame.count
            conversation.next = entry.offset + 1
        }
        conversation.next = max(conversation.next, partition.position ?? 0)
        admission.replayEnds(conversation.id)
        conversation.stage = .live
        conversation.behindSince_ms = nil
        sayAlive(to: conversation, partition)
    }

    /// Little waits for this client now.
    func drained(_ id: StreamID, at now: Now) {
        self.now = now
        guard let conversation = conversations[id], conversation.stage == .replaying, let partition = partitions[conversation.partition] else { return }
        conversation.drains += 1
        conversation.tookAt_ms = now.monotonic_ms
        replay(conversation, partition)
    }

    /// A client has not taken all that it missed within the time for that.
    func replayIsLate(_ id: StreamID) {
        guard let conversation = conversations[id], conversation.stage == .replaying, conversation.behindSince_ms == nil else { return }
        guard now.monotonic_ms - conversation.tookAt_ms < Admission.replay_ms else {
            return finish(conversation, .resourceExhausted("nothing of what this client missed was taken for \(Admission.replay_ms / 1_000) s"))
        }
        guard admission.replayIsSlow(id) else {
            return finish(conversation, .resourceExhausted("\(Admission.slowReplaysAtOnce) slow clients are given what they missed here already"))
        }
        conversation.isSlow = true
        alarm(.replay(id), after: Admission.replay_ms)
    }

    /// What may wait for one client, while `total` bytes wait for all of them: however many are slow together, the server's memory is bounded.
    func queueBound(total: Int) -> Int { total < Self.queues_bytes ? settings.limits.backlog : min(settings.limits.backlog, Self.shortQueue_bytes) }

    /// Too much waits for this client. The window is its queue for a while: a burst is no slowness. `next` is the first offset that it was not given.
    func fellBehind(_ id: StreamID, next: Int64, at now: Now) {
        self.now = now
        guard let conversation = conversations[id], conversation.isOpened else { return }
        if conversation.stage == .live {
            conversation.stage = .replaying
            if conversation.behindSince_ms == nil { alarm(.behind(id), after: Self.behind_ms) }
            conversation.behindSince_ms = now.monotonic_ms
        }
        conversation.next = next
        act(.awaitDrain(id))
    }

    func isStillBehind(_ id: StreamID) {
        guard let conversation = conversations[id], let since_ms = conversation.behindSince_ms else { return }
        let rest = since_ms + Self.behind_ms - now.monotonic_ms
        if rest > 0 { return alarm(.behind(id), after: rest) }
        finish(conversation, .resourceExhausted("more than \(settings.limits.backlog) bytes waited for this client for \(Self.behind_ms / 1_000) s"))
    }

    /// Not even an answer fits into the client's queue.
    func overflowed(_ id: StreamID, at now: Now) {
        self.now = now
        guard let conversation = conversations[id] else { return }
        finish(conversation, .resourceExhausted("more than \(settings.limits.backlog) bytes wait for this client"))
    }

    // MARK: signs of life

    /// A little less than promised, for what timers and networks add.
    var aliveInterval_ms: Int64 { max(1, settings.alive_ms - min(250, settings.alive_ms / 10)) }

    func sayAlive(to conversation: Conversation, _ partition: PartitionLog) {
        var alive = Alive()
        alive.next = max(conversation.next, partition.position ?? 0)
        alive.fallback = fallback.address
        conversation.fallbackTold = fallback.version
        act(.deliver(conversation.id, frame: grpcFramed(ServerFrame.alive(alive).encode()), next: alive.next))
        counters.alives += 1
    }

    func aliveIsDue(_ id: StreamID) {
        guard let conversation = conversations[id], conversation.isOpened, let partition = partitions[conversation.partition] else { return }
        if conversation.stage == .live { sayAlive(to: conversation, partition) }
        alarm(.alive(id), after: aliveInterval_ms)
    }

    // MARK: ticks

    func watchSilence(of partition: PartitionLog) {
        alarm(.silence(partition.partition, reading: partition.reading), after: Self.silence_ms)
    }

    /// An owner moves its partition's log time.
    func silenceIsDue(_ number: Partition, _ reading: UInt64) {
        guard let partition = partitions[number], partition.reading == reading, partition.role == .owns else { return }
        let rest = partition.stirred_ms + Self.silence_ms - now.monotonic_ms
        if rest > 0 { return alarm(.silence(number, reading: reading), after: rest) }
        if canProduce, partition.isWarm {
            counters.ticks += 1
            act(.produce(number, Record.tick(produced_ms: now.wall_ms).bytes, 0))
        }
        partition.stirred_ms = now.monotonic_ms
        alarm(.silence(number, reading: reading), after: Self.silence_ms)
    }

    // MARK: memory

    /// Lets go what is too old, then what is too much: of the largest partition first.
    func trimWindows() {
        let oldest_ms = now.wall_ms - settings.windowAge_ms
        for partition in partitions.values { trim(partition) { $0.trim(olderThan: oldest_ms) } }
        while windowBytes > settings.windowBytes, let largest = partitions.values.max(by: { $0.window.bytes < $1.window.bytes }), largest.window.count > 0 {
            // Some more than needed, so that the next record does not search again.
            let excess = windowBytes - settings.windowBytes + settings.windowBytes / 64
            let share = min(excess, max(4_096, largest.window.bytes / 8))
            trim(largest) { $0.give(share) }
        }
    }

    private func trim(_ partition: PartitionLog, _ change: (inout RecentWindow) -> Void) {
        let before = partition.window.bytes
        change(&partition.window)
        windowBytes -= before - partition.window.bytes
    }
}
