import Blackboard
import Cell
import Operator

// Looking at Redis and at the driver.
extension OperatorModel {
    /// `then` hears whether everything that had to be read was.
    func look(then: @escaping (Bool) -> Void) {
        guard let election else { return then(false) }
        let all = mustReadAll
        mustReadAll = false
        mustRead = false
        let failed = { [self] (refusal: RedisModel.Refusal) in
            stumble(refusal)
            if observed.redisBack == nil || all { mustReadAll = true }
            then(false)
        }
        let rest = { [self] in
            guard leads else { return then(false) }
            readServers(election, failed) { [self] in
                guard leads else { return then(false) }
                checkAssignment(election, failed) { self.writeSettings(election, failed) { then(true) } }
            }
        }
        let driverIsDue = driverReadAt.map { $0 + ObservedCell.driverReadEvery <= now } ?? false
        if all { readCell(election, failed, then: rest) } else if driverIsDue { readDriver(then: rest) } else { rest() }
    }

    typealias Failed = (RedisModel.Refusal) -> Void

    // MARK: Spec, assignment, driver

    private func readCell(_ election: RedisModel.Election, _ failed: @escaping Failed, then: @escaping () -> Void) {
        ask { redis, _ throws(RedisModel.Refusal) in
            redis.spec
        } then: { [self] specResult in
            guard case .success(let found) = specResult else { return failed(specResult.refusal) }
            ask { redis, _ throws(RedisModel.Refusal) in
                (redis.assignment, redis.logs, redis.wishes, redis.scale)
            } then: { [self] result in
                guard case .success(let (assignment, logs, wishes, scale)) = result else { return failed(result.refusal) }
                memory.learn(logs: logs)
                answered()
                if let found, memory.spec.map({ found.isNewer(than: $0) }) ?? true { memory.learn(spec: found) }
                if let assignment { memory.learn(assignment) }
                inRedis = assignment?.version
                observed.adopt(memory.assignment, now: now)
                takeSpec()
                takeWishes(wishes, scale, election, failed) { [self] in
                    isDriverMade = spec != nil
                    readDriver { [self] in
                        guard found != memory.spec || assignment == nil else {
                            undecidedUntil = nil
                            return then()
                        }
                        recover(found, assignment, election, failed, then: then)
                    }
                }
            }
        }
    }

    private func takeSpec() {
        guard let latest = memory.spec, latest != stored else { return }
        let read = world.specs[latest.json]
        // Whoever scales an autoscaled cell by hand is heard.
        if let spec, spec.messaging.servers != read?.messaging.servers { observed.scaledTo = nil }
        spec = read
        stored = latest
        observed.generation = latest.generation
        observed.deleted = latest.isDeleted
    }

    /// What Redis forgot is written again.
    private func takeWishes(_ found: Wishes, _ scale: Int?, _ election: RedisModel.Election, _ failed: @escaping Failed, then: @escaping () -> Void) {
        memory.learn(found)
        if !hasWishes { observed.scaledTo = scale }
        hasWishes = true
        observed.wishes = memory.wishes
        guard found.revision < memory.wishes.revision else { return then() }
        let wishes = memory.wishes
        ask { redis, now_ms throws(RedisModel.Refusal) in
            try redis.restore(wishes, as: election, now_ms: now_ms)
        } then: { result in
            if case .failure(let refusal) = result { failed(refusal) } else { then() }
        }
    }

    // MARK: Recovery

    private func recover(
        _ found: StoredSpec?, _ assignment: Assignment?, _ election: RedisModel.Election, _ failed: @escaping Failed, then: @escaping () -> Void
    ) {
        ask { redis, now_ms throws(RedisModel.Refusal) in
            redis.servers(now_ms: now_ms)
        } then: { [self] result in
            guard case .success(let seen) = result else { return failed(result.refusal) }
            giveWay(to: seen.latestTerm, election, failed) { [self] in
                guard leads else { return then() }
                let recovery = Recovery(
                    memory, found: found, assignment: assignment, seen: seen, running: observed.servers ?? [], waitsUntil: undecidedUntil,
                    lease: spec?.failover.lease ?? .milliseconds(1_500), now: now)
                switch recovery {
                case .none: undecidedUntil = nil
                case .gone: break
                case .abandoned: loseLead()
                case .waits(let until):
                    undecidedUntil = until
                    mustReadAll = true
                case .refills:
                    undecidedUntil = nil
                    return refill(seen, election, failed, then: then)
                }
                then()
            }
        }
    }

    /// Gives the lead up when servers obey a later term than its own.
    private func giveWay(to latest: Term, _ election: RedisModel.Election, _ failed: @escaping Failed, then: @escaping () -> Void) {
        guard latest > election.term else { return then() }
        memory.term = max(memory.term, latest)
        ask { redis, now_ms throws(RedisModel.Refusal) in
            redis.resign(election, now_ms: now_ms)
        } then: { [self] result in
            if case .failure(let refusal) = result { return failed(refusal) }
            loseLead()
            then()
        }
    }

