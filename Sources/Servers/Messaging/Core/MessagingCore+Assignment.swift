import Cell

/// Who owns what, and clients that are to go elsewhere.
extension MessagingCore {
    struct Owner: Equatable {
        var incarnation: Incarnation
        var address: String
        var http: String
    }

    /// What an owner's health was when it was last asked.
    struct Probe: Equatable {
        var isUnderWay = false
        var isHealthy = false
        var answered_ms: Int64?
    }

    enum Moving: Equatable {
        case stream(StreamID)
        /// Every stream that was here before this was told.
        case told(Partition, attempt: UInt64)
    }

    // MARK: the assignment

    /// Takes a published assignment; an older one is ignored.
    func assigned(_ new: Assignment, at now: Now) {
        self.now = now
        guard new.epoch >= assignment.epoch, new != assignment else { return }
        assignment = new
        owners = [:]
        choose(fallback: new.fallback(of: identity.server)?.address ?? "")
        if let newLog = new.log, log.map({ newLog > $0 }) ?? true { begin(newLog) }
        obey()
        for partition in held.keys.sorted() { consider(partition) }
    }

    /// The assignment was read for an Open that knew a newer one, with or without success.
    func assignmentWasRead(at now: Now) {
        self.now = now
        readingAssignment = false
        for conversation in held.values.flatMap(\.all) { conversation.assignmentWasRead = true }
        for partition in held.keys.sorted() { consider(partition) }
    }

    func readAssignment() {
        guard !readingAssignment else { return }
        readingAssignment = true
        act(.readAssignment)
    }

    /// The cell has another log: everything known of the old one is forgotten.
    private func begin(_ new: LogID) {
        if log != nil {
            for conversation in conversations.values.filter(\.isOpened).sorted(by: { $0.id < $1.id }) {
                finish(conversation, .unavailable("the cell's log has changed"))
            }
            loseFlights { finish($0, .unavailable("the cell's log has changed")) }
            for partition in partitions.values.sorted(by: { $0.partition < $1.partition }) { stopReading(partition) }
        }
        log = new
        seen = Array(repeating: -1, count: identity.partitions)
    }

    /// What this incarnation is to do; nothing when it is not named.
    private var mine: Member? {
        assignment.members[identity.server].flatMap { $0.incarnation == identity.incarnation ? $0 : nil }
    }

    private func obey() {
        guard let log else { return }
        let member = mine
        let wanted = [member?.owns, member?.opens, member?.leaves, member?.shadows].compactMap { $0 }.reduce(PartitionSet()) { $0.union($1) }
        // An assignment that names partitions which there are not may name billions.
        for number in wanted.intersection(PartitionSet(all: identity.partitions)) where partitions[number] == nil { _ = startReading(number, of: log) }
        for partition in partitions.values.sorted(by: { $0.partition < $1.partition }) {
            change(partition, to: role(of: partition.partition, member))
        }
    }

    private func role(of partition: Partition, _ member: Member?) -> PartitionLog.Role {
        guard let member else { return .none }
        if member.owns.contains(partition) { return .owns }
        if member.opens.contains(partition) { return .opens }
        if member.leaves.contains(partition) { return .leaves }
        return member.shadows.contains(partition) ? .shadows : .none
    }

    private func change(_ partition: PartitionLog, to role: PartitionLog.Role) {
        let old = partition.role
        take(role, partition)
        if role == .owns {
            partition.leaving = nil
            if old != .owns { watchSilence(of: partition) }
        } else if !partition.listeners.isEmpty {
            leave(partition)
        }
        retireIfUnused(partition.partition)
    }

    func take(_ role: PartitionLog.Role, _ partition: PartitionLog) {
        if let pace = partition.take(role) { act(.pace(partition.partition, pace)) }
    }

    /// Stops reading what nobody wants any more.
    func retireIfUnused(_ number: Partition) {
        guard let partition = partitions[number], partition.role == .none, partition.listeners.isEmpty else { return }
        stopReading(partition)
    }

    func owner(of partition: Partition) -> Owner? {
        if let known = owners[partition] { return known }
        guard let (_, member) = assignment.owner(of: partition) else { return nil }
        let owner = Owner(incarnation: member.incarnation, address: member.address, http: member.http)
        owners[partition] = owner
        return owner
    }

    // MARK: leaving

