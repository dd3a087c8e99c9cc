import Blackboard
import Cell
import Operator

/// One operator of the cell: the shipped planner and the shipped rules of what is seen and remembered, in the order of steps of the reconciler.
///
///     turn: lead kept or won ─▶ look (Redis, driver) ─▶ plan ─▶ publish ─▶ driver calls, each after the lead is confirmed ─▶ look again
///
/// Between two steps anything else may happen: every word with Redis and with the driver takes its time, and can be lost.
final class OperatorModel {
    unowned let world: World
    let index: Int
    var name: String { "operator-\(index + 1)" }

    // The process
    private(set) var isAlive = false
    private(set) var isPaused = false
    /// Counts its lives: what was asked by an earlier one is not answered.
    private var life = 0
    private var missed: [() -> Void] = []
    /// The state folder; saved a little after it changed.
    var folder = CellMemory()
    var cutsFromRedis = 0
    var cutsFromDriver = 0
    var cutsFromLog = 0

    // Leadership
    var election: RedisModel.Election?
    var leadsUntil = Moment(milliseconds: 0)
    var floor = Epoch.none
    var memory = CellMemory()

    // What is seen
    var spec: CellSpec?
    var stored: StoredSpec?
    var observed = ObservedCell()
    var inRedis: AssignmentVersion?
    var settings: RedisModel.ModelSettings?
    var undecidedUntil: Moment?
    var isDriverMade = false
    var hasWishes = false
    var starting: Set<ServerLife> = []
    var looksAtTopic = false
    var topicLookAt: Moment?
    var driverReadAt: Moment?
    /// Probes that the log has not taken yet.
    var probesQueued: [Partition] = []

    // The loop
    var mustReadAll = true
    var mustRead = true
    var lookAgain: Moment?
    private var isTurning = false
    private var isRung = false
    private var hasShutNews = false
    /// Of the turn that is to come.
    private var alarm = 0

    // What the checks look at
    private(set) var lastPlan: Plan?
    private var planner = RestingPlanner()
    private(set) var plannedAt_us: Int64 = 0

    init(_ world: World, _ index: Int) {
        self.world = world
        self.index = index
    }

    var now: Moment { world.moment }
    var leads: Bool { election != nil && now < leadsUntil }
    var leadLease: Duration { max(.seconds(1), spec?.failover.lease ?? .milliseconds(1_500)) }
    var runs: Bool { isAlive && !isPaused }
    var reachesRedis: Bool { cutsFromRedis == 0 && world.redisIsUp }

    // MARK: The process

    func start() {
        guard !isAlive else { return }
        life += 1
        isAlive = true
        isPaused = false
        missed = []
        election = nil
        memory = folder
        floor = .none
        spec = nil
        stored = nil
        observed = ObservedCell()
        observed.redisBack = nil
        observed.servers = nil
        observed.since = now
        inRedis = nil
        settings = nil
        undecidedUntil = nil
        isDriverMade = false
        hasWishes = false
        starting = []
        looksAtTopic = false
        topicLookAt = nil
        probesQueued = []
        mustReadAll = true
        mustRead = true
        isTurning = false
        isRung = false
        lastPlan = nil
        planner = RestingPlanner()
        keepLead()
        wake(at: now)
    }

    func die(keepsFolder: Bool) {
        guard isAlive else { return }
        isAlive = false
        life += 1
        if !keepsFolder { folder = CellMemory() }
    }

    func pause() { isPaused = true }

    func resume() {
        guard isPaused else { return }
        isPaused = false
        let all = missed
        missed = []
        for work in all where isAlive { work() }
    }

    /// Runs `work` unless this life has ended; while the process is stopped it waits.
    func later(_ delay_us: Int64, _ work: @escaping () -> Void) {
        let life = life
        world.after(delay_us) { [self] in
            guard self.life == life else { return }
            if isPaused { missed.append { if self.life == life { work() } } } else { work() }
        }
    }

    // MARK: Words with Redis

    /// Asks Redis; `then` hears the answer, or `away` after its patience is over. The request of one that dies meanwhile still arrives.
    func ask<Answer>(
        _ request: @escaping (inout RedisModel, Int64) throws(RedisModel.Refusal) -> Answer, then: @escaping (Result<Answer, RedisModel.Refusal>) -> Void
    ) {
        guard world.redisIsUp || !world.redisRefuses else { return later(300) { then(.failure(.away)) } }
        let patience_us: Int64 = 2_000_000
        let asked_us = world.now_us
        world.wordsUnderWay += 1
        let then = { [world] (answer: Result<Answer, RedisModel.Refusal>) in
            world.wordsUnderWay -= 1
            then(answer)
        }
        world.after(world.delay_us()) { [self] in
            guard reachesRedis else { return later(patience_us) { then(.failure(.away)) } }
            let answer: Result<Answer, RedisModel.Refusal>
            do throws(RedisModel.Refusal) { answer = .success(try request(&world.redis, world.redisTime_ms)) } catch { answer = .failure(error) }
            let back_us = world.delay_us()
            later(back_us) {
                let isLost = !self.reachesRedis || self.world.losesReply() || self.world.now_us - asked_us > patience_us
                then(isLost ? .failure(.away) : answer)
            }
        }
    }

    /// Redis has answered.
    func answered() { if observed.redisBack == nil { observed.redisBack = now } }

    /// Sorts a refusal as the reconciler does.
    func stumble(_ refusal: RedisModel.Refusal) {
        switch refusal {
        case .away:
            observed.redisBack = nil
            mustReadAll = true
        case .lapsed, .overtaken:
            answered()
            loseLead()
        case .epoch, .superseded:
            answered()
            mustReadAll = true
        }
    }

