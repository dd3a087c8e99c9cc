import Blackboard
import Cell
import Redis

/// Keeps one cell as its spec says: looks, plans, does it, and looks again.
///
/// Whatever takes long (starting, stopping, probing, Kafka) is an errand beside the loop, so that one blocked step never blocks the rest; a death that the
/// driver tells of is planned for and published before anything else is read.
actor CellOperator {
    let cell: CellName
    let board: CellBlackboard
    let context: OperatorContext
    let chronicle: Chronicle
    let bell = Bell()
    let errands: AsyncStream<@Sendable () async -> Void>
    let errand: AsyncStream<@Sendable () async -> Void>.Continuation

    // Leadership
    var election: Election?
    /// By our own clock, counted from before the lease was asked for.
    var leadsUntil = Moment(milliseconds: 0)
    /// Above every epoch that anyone has seen.
    var floor = Epoch.none
    var memory = CellMemory()
    var savedMemory = CellMemory()

    // What is seen
    /// With what was set by hand.
    var spec: CellSpec?
    /// Without.
    var plainSpec: CellSpec?
    var overridesProblem: String?
    var stored: StoredSpec?
    /// Why the spec in Redis cannot be used.
    var specProblem: String?
    /// People's wishes have been read in this life of the operator: what differs from now on is news.
    var hasWishes = false
    var observed = ObservedCell()
    private var planner = RestingPlanner()
    /// What Redis holds, as far as we know; nil when it has to be read.
    var inRedis: AssignmentVersion?
    var settings: Settings?
    var undecidedUntil: Moment?
    var driver: (any Driver)?
    var driverTask: RunSpec?
    var driverProblem: String?
    var driverReadAt: Moment?
    var topic: TopicKeeper?
    var topicSpec: CellSpec?
    var looksAtTopic = false
    var topicLookAt: Moment?
    var storeSpec: StoreSpec?
    var looksAtStore = false
    var storeLookAt: Moment?
    var prober: LogProber?
    /// What `prober` was made for.
    var proberBackplane: LogProber.Target?
    var proberLog: LogID?
    var status: CellStatus?
    /// Leases and reports as they were read last.
    var inRedisNow: ServersInRedis?
    /// When the reports among them were read; nil when a server said that there is news.
    var reportsReadAt: Moment?
    /// Whose members' connections are held; nil for nobody's.
    var heldVersion: AssignmentVersion?
    /// A member's port was found shut since the last plan.
    var hasShutNews = false

    // The loop
    var mustReadAll = true
    var mustRead = true
    var lookAgain: Moment?
    var isOver = false
    var passes = 0

    init(_ cell: CellName, _ context: OperatorContext) {
        self.cell = cell
        self.context = context
        board = CellBlackboard(cell, on: context.redis)
        chronicle = Chronicle(board)
        (errands, errand) = AsyncStream.makeStream()
        observed.redisBack = nil
        observed.servers = nil
        observed.since = context.clock.now
        observed.canary.pace = context.canary
    }

    var now: Moment { context.clock.now }
    var leads: Bool { election != nil && now < leadsUntil }

    /// Runs until the cell is gone or the task is cancelled; then it gives up the lead, and the servers go on.
    func run() async {
        remember()
        let listener: BlackboardListener
        do { listener = try BlackboardListener(to: [.assignment, .spec, .servers, .leader], of: board) } catch {
            return context.log.error("\(cell): \(error)")
        }
        await withDiscardingTaskGroup { group in
            group.addTask { for await change in listener.changes { await self.hear(change) } }
            group.addTask { await self.keepLead() }
            group.addTask { await self.chronicle.run() }
            group.addTask { [errand] in
                await self.loop()
                errand.finish()
            }
            for await work in errands { group.addTask(operation: work) }
            group.cancelAll()
        }
        listener.close()
        topic?.close()
        prober?.close()
        prober = nil
        context.connections.hold([:], for: ObjectIdentifier(self)) { _ in }
        if let election { try? await board.resign(election) }
    }

    private func loop() async {
        while !Task.isCancelled, !isOver {
            let wait = (lookAgain ?? now + .seconds(1)) - now
            await bell.wait(atMost: min(wait, .seconds(1)))
            if Task.isCancelled { return }
            await turn()
        }
    }

    // MARK: What is heard

    func hear(_ change: BlackboardChange) {
        switch change {
        case .listening: mustReadAll = true
        case .deaf: break
        case .assignment(let epoch, let term, _): if AssignmentVersion(term: term, epoch: epoch) != inRedis { mustRead = true }
        case .spec: mustReadAll = true
        case .server:
            reportsReadAt = nil
            mustRead = true
        case .leader: break
        case .settings, .status, .events: return
        }
        bell.ring()
    }

    func hear(_ event: DriverEvent) async {
        switch event {
        case .server(let server): see(server)
        case .unsure: await readDriver()
        }
        bell.ring()
    }

    /// Takes in a server's state as the driver tells it.
    func see(_ server: RunningServer) {
        // A death that was noted is final; its driver may have learned how it came.
        if server.isGone, observed.exits.contains(where: { $0.life == server.life }) { return explain(server) }
        if let exit = observed.see(server, now: now) { tell(exit) }
    }

    private func explain(_ server: RunningServer) {
        guard case .exited(_, let reason) = server.state, let index = observed.exits.firstIndex(where: { $0.life == server.life }) else { return }
        guard observed.exits[index].reason != reason else { return }
        observed.exits[index].reason = reason
        if let at = observed.servers?.firstIndex(where: { $0.life == server.life }) { observed.servers?[at] = server }
        if leads { tell(Note("ServerExplained", server.life, "\(server.life.id): \(reason)")) }
    }

    func tell(_ exit: ServerExit) {
        if leads { tell(Note(exit.asked ? "ServerStopped" : "ServerExited", exit.life, "\(exit.life.id): \(exit.reason)")) }
    }

    func readDriver() async {
        guard let driver else { return }
        driverReadAt = now
        do {
            let servers = try await driver.servers()
            for exit in observed.see(all: servers, starting: starting, now: now) { tell(exit) }
            driverProblem = nil
        } catch {
            observed.servers = nil
            driverProblem = "\(error)"
        }
    }

    /// Lives whose start is an errand under way.
    var starting: Set<ServerLife> = []

    // MARK: One turn

    func turn() async {
        stayAwake()
        if !leads, !(await regainLead()) { return await follow() }
        passes += 1
        let urgent = hasUrgentExit
        hasShutNews = false
        heedProbes()
        if !urgent || mustReadAll, !(await look()) {
            // What was seen in an earlier lead, or before Redis went away, is no ground to act on.
            lookAgain = now + .milliseconds(250)
            return
        }
        guard leads, let spec, undecidedUntil == nil else { return rest() }
        await autoscale(spec)
        observed.weigh(spec, now: now)
        stayAwake()
        let plan = planner.plan(for: spec, observed: observed, now: now)
        await carryOut(plan, spec)
        probeLog(spec)
        conclude(plan, spec)
        if urgent {
            mustRead = true
            bell.ring()
        }
    }

    /// Notices a pause of this process, since leases and probes seen before it must not count.
    func stayAwake() {
        let before = observed.awakeAt
        guard observed.stayAwake(now: now, limit: leadLease), let before else { return }
        context.log.warning("\(cell): this operator was paused for about \((now - before).milliseconds) ms; leases count again in a moment")
    }

    /// A member's end, or its shut port, was told of and is not published yet: nothing is read before that.
    private var hasUrgentExit: Bool {
        guard !mustReadAll, observed.redisBack != nil, undecidedUntil == nil else { return false }
        return hasShutNews || observed.hasUnpublishedEnd
    }

    private func rest() {
        lookAgain = undecidedUntil ?? now + .milliseconds(250)
        if let spec { publishStatus(Plan(), spec) }
    }

    private func conclude(_ plan: Plan, _ spec: CellSpec) {
        lookAgain = earliest(earliest(plan.lookAgain, earliest(topicLookAt, storeLookAt)), observed.redisBack == nil ? now + .milliseconds(250) : nil)
        // At the latest after a second: witnesses are read again, whatever was missed.
        if let next = lookAgain, next <= now { lookAgain = now + .milliseconds(20) }
        publishStatus(plan, spec)
        holdConnections()
        saveMemory()
    }

    func publishStatus(_ plan: Plan, _ spec: CellSpec) {
        var plan = plan
        if let specProblem { plan.findings.insert(Finding(.trouble, "SpecInvalid", specProblem), at: 0) }
        if let driverProblem { plan.findings.insert(Finding(.trouble, "DriverAway", driverProblem), at: 0) }
        if undecidedUntil != nil { plan.findings.insert(Finding(.progress, "Recovering", "Redis had lost the cell; servers are asked what they know"), at: 0) }
        let told = Operator.status(
            for: spec, observed: observed, plan: plan, previous: status, leader: context.name, now: now, now_ms: context.clock.unix_ms)
        status = told
        chronicle.tell(told)
        context.metrics.observe(told, of: cell)
    }

    func tell(_ notes: Note...) { tell(notes) }

    func tell(_ notes: [Note]) {
        let time = context.clock.unix_ms
        for note in notes { context.log.info("\(cell): \(note.kind): \(note.text)") }
        chronicle.add(
            notes.map { CellEvent($0.kind, time_ms: time, server: $0.server, incarnation: $0.incarnation, epoch: observed.assignment.epoch, text: $0.text) })
    }
}