    /// Tells this partition's clients where to go; once for each new owner.
    private func leave(_ partition: PartitionLog) {
        let owner = owner(of: partition.partition)
        if let leaving = partition.leaving, leaving.target == owner?.incarnation { return }
        leavings += 1
        partition.leaving = PartitionLog.Leaving(target: owner?.incarnation, attempt: leavings)
        guard owner != nil else { return alarm(.grace(partition.partition, attempt: leavings), after: settings.moveGrace_ms) }
        if moving.isEmpty {
            movedAllowance = 0
            movedAt_ms = now.monotonic_ms - Self.moveSlice_ms
            alarm(.move, after: 0)
        }
        moving += partition.everyListener.map { .stream($0.id) }
        moving.append(.told(partition.partition, attempt: leavings))
    }

    /// As many as the rate allows by now.
    func moveSlice() {
        movedAllowance += Double(settings.movedPerSecond) * Double(now.monotonic_ms - movedAt_ms) / 1_000
        movedAt_ms = now.monotonic_ms
        var done = 0
        for step in moving {
            if case .stream(let id) = step, conversations[id] != nil {
                guard movedAllowance >= 1 else { break }
                movedAllowance -= 1
                sayMoved(to: id)
            } else if case .told(let partition, let attempt) = step {
                alarm(.grace(partition, attempt: attempt), after: settings.moveGrace_ms)
            }
            done += 1
        }
        moving.removeFirst(done)
        if !moving.isEmpty { alarm(.move, after: Self.moveSlice_ms) }
    }

    private func sayMoved(to id: StreamID) {
        guard let conversation = conversations[id], partitions[conversation.partition]?.leaving != nil, let owner = owner(of: conversation.partition) else {
            return
        }
        counters.moved += 1
        say(.moved(moved(to: owner)), to: conversation)
    }

    private func moved(to owner: Owner) -> Moved {
        var moved = Moved()
        moved.messaging = owner.address
        moved.epoch = assignment.epoch.value
        return moved
    }

    func graceEnds(_ number: Partition, _ attempt: UInt64) {
        guard let partition = partitions[number], partition.leaving?.attempt == attempt else { return }
        for conversation in partition.everyListener { finish(conversation, .unavailable("partition \(number) has moved")) }
    }

    // MARK: Opens for another server

    /// Answers Moved as soon as the owner is known to be healthy. Who is opening the partition itself waits to own it.
    func sendAway(_ conversation: Conversation) {
        let role = partitions[conversation.partition]?.role ?? .none
        guard role != .opens, let owner = owner(of: conversation.partition), owner.incarnation != identity.incarnation else { return }
        guard isHealthy(owner) else { return }
        release(conversation)
        conversation.stage = .sentAway
        conversation.open = nil
        counters.moved += 1
        say(.moved(moved(to: owner)), to: conversation)
        wait(conversation)
    }

    /// By an answer of the last moment; asks when there is none.
    private func isHealthy(_ owner: Owner) -> Bool {
        var probe = probes[owner.incarnation] ?? Probe()
        if let answered_ms = probe.answered_ms {
            let age_ms = now.monotonic_ms - answered_ms
            if probe.isHealthy, age_ms < Self.probeIsFresh_ms { return true }
            if !probe.isHealthy, age_ms < Self.probeAgain_ms { return false }
        }
        if !probe.isUnderWay {
            probe.isUnderWay = true
            probes[owner.incarnation] = probe
            act(.probe(owner.incarnation, http: owner.http))
        }
        return false
    }

    func probed(_ incarnation: Incarnation, isHealthy: Bool, at now: Now) {
        self.now = now
        probes = probes.filter { $0.key == incarnation || $0.value.isUnderWay || now.monotonic_ms - ($0.value.answered_ms ?? 0) < 10_000 }
        probes[incarnation] = Probe(isHealthy: isHealthy, answered_ms: now.monotonic_ms)
        considerHeld(of: incarnation)
        if !isHealthy { alarm(.probe(incarnation), after: Self.probeAgain_ms) }
    }

    func probeAgain(_ incarnation: Incarnation) { considerHeld(of: incarnation) }

    private func considerHeld(of incarnation: Incarnation) {
        for partition in held.keys.sorted() where owner(of: partition)?.incarnation == incarnation { consider(partition) }
    }

    // MARK: stopping

    /// Takes no more Opens; who is here is served until it is told to go, or all ends.
    func stop(at now: Now) {
        self.now = now
        isStopping = true
        for conversation in conversations.values.filter({ !$0.isOpened }).sorted(by: { $0.id < $1.id }) {
            finish(conversation, .unavailable("this server is stopping"))
        }
    }

    /// Whether clients are left whom nobody else can serve.
    var isNeeded: Bool { partitions.values.contains { $0.role == .owns && !$0.listeners.isEmpty } }

    /// Ends what is left.
    func endAll(at now: Now) {
        self.now = now
        for conversation in conversations.values.sorted(by: { $0.id < $1.id }) { finish(conversation, .unavailable("this server is stopping")) }
    }
}
