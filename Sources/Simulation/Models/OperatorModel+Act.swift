import Blackboard
import Cell
import Operator

// Doing what a plan says.
extension OperatorModel {
    /// The assignment first; then everything else beside it. What an assignment that was not published would have justified, the next plan asks for again.
    func carryOut(_ plan: Plan, _ spec: CellSpec, then: @escaping () -> Void) {
        guard let election else { return then() }
        let publications = plan.steps.compactMap { if case .publish(let publication) = $0 { publication } else { nil } }
        publish(publications[...], election) { [self] isPublished in
            if isPublished { act(plan, spec, election) }
            then()
        }
    }

    private func act(_ plan: Plan, _ spec: CellSpec, _ election: RedisModel.Election) {
        var forgotten: [ServerLife] = []
        for step in plan.steps {
            switch step {
            case .publish, .removeCell: break
            case .makeTopic: lookAtTopic()
            case .start(let order): start(order, election)
            case .stop(let life, let why):
                world.timeline.add("\(name) stops \(life.id): \(why)")
                if why == Step.replaced { world.checks.replaced(life, by: self, in: world) }
                end(life, election) { [self] in world.stop(life, grace: spec.moves.grace + .seconds(8), by: self) }
            case .kill(let life, let why):
                world.timeline.add("\(name) kills \(life.id): \(why)")
                end(life, election) { [self] in world.substrate.kill(life, in: world) }
            case .probe(let life, _): probe(life, spec)
            case .forget(let life): forgotten.append(life)
            }
        }
        forget(forgotten, election)
        if let at = topicLookAt, at <= now { lookAtTopic() }
    }

    // MARK: Publishing

    private func publish(_ rest: ArraySlice<Publication>, _ election: RedisModel.Election, then: @escaping (Bool) -> Void) {
        guard let publication = rest.first else { return then(true) }
        let old = observed.assignment
        var new = Assignment(epoch: max(old.epoch, floor).next, term: election.term, log: old.log, members: publication.members)
        let failed = { [self] (refusal: RedisModel.Refusal) in
            inRedis = nil
            mustReadAll = true
            stumble(refusal)
            then(false)
        }
        let write = { [self] in
            observed.attempts(new, leaseRepairs: publication.leaseRepairs, now: now)
            let follows = old.version == inRedis ?? AssignmentVersion(term: .none, epoch: .none)
            self.write(new, follows ? old : nil, election, failed) { [self] in
                answered()
                observed.published(new, now: now)
                inRedis = new.version
                memory.learn(new)
                if publication.startsLog, observed.log == .renewed { observed.log = .intact }
                tell(publication.notes)
                ring()
                publish(rest.dropFirst(), election, then: then)
            }
        }
        guard publication.startsLog else { return write() }
        let log = newLog()
        memory.learn(logs: [log])
        new.log = log
        addLogs(election, failed, then: write)
    }

    /// Higher than every log before.
    private func newLog() -> LogID {
        let after = max(memory.logs.last?.time_ms ?? 0, observed.assignment.log?.time_ms ?? 0) + 1
        return LogID(UUIDv7(time_ms: max(world.unix_ms, after), using: &world.random))
    }

    // MARK: Servers

    private func start(_ order: StartOrder, _ election: RedisModel.Election) {
        guard isDriverMade else { return }
        if world.rules.holds(.newNames), observed.isTaken(order.id) { return ring() }
        world.checks.named(order.id, by: self, in: world)
        let life = ServerLife(order.id, world.newIncarnation())
        let template = spec?.template(restarts: observed.wishes.restarts) ?? ""
        observed.servers?.append(RunningServer(life, started: now, zone: order.zone, port: order.port, template: template))
        starting.insert(life)
        world.timeline.add("\(name) starts \(life.id)\(order.zone.isEmpty ? "" : " in zone \(order.zone)"): \(order.why)")
        confirmLead(election) { [self] isOurs in
            guard isOurs else { return notStarted(life, nil) }
            later(world.climate.spawn_us(&world.random)) { [self] in
                if cutsFromDriver > 0 || world.climate.startsFail > 0 { return notStarted(life, "the driver refuses") }
                world.start(life, order, template, by: self)
                starting.remove(life)
            }
        }
    }

    /// - Parameter problem: nil when it was not even tried.
    private func notStarted(_ life: ServerLife, _ problem: String?) {
        starting.remove(life)
        let placeholder = observed.servers?.first { $0.life == life }
        observed.servers?.removeAll { $0.life == life }
        if let problem, var placeholder {
            placeholder.state = .exited(at: now, reason: problem)
            _ = observed.noteExit(placeholder, now: now)
        }
        ring()
    }

    private func end(_ life: ServerLife, _ election: RedisModel.Election, _ body: @escaping () -> Void) {
        guard isDriverMade, observed.beginEnd(of: life) else { return }
        confirmLead(election) { [self] isOurs in
            guard isOurs else { return leaveEnd(life, isUnsure: true) }
            later(world.delay_us()) { [self] in
                if cutsFromDriver == 0 { body() }
                leaveEnd(life, isUnsure: cutsFromDriver > 0)
            }
        }
    }

    private func leaveEnd(_ life: ServerLife, isUnsure: Bool) {
        observed.leaveEnd(of: life)
        if isUnsure { hearUnsure() }
    }

    private func probe(_ life: ServerLife, _ spec: CellSpec) {
        let began = now
        observed.probes[life] = HealthProbe(began: began, result: .pending)
        let limit_us = spec.failover.lease.microseconds / 2
        world.after(world.delay_us()) { [self] in
            let isAlive = world.answersProbe(life, from: self)
            later(isAlive || world.probesRefused > 0 ? world.delay_us() : limit_us) { [self] in
                guard observed.probes[life]?.began == began else { return }
                // Who was paused looks at the timer before it looks at the answer.
                let isLate = (now - began).microseconds > limit_us + 1_000_000
                observed.probes[life]?.result = isAlive && !isLate ? .answered : .failed
                mustRead = true
                ring()
            }
        }
    }

    private func forget(_ lives: [ServerLife], _ election: RedisModel.Election) {
        guard !lives.isEmpty else { return }
        observed.forget(lives)
        ask { redis, now_ms throws(RedisModel.Refusal) in
            try redis.forget(lives, as: election, now_ms: now_ms)
        } then: { [self] result in
            if case .failure(let refusal) = result { return stumble(refusal) }
            if cutsFromDriver == 0 { for life in lives { world.substrate.forget(life) } }
        }
    }

    // MARK: The topic

    private func lookAtTopic() {
        guard !looksAtTopic else { return }
        looksAtTopic = true
        topicLookAt = now + .seconds(30)
        let hasLog = observed.assignment.log != nil
        later(world.random.pick(2_000...50_000)) { [self] in
            looksAtTopic = false
            let view = world.lookAtTopic(hasLog: hasLog)
            observed.log = view
            topicLookAt = now + (view.serves ? .seconds(10) : .seconds(1))
            ring()
        }
    }
}
