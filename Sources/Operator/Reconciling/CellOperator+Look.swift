import Blackboard
import Cell
import Redis
import YAML

// Looking at Redis and at the driver.
extension CellOperator {
    /// - Returns: whether everything that had to be read was.
    func look() async -> Bool {
        guard let election else { return false }
        let all = mustReadAll
        mustReadAll = false
        mustRead = false
        if all { reportsReadAt = nil }
        do {
            if all { try await readCell(election) } else if driverIsDue { await readDriver() }
            guard leads else { return false }
            try await readServers(election)
            guard leads else { return false }
            try await checkAssignment(election)
            if stored != nil { try await writeSettings(election) }
            return true
        } catch {
            stumble(error)
            if observed.redisBack == nil || all { mustReadAll = true }
            return false
        }
    }

    // MARK: Spec, assignment, driver

    private func readCell(_ election: Election) async throws {
        let found = try await board.spec()
        let assignment: Assignment?
        do { assignment = try await board.assignment() } catch let error as BlackboardError where error.redis == nil {
            // Half an assignment is none: it is written again from what we remember.
            context.log.warning("\(cell): \(error)")
            assignment = nil
        }
        memory.learn(logs: try await board.logs())
        answered()
        if let found, memory.spec.map({ found.isNewer(than: $0) }) ?? true { memory.learn(spec: found) }
        if let assignment { memory.learn(assignment) }
        inRedis = assignment?.version
        observed.adopt(memory.assignment, now: now)
        try await readOverrides(election)
        takeSpec()
        try await takeWishes(election)
        await prepareDriver()
        if found != memory.spec || assignment == nil {
            try await recover(found, assignment, election)
        } else {
            // Whatever was missing, somebody has written it meanwhile.
            undecidedUntil = nil
        }
    }

    /// Reads the spec that counts. One that cannot be read leaves the last one in force.
    private func takeSpec() {
        guard let latest = memory.spec, latest != stored else { return layOverrides() }
        do {
            let read = try CellSpec.read(json: latest.json, source: "{cell:\(cell)}:spec")
            // Whoever scales an autoscaled cell by hand is heard.
            if let spec, spec.messaging.servers != read.messaging.servers { observed.scaledTo = nil }
            if spec != nil, stored?.generation != latest.generation {
                tell(Note("SpecApplied", nil, "generation \(latest.generation) of the spec is applied"))
            }
            plainSpec = read
            specProblem = nil
            layOverrides()
        } catch {
            specProblem = "generation \(latest.generation) of the spec cannot be read: \(error)"
        }
        stored = latest
        observed.generation = latest.generation
        if latest.isDeleted, !observed.deleted {
            tell(Note("CellDeleting", nil, farewell))
        }
        observed.deleted = latest.isDeleted
    }

    /// Reads what people ask for. What Redis forgot is written again, and what nobody can read is told and changes nothing.
    private func takeWishes(_ election: Election) async throws {
        let found: Wishes
        do { found = try await board.wishes() } catch let error as BlackboardError where error.redis == nil {
            return context.log.warning("\(cell): \(error)")
        }
        if found.revision < memory.wishes.revision { try await board.restore(memory.wishes, as: election) }
        if found.revision > memory.wishes.revision, hasWishes { tell(found.news(since: memory.wishes)) }
        memory.learn(found)
        if !hasWishes { observed.scaledTo = try await board.scale() }
        hasWishes = true
        observed.wishes = memory.wishes
    }

    private var farewell: String {
        var stays: [String] = []
        if case .kafka(let kafka)? = spec?.backplane { stays.append("topic \(kafka.topic)") }
        switch spec?.store {
        case .cassandra(let store)?: stays.append("keyspace \(store.keyspace)")
        case .sqlite?: stays.append("the history in \(spec?.historyFile ?? "its file")")
        case nil: break
        }
        return "the servers stop, then the cell's keys go; \(stays.isEmpty ? "nothing" : stays.joined(separator: " and ")) stays and is yours to delete"
    }

    /// What its events said may have been lost.
    private var driverIsDue: Bool { driverReadAt.map { $0 + ObservedCell.driverReadEvery <= now } ?? false }

    /// The driver that the spec asks for, and all that it knows.
    private func prepareDriver() async {
        guard let spec else { return }
        if driver == nil || driverTask != spec.run {
            do {
                let made = try context.makeDriver(spec, context.redis.address, context.clock)
                driver = made
                driverTask = spec.run
                driverProblem = nil
                let events = made.events()
                errand.yield { for await event in events { await self.hear(event) } }
            } catch {
                driver = nil
                observed.servers = nil
                driverProblem = "\(error)"
            }
        }
        await readDriver()
    }

    // MARK: Recovery

    /// Redis has less than we remember: it came back empty, or a while older.
    private func recover(_ found: StoredSpec?, _ assignment: Assignment?, _ election: Election) async throws {
        let seen = try await board.servers()
        if try await givesWay(to: seen.latestTerm, election) { return }
        let recovery = Recovery(
            memory, found: found, assignment: assignment, seen: seen, running: observed.servers ?? [], waitsUntil: undecidedUntil,
            lease: spec?.failover.lease ?? .milliseconds(1_500), now: now)
        switch recovery {
        case .none: undecidedUntil = nil
        case .gone: leave()
        case .abandoned:
            context.log.warning(
                "\(cell): is in the state folder and nowhere else; it is left alone. Apply it again to have it back, or delete \(context.folder.path)/\(cell).state"
            )
            loseLead("nothing of the cell is left")
        case .waits(let until):
            if undecidedUntil == nil {
                tell(Note("RedisLostData", nil, "Redis has forgotten a part of the cell; it is written again as soon as the servers have reported"))
            }
            undecidedUntil = until
            mustReadAll = true
        case .refills:
            undecidedUntil = nil
            try await refill(seen, election)
        }
    }

