import Blackboard
import Cell

// Doing what a plan says.
extension CellOperator {
    /// The assignment first; then everything else beside it. What an assignment that was not published would have justified, the next plan asks for again.
    func carryOut(_ plan: Plan, _ spec: CellSpec) async {
        guard let election else { return }
        for step in plan.steps {
            if case .publish(let publication) = step, !(await publish(publication, election)) { return }
        }
        var forgotten: [ServerLife] = []
        for step in plan.steps {
            switch step {
            case .publish: break
            case .makeTopic: lookAtTopic(spec)
            case .start(let order): start(order, spec, election)
            case .stop(let life, let why): stop(life, why, spec, election)
            case .kill(let life, let why): kill(life, why, election)
            case .probe(let life, let address): probe(life, address, spec)
            case .forget(let life): forgotten.append(life)
            case .removeCell: await removeCell(election)
            }
        }
        forget(forgotten, election)
        if case .kafka = spec.backplane, let at = topicLookAt, at <= now { lookAtTopic(spec) }
        if storeSpec != spec.store || storeLookAt.map({ $0 <= now }) ?? false { lookAtStore(spec) }
    }

    // MARK: Publishing

    /// - Returns: whether the new epoch is in Redis.
    private func publish(_ publication: Publication, _ election: Election) async -> Bool {
        let old = observed.assignment
        var new = Assignment(epoch: max(old.epoch, floor).next, term: election.term, log: old.log, members: publication.members)
        do {
            if publication.startsLog {
                let log = newLog()
                memory.learn(logs: [log])
                try await board.add(memory.logs, as: election)
                new.log = log
            }
            observed.attempts(new, leaseRepairs: publication.leaseRepairs, now: now)
            let began = ContinuousClock.now
            if old.version == inRedis ?? AssignmentVersion(term: .none, epoch: .none) {
                try await board.publish(from: old, to: new, as: election)
            } else {
                try await board.rewrite(new, as: election)
            }
            context.metrics.published(ContinuousClock.now - began)
        } catch {
            inRedis = nil
            mustReadAll = true
            stumble(error)
            return false
        }
        answered()
        published(new)
        if publication.startsLog {
            if observed.log == .renewed { observed.log = .intact }
            tell(Note("LogStarted", nil, "log \(new.log?.description ?? "") begins"))
        }
        tell(publication.notes)
        // What follows on it is planned at once.
        bell.ring()
        return true
    }

    func published(_ new: Assignment) {
        observed.published(new, now: now)
        inRedis = new.version
        memory.learn(new)
    }

    /// Higher than every log before.
    private func newLog() -> LogID {
        var generator = SystemRandomNumberGenerator()
        let after = max(memory.logs.last?.time_ms ?? 0, observed.assignment.log?.time_ms ?? 0) + 1
        return LogID(UUIDv7(time_ms: max(context.clock.unix_ms, after), using: &generator))
    }

    // MARK: Servers

    private func start(_ order: StartOrder, _ spec: CellSpec, _ election: Election) {
        guard let driver else { return }
        // The plan was made before its publications went out.
        guard !observed.isTaken(order.id) else { return bell.ring() }
        var generator = SystemRandomNumberGenerator()
        let life = ServerLife(order.id, Incarnation.random(using: &generator))
        let name = spec.template(restarts: observed.wishes.restarts)
        let placeholder = RunningServer(life, started: now, zone: order.zone, port: order.port, template: name)
        observed.servers?.append(placeholder)
        starting.insert(life)
        tell(Note("ServerStarting", life, "\(life.id) starts\(order.zone.isEmpty ? "" : " in zone \(order.zone)"): \(order.why)"))
        var template = ServerTemplate(cell: cell, zone: order.zone, port: order.port, generation: observed.generation, name: name)
        template.replaces = order.replaces
        errand.yield { [template] in
            guard await self.confirmLead(election) else { return await self.notStarted(placeholder, nil) }
            do {
                try await driver.start(life, as: template)
                await self.started(life)
            } catch {
                await self.notStarted(placeholder, "\(error)")
            }
        }
    }

    private func started(_ life: ServerLife) { starting.remove(life) }

    /// - Parameter problem: nil when it was not even tried.
    private func notStarted(_ server: RunningServer, _ problem: String?) {
        starting.remove(server.life)
        observed.servers?.removeAll { $0.life == server.life }
        if let problem {
            var ended = server
            ended.state = .exited(at: now, reason: problem)
            if let exit = observed.noteExit(ended, now: now) { tell(exit) }
        }
        bell.ring()
    }

    private func stop(_ life: ServerLife, _ why: String, _ spec: CellSpec, _ election: Election) {
        tell(Note("ServerStopping", life, "\(life.id) is stopped: \(why)"))
        let grace = spec.moves.grace + .seconds(8)
        end(life, election) { try await $0.stop(life, grace: grace) }
    }