    private func refill(_ seen: ServersInRedis, _ election: RedisModel.Election, _ failed: @escaping Failed, then: @escaping () -> Void) {
        let write = { [self] in
            memory.learn(reports: seen.reports)
            floor = max(floor, memory.epoch)
            observed.adopt(memory.assignment, now: now)
            if let log = observed.assignment.log { memory.learn(logs: [log]) }
            addLogs(election, failed) { [self] in
                observed.redisBack = now
                rewrite(election, failed) { [self] in
                    tell([Note("RedisRefilled", nil, "spec, assignment and settings are written again, from epoch \(observed.assignment.epoch)")])
                    then()
                }
            }
        }
        guard let spec = memory.spec else { return write() }
        ask { redis, now_ms throws(RedisModel.Refusal) in
            try redis.restore(spec, as: election, now_ms: now_ms)
        } then: { result in
            if case .failure(let refusal) = result { return failed(refusal) }
            write()
        }
    }

    func addLogs(_ election: RedisModel.Election, _ failed: @escaping Failed, then: @escaping () -> Void) {
        let logs = memory.logs
        ask { redis, now_ms throws(RedisModel.Refusal) in
            try redis.add(logs: logs, as: election, now_ms: now_ms)
        } then: { result in
            if case .failure(let refusal) = result { failed(refusal) } else { then() }
        }
    }

    /// Writes the whole assignment under a new epoch.
    private func rewrite(_ election: RedisModel.Election, _ failed: @escaping Failed, then: @escaping () -> Void) {
        guard observed.assignment.epoch > .none || !observed.assignment.members.isEmpty else { return then() }
        var again = observed.assignment
        again.term = election.term
        again.epoch = max(again.epoch, floor).next
        write(again, nil, election, failed) { [self] in
            observed.published(again, now: now)
            inRedis = again.version
            memory.learn(again)
            then()
        }
    }

    /// - Parameter old: what the change starts from; nil: everything is written.
    func write(
        _ new: Assignment, _ old: Assignment?, _ election: RedisModel.Election, _ failed: @escaping Failed, then: @escaping () -> Void
    ) {
        let world = world
        let delta = old.map { AssignmentDelta(from: $0, to: new) }
        ask { [self] redis, now_ms throws(RedisModel.Refusal) in
            let before = redis.assignment
            if let old, let delta {
                try redis.publish(from: old, to: new, delta, as: election, now_ms: now_ms)
            } else {
                try redis.rewrite(new, as: election, now_ms: now_ms)
            }
            world.checks.published(from: before, to: redis.assignment!, by: self, in: world)
            world.broadcast(delta, new.version)
        } then: { result in
            if case .failure(let refusal) = result { failed(refusal) } else { then() }
        }
    }

    private func checkAssignment(_ election: RedisModel.Election, _ failed: @escaping Failed, then: @escaping () -> Void) {
        guard undecidedUntil == nil else { return then() }
        ask { redis, _ throws(RedisModel.Refusal) in
            (redis.version, redis.settings?.epoch ?? 0, redis.spec?.generation ?? 0)
        } then: { [self] result in
            guard case .success(let (version, settingsEpoch, generation)) = result else { return failed(result.refusal) }
            inRedis = version
            if let settings, settingsEpoch < settings.epoch { self.settings = nil }
            if generation != stored?.generation {
                mustReadAll = true
                ring()
            }
            guard version != observed.assignment.version else { return then() }
            if version > observed.assignment.version || version.epoch == .none {
                if observed.assignment.epoch > .none || version.epoch > .none {
                    mustReadAll = true
                    ring()
                }
                return then()
            }
            world.timeline.add("\(name): Redis holds \(version), older than \(observed.assignment.version)")
            addLogs(election, failed) { self.rewrite(election, failed, then: then) }
        }
    }

    // MARK: Leases and reports

    private func readServers(_ election: RedisModel.Election, _ failed: @escaping Failed, then: @escaping () -> Void) {
        let asked = now
        ask { redis, now_ms throws(RedisModel.Refusal) in
            redis.servers(now_ms: now_ms)
        } then: { [self] result in
            guard case .success(let seen) = result else { return failed(result.refusal) }
            answered()
            giveWay(to: seen.latestTerm, election, failed) { [self] in
                guard leads else { return then() }
                world.onAccount { observed.take(seen, asked: asked, lease: spec?.failover.lease ?? .milliseconds(1_500)) }
                then()
            }
        }
    }

    // MARK: Settings

    private func writeSettings(_ election: RedisModel.Election, _ failed: @escaping Failed, _ then: @escaping () -> Void) {
        guard let spec, let stored else { return then() }
        guard let present = settings else {
            return ask { redis, _ throws(RedisModel.Refusal) in
                redis.settings
            } then: { [self] result in
                guard case .success(let found) = result else { return failed(result.refusal) }
                settings = found ?? RedisModel.ModelSettings()
                writeSettings(election, failed, then)
            }
        }
        var wanted = RedisModel.ModelSettings(
            epoch: present.epoch, generation: stored.generation, lease: spec.failover.lease, heartbeat: spec.failover.heartbeat)
        guard wanted != present || present.epoch == 0 else { return then() }
        wanted.epoch = max(present.epoch, memory.settingsEpoch, floor.value) + 1
        ask { redis, now_ms throws(RedisModel.Refusal) in
            try redis.write(wanted, as: election, now_ms: now_ms)
        } then: { [self] result in
            guard case .success(let isWritten) = result else { return failed(result.refusal) }
            settings = isWritten ? wanted : nil
            if isWritten { memory.settingsEpoch = wanted.epoch }
            then()
        }
    }
}

extension Result where Failure == RedisModel.Refusal {
    var refusal: RedisModel.Refusal { if case .failure(let refusal) = self { refusal } else { .away } }
}