    /// Gives the lead up when servers obey a later term than its own.
    private func givesWay(to latest: Term, _ election: Election) async throws -> Bool {
        guard latest > election.term else { return false }
        memory.term = max(memory.term, latest)
        // Most often because somebody else leads by now.
        guard await confirmLead(election) else { return true }
        try await board.resign(election)
        loseLead("servers obey term \(latest), and this lead is of term \(election.term): another is to be won above it")
        return true
    }

    private func refill(_ seen: ServersInRedis, _ election: Election) async throws {
        let newest = seen.reports.values.map(\.generation).max() ?? 0
        if let spec = memory.spec, newest > spec.generation {
            context.log.warning("\(cell): servers have applied generation \(newest) and this operator knows \(spec.generation) at most; it goes on with that")
        }
        if let spec = memory.spec { try await board.restore(spec, as: election) }
        memory.learn(reports: seen.reports)
        floor = max(floor, memory.epoch)
        observed.adopt(memory.assignment, now: now)
        if let log = observed.assignment.log { memory.learn(logs: [log]) }
        try await board.add(memory.logs, as: election)
        // Readiness begins anew with the leases.
        observed.redisBack = now
        try await rewrite(election)
        tell(Note("RedisRefilled", nil, "spec, assignment and settings are written again, from epoch \(observed.assignment.epoch)"))
    }

    /// Writes the whole assignment under a new epoch.
    func rewrite(_ election: Election) async throws {
        guard observed.assignment.epoch > .none || !observed.assignment.members.isEmpty else { return }
        var again = observed.assignment
        again.term = election.term
        again.epoch = max(again.epoch, floor).next
        try await board.rewrite(again, as: election)
        published(again)
    }

    /// What Redis holds has to be what we published.
    private func checkAssignment(_ election: Election) async throws {
        guard undecidedUntil == nil else { return }
        let heads = try await board.heads()
        let version = heads.version
        inRedis = version
        // Redis may have lost a moment in which the settings were written, or a spec was.
        if let settings, heads.settingsEpoch < settings.epoch { self.settings = nil }
        if heads.generation != stored?.generation {
            mustReadAll = true
            bell.ring()
        }
        guard version != observed.assignment.version else { return }
        if version > observed.assignment.version || version.epoch == .none {
            // Somebody's write that we have not seen, or Redis forgot: read everything.
            if observed.assignment.epoch > .none || version.epoch > .none {
                mustReadAll = true
                bell.ring()
            }
            return
        }
        context.log.warning("\(cell): Redis holds \(version), older than \(observed.assignment.version): all is written again")
        try await board.add(memory.logs, as: election)
        try await rewrite(election)
    }

    // MARK: Leases and reports

    private func readServers(_ election: Election) async throws {
        let asked = now
        let seen = try await readServers(asked: asked)
        answered()
        if reportsReadAt == asked, try await givesWay(to: seen.latestTerm, election) { return }
        let lease = spec?.failover.lease ?? .milliseconds(1_500)
        observed.take(seen, asked: asked, lease: lease)
        for (place, why) in seen.malformed.sorted(by: { $0.key < $1.key }) { context.log.warning("\(cell): \(place) \(why)") }
    }

    /// Leases are read with each look; what servers report beside, without saying that it is urgent, once in a while.
    private func readServers(asked: Moment) async throws -> ServersInRedis {
        let before = inRedisNow
        let seen: ServersInRedis
        if let before, let last = reportsReadAt, last + Self.reportsReadEvery > asked {
            seen = try await board.leases(beside: before)
        } else {
            // Before it is read: what is told meanwhile may not be in it.
            reportsReadAt = asked
            do { seen = try await board.servers(after: before) } catch {
                reportsReadAt = nil
                throw error
            }
        }
        inRedisNow = seen
        return seen
    }

    /// Where readers are and how many clients there are may be as old as this.
    private static var reportsReadEvery: Duration { .seconds(1) }

    // MARK: Settings

    /// What was set by hand. A Redis that has less than we remember gets it back.
    private func readOverrides(_ election: Election) async throws {
        let found: SettingsOverrides
        do { found = try await board.overrides() } catch let error as BlackboardError where error.redis == nil {
            context.log.warning("\(cell): \(error)")
            found = SettingsOverrides()
        }
        memory.learn(found)
        // Without its spec the cell itself is not back yet; it is looked at again then.
        if found.revision < memory.overrides.revision, memory.spec != nil { try await board.restore(memory.overrides, as: election) }
    }

    /// Lays the overrides over the spec; those that a newer spec does not bear wait until it does.
    private func layOverrides() {
        guard let plainSpec else { return }
        do throws(SpecProblems) {
            spec = try plainSpec.overridden(by: memory.overrides)
            overridesProblem = nil
        } catch {
            spec = plainSpec
            let problem = "what was set by hand does not go with generation \(memory.spec?.generation ?? 0) of the spec, which holds alone: \(error)"
            if problem != overridesProblem { tell(Note("SettingsIgnored", nil, problem)) }
            overridesProblem = problem
        }
    }

    private func writeSettings(_ election: Election) async throws {
        guard let spec, let stored, specProblem == nil else { return }
        if settings == nil { settings = (try? await board.settings()) ?? Settings() }
        guard let present = settings else { return }
        var wanted = Settings(spec, generation: stored.generation, epoch: present.epoch)
        guard wanted != present || present.epoch == 0 else { return }
        wanted.epoch = max(present.epoch, memory.settingsEpoch, floor.value) + 1
        if try await board.write(wanted, as: election) {
            settings = wanted
            memory.settingsEpoch = wanted.epoch
        } else {
            settings = nil
        }
    }
}