    // MARK: What is heard

    enum Heard { case listening, assignment(AssignmentVersion), spec, server }

    func hear(_ heard: Heard) {
        switch heard {
        case .listening, .spec: mustReadAll = true
        case .assignment(let version): if version != inRedis { mustRead = true }
        case .server: mustRead = true
        }
        ring()
    }

    func hear(_ server: RunningServer) {
        guard isDriverMade else { return }
        _ = observed.see(server, now: now)
        ring()
    }

    func hearShut(_ life: ServerLife) {
        guard leads, observed.noteShut(life, now: now) else { return }
        hasShutNews = true
        ring()
    }

    func hearUnsure() { readDriver { self.ring() } }

    func readDriver(then: @escaping () -> Void) {
        guard isDriverMade else { return then() }
        later(world.delay_us()) { [self] in
            driverReadAt = now
            if cutsFromDriver > 0 {
                observed.servers = nil
            } else {
                _ = observed.see(all: world.substrate.present, starting: starting, now: now)
            }
            then()
        }
    }

    // MARK: The loop

    func ring() {
        guard !isTurning else {
            isRung = true
            return
        }
        wake(at: now)
    }

    private func wake(at moment: Moment) {
        alarm += 1
        let alarm = alarm
        later(max(1, (moment - now).microseconds)) { [self] in if self.alarm == alarm, !isTurning { turn() } }
    }

    private func turn() {
        isTurning = true
        isRung = false
        observed.stayAwake(now: now, limit: leadLease)
        if leads { return lead() }
        guard election != nil else { return follow { self.endTurn() } }
        renewLead { isOurs in if isOurs { self.lead() } else { self.follow { self.endTurn() } } }
    }

    func endTurn() {
        isTurning = false
        if isRung { return wake(at: now) }
        wake(at: min(lookAgain ?? now + .seconds(1), now + .seconds(1)))
    }

    private func lead() {
        let isUrgent = !mustReadAll && observed.redisBack != nil && undecidedUntil == nil && (hasShutNews || observed.hasUnpublishedEnd)
        hasShutNews = false
        if isUrgent { return decide(isUrgent: true) }
        look { [self] hasSeen in
            if hasSeen { return decide(isUrgent: false) }
            lookAgain = now + .milliseconds(250)
            endTurn()
        }
    }

    private func decide(isUrgent: Bool) {
        guard leads, let spec, undecidedUntil == nil else {
            lookAgain = undecidedUntil ?? now + .milliseconds(250)
            return endTurn()
        }
        guard let scale = spec.messaging.autoscale, let election, observed.redisBack != nil else {
            observed.loads = LoadHistory()
            return plan(spec, isUrgent: isUrgent)
        }
        autoscale(spec, scale, election) { self.plan(spec, isUrgent: isUrgent) }
    }

    /// The decision counts once it is in Redis, where the next operator finds it.
    private func autoscale(_ spec: CellSpec, _ scale: MessagingSpec.Autoscale, _ election: RedisModel.Election, then: @escaping () -> Void) {
        observed.loads.observe(observed.load, scale, now: now)
        let current = observed.scaledTo ?? spec.messaging.servers
        let wanted = observed.loads.decision(scale, current: current, now: now)
        guard wanted != observed.scaledTo else { return then() }
        ask { redis, now_ms throws(RedisModel.Refusal) in
            try redis.write(scale: wanted, as: election, now_ms: now_ms)
        } then: { [self] result in
            if case .failure(let refusal) = result {
                stumble(refusal)
            } else {
                observed.scaledTo = wanted
                if wanted != current {
                    world.timeline.add("\(name) scales to \(wanted) messaging servers")
                    world.checks.scaled()
                }
            }
            then()
        }
    }

    private func plan(_ spec: CellSpec, isUrgent: Bool) {
        guard leads else { return endTurn() }
        observed.stayAwake(now: now, limit: leadLease)
        world.onAccount { observed.weigh(spec, now: now, rules: world.rules) }
        let plan = world.onAccount { planner.plan(for: spec, observed: observed, now: now, rules: world.rules) }
        world.plans += 1
        if world.plansTwice, plan != Operator.plan(for: spec, observed: observed, now: now, rules: world.rules) {
            world.checks.fail("PlansAlike", "what \(name) knows of a cell at rest does not hold any more", world)
        }
        lastPlan = plan
        plannedAt_us = world.now_us
        carryOut(plan, spec) { [self] in
            probeLog()
            lookAgain = earliest(earliest(plan.lookAgain, topicLookAt), observed.redisBack == nil ? now + .milliseconds(250) : nil)
            if let next = lookAgain, next <= now { lookAgain = now + .milliseconds(20) }
            saveMemory()
            if isUrgent {
                mustRead = true
                isRung = true
            }
            endTurn()
        }
    }

    /// On disk a little later.
    func saveMemory() {
        guard memory != folder else { return }
        let saved = memory
        later(world.random.pick(500...20_000)) { self.folder = saved }
    }

    /// Time in which nothing happens is skipped.
    func putOff(by delay: Duration) {
        leadsUntil = leadsUntil + delay
        observed.putOff(by: delay)
        topicLookAt = topicLookAt.map { $0 + delay }
        lookAgain = lookAgain.map { $0 + delay }
        driverReadAt = driverReadAt.map { $0 + delay }
        plannedAt_us += delay.microseconds
    }

    func tell(_ notes: [Note]) { world.timeline.add(notes) }
}

func earliest(_ a: Moment?, _ b: Moment?) -> Moment? {
    guard let a, let b else { return a ?? b }
    return min(a, b)
}