    private func kill(_ life: ServerLife, _ why: String, _ election: Election) {
        tell(Note("ServerKilled", life, "\(life.id) is killed: \(why)"))
        end(life, election) { try await $0.kill(life) }
    }

    private func end(_ life: ServerLife, _ election: Election, _ body: @escaping @Sendable (any Driver) async throws -> Void) {
        guard let driver, observed.beginEnd(of: life) else { return }
        errand.yield {
            guard await self.confirmLead(election) else { return await self.leaveEnd(life, isUnsure: true) }
            do {
                try await body(driver)
                await self.leaveEnd(life, isUnsure: false)
            } catch {
                self.context.log.warning("\(self.cell): \(life.id): \(error)")
                await self.leaveEnd(life, isUnsure: true)
            }
        }
    }

    /// - Parameter isUnsure: whether the driver may not have been told.
    private func leaveEnd(_ life: ServerLife, isUnsure: Bool) async {
        observed.leaveEnd(of: life)
        if isUnsure { await hear(.unsure) }
    }

    private func probe(_ life: ServerLife, _ address: String, _ spec: CellSpec) {
        let began = now
        observed.probes[life] = HealthProbe(began: began, result: .pending)
        let limit = spec.failover.lease / 2
        errand.yield {
            let isAlive = await self.context.prober.isAlive(at: address, within: limit)
            await self.probed(life, began, isAlive)
        }
    }

    private func probed(_ life: ServerLife, _ began: Moment, _ isAlive: Bool) {
        guard observed.probes[life]?.began == began else { return }
        observed.probes[life]?.result = isAlive ? .answered : .failed
        mustRead = true
        bell.ring()
    }

    private func forget(_ lives: [ServerLife], _ election: Election) {
        guard !lives.isEmpty else { return }
        observed.forget(lives)
        let driver = driver
        errand.yield {
            do {
                try await self.board.forget(lives.map { (id: $0.id, incarnation: $0.incarnation) }, as: election)
                for life in lives { try await driver?.forget(life) }
            } catch {
                await self.stumble(error)
            }
        }
    }

    // MARK: The topic, the end

    func lookAtTopic(_ spec: CellSpec) {
        guard !looksAtTopic, case .kafka(let kafka) = spec.backplane else { return }
        looksAtTopic = true
        topicLookAt = now + .seconds(30)
        if topicSpec != spec {
            topic?.close()
            topic = nil
            do { topic = try TopicKeeper(spec, kafka) } catch { return lookedAtTopic(.unreachable("\(error)")) }
            topicSpec = spec
        }
        guard let topic else { return lookedAtTopic(.unreachable("the client of Kafka could not be made")) }
        let hasLog = observed.assignment.log != nil
        let read = positions
        errand.yield { await self.lookedAtTopic(await topic.look(hasLog: hasLog, read: read)) }
    }

    private func lookedAtTopic(_ view: LogView) {
        looksAtTopic = false
        if view != observed.log { context.log.info("\(cell): the topic: \(view)") }
        observed.log = view
        topicLookAt = now + (view.serves ? .seconds(10) : .seconds(1))
        bell.ring()
    }

    /// The highest offset that servers of the present log have read up to, by partition.
    private var positions: [Int32: Int64] {
        var highest: [Int32: Int64] = [:]
        for report in observed.reports.values where report.log != nil && report.log == observed.assignment.log {
            for (partition, offset) in report.positions {
                guard let number = Int32(partition) else { continue }
                highest[number] = max(highest[number] ?? 0, offset)
            }
        }
        return highest
    }

    /// Makes the history's tables where they are missing. An embedded history is made by whoever opens it first.
    private func lookAtStore(_ spec: CellSpec) {
        guard !looksAtStore, !observed.deleted else { return }
        looksAtStore = true
        storeSpec = spec.store
        storeLookAt = nil
        guard case .cassandra = spec.store else { return lookedAtStore(.ready) }
        errand.yield { await self.lookedAtStore(await StoreKeeper.look(spec)) }
    }

    private func lookedAtStore(_ view: StoreView) {
        looksAtStore = false
        if view != observed.store { context.log.info("\(cell): the history's store: \(view)") }
        observed.store = view
        storeLookAt = view == .ready ? nil : now + .seconds(2)
        bell.ring()
    }

    private func removeCell(_ election: Election) async {
        do {
            // Before the keys: once those are gone nobody knows whose these were.
            await withDiscardingTaskGroup { group in
                guard let driver else { return }
                for server in observed.servers ?? [] { group.addTask { try? await driver.forget(server.life) } }
            }
            try await board.removeCell(as: election)
            self.election = nil
            chronicle.lead(nil)
            leave()
        } catch {
            stumble(error)
        }
    }
}
