import Blackboard
import Cell
import Redis

// The lead: won, kept, lost.
extension CellOperator {
    var leadLease: Duration { max(.seconds(1), spec?.failover.lease ?? .milliseconds(1_500)) }

    /// Reads the state folder. A damaged file is named and set aside.
    func remember() {
        do {
            let (memory, damaged) = try context.folder.load(cell)
            self.memory = memory
            savedMemory = memory
            if let damaged {
                context.log.warning("\(cell): the state file was damaged and is now \(damaged); Redis and the servers' reports are asked instead")
                tell(Note("StateDamaged", nil, "the operator's state file was damaged and set aside as \(damaged)"))
            }
        } catch {
            context.log.error("\(cell): \(error)")
        }
    }

    /// Beside the loop, which does not wait for the disk.
    func saveMemory() {
        guard memory != savedMemory, !isOver else { return }
        savedMemory = memory
        context.disk.post { [memory, cell, context] in
            do { try context.folder.save(memory, of: cell) } catch { context.log.error("\(cell): \(error)") }
        }
    }

    /// Renews the lead three times in a lease, whatever the loop is doing.
    func keepLead() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: leadLease / 3)
            stayAwake()
            if election != nil { await renewLead() }
        }
    }

    /// - Returns: whether the lead is ours for another lease.
    @discardableResult
    func renewLead() async -> Bool {
        guard let election else { return false }
        let asked = now
        let lease = leadLease
        do {
            try await board.renew(election, lease: lease)
            answered()
            if self.election == election { leadsUntil = max(leadsUntil, asked + lease) }
            return self.election == election
        } catch {
            stumble(error)
            return false
        }
    }

    /// A lead that ran out by our own clock (we slept, or Redis was away) may still be ours.
    func regainLead() async -> Bool {
        guard election != nil else { return false }
        return await renewLead()
    }

    /// Before whatever cannot be taken back: is the lead still ours, by Redis's word?
    func confirmLead(_ expected: Election) async -> Bool {
        guard leads, election == expected else { return false }
        return await renewLead() && election == expected
    }

    func loseLead(_ why: String) {
        guard election != nil else { return }
        context.log.warning("\(cell): \(why)")
        election = nil
        chronicle.lead(nil)
        holdConnections()
        mustReadAll = true
        bell.ring()
    }

    /// Redis has answered.
    func answered() {
        if observed.redisBack == nil { observed.redisBack = now }
    }

    /// Sorts an error of the blackboard: Redis away, the lead lost, or somebody else's write.
    func stumble(_ error: any Error) {
        guard let error = error as? BlackboardError else { return context.log.error("\(cell): \(error)") }
        switch error.code {
        case .redis(let redis):
            if observed.redisBack != nil { context.log.warning("\(cell): Redis: \(redis)") }
            observed.redisBack = nil
            mustReadAll = true
        case .overtaken, .lapsed:
            answered()
            loseLead("\(error)")
        case .epoch, .generation, .forgotten, .beingDeleted, .malformed, .superseded:
            answered()
            context.log.warning("\(cell): \(error)")
            mustReadAll = true
        }
    }

    // MARK: Not leading

    /// Learns what the leader does, and campaigns when there is none.
    func follow() async {
        do {
            let spec = try await board.spec()
            if spec == nil, memory.spec?.isDeleted == true { return leave() }
            memory.learn(spec: spec)
            if let assignment = try? await board.assignment() { memory.learn(assignment) }
            memory.learn(logs: (try? await board.logs()) ?? [])
            if let wishes = try? await board.wishes() { memory.learn(wishes) }
            if let overrides = try? await board.overrides() { memory.learn(overrides) }
            if let settings = try? await board.settings() { memory.learn(settingsEpoch: settings.epoch) }
            answered()
            saveMemory()
            guard memory.spec != nil else {
                lookAgain = now + .seconds(1)
                return
            }
            try await campaign()
        } catch {
            stumble(error)
            lookAgain = now + .milliseconds(250)
        }
    }

    private func campaign() async throws {
        var generator = SystemRandomNumberGenerator()
        let token = Incarnation.random(using: &generator).description
        let asked = now
        let lease = leadLease
        switch try await board.campaign(as: context.name, token: token, lease: lease, atLeast: memory.term) {
        case .follows(let leader):
            memory.term = max(memory.term, leader.term)
            // Its key ends by itself; a little later we ask again.
            lookAgain = now + min(leader.remaining + .milliseconds(20), .seconds(1))
        case .leads(let won, let knownEpoch):
            election = won
            leadsUntil = asked + lease
            floor = max(knownEpoch, memory.epoch)
            memory.term = max(memory.term, won.term)
            saveMemory()
            takeOver(won)
        }
    }

    private func takeOver(_ won: Election) {
        context.log.info("\(cell): leads in term \(won.term)")
        chronicle.lead(won)
        observed.beginLead(now: now)
        inRedis = nil
        settings = nil
        undecidedUntil = nil
        mustReadAll = true
        tell(Note("LeaderChanged", nil, "operator \(context.name) leads in term \(won.term)"))
        lookAgain = now
        bell.ring()
    }

    /// The cell is gone.
    func leave() {
        context.log.info("\(cell): is gone")
        context.disk.post { [cell, context] in context.folder.remove(cell) }
        isOver = true
        bell.ring()
    }
}
