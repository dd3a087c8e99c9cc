import Blackboard
import Cell
import Operator

// The lead: won, kept, lost.
extension OperatorModel {
    /// Renews the lead three times in a lease, whatever the loop is doing.
    func keepLead() {
        later(leadLease.microseconds / 3) { [self] in
            observed.stayAwake(now: now, limit: leadLease)
            if election != nil { renewLead { _ in self.keepLead() } } else { keepLead() }
        }
    }

    func renewLead(then: @escaping (Bool) -> Void) {
        guard let election else { return then(false) }
        let asked = now
        let lease = leadLease
        ask { redis, now_ms throws(RedisModel.Refusal) in
            try redis.renew(election, lease: lease, now_ms: now_ms)
        } then: { [self] result in
            switch result {
            case .success:
                answered()
                if self.election == election { leadsUntil = max(leadsUntil, asked + lease) }
                then(self.election == election)
            case .failure(let refusal):
                stumble(refusal)
                then(false)
            }
        }
    }

    /// Before whatever cannot be taken back: is the lead still ours, by Redis's word?
    func confirmLead(_ expected: RedisModel.Election, then: @escaping (Bool) -> Void) {
        guard leads, election == expected else { return then(false) }
        renewLead { isOurs in then(isOurs && self.election == expected) }
    }

    func loseLead() {
        guard election != nil else { return }
        world.timeline.add("\(name) does not lead any more")
        election = nil
        mustReadAll = true
        ring()
    }

    /// Learns what the leader does, and campaigns when there is none.
    func follow(then: @escaping () -> Void) {
        ask { redis, _ throws(RedisModel.Refusal) in
            (redis.spec, redis.assignment, redis.logs, redis.wishes, redis.settings?.epoch ?? 0)
        } then: { [self] result in
            switch result {
            case .failure(let refusal):
                stumble(refusal)
                lookAgain = now + .milliseconds(250)
                then()
            case .success(let (spec, assignment, logs, wishes, settingsEpoch)):
                memory.learn(spec: spec)
                if let assignment { memory.learn(assignment) }
                memory.learn(logs: logs)
                memory.learn(wishes)
                memory.learn(settingsEpoch: settingsEpoch)
                answered()
                saveMemory()
                guard memory.spec != nil else {
                    lookAgain = now + .seconds(1)
                    return then()
                }
                campaign(then: then)
            }
        }
    }

    private func campaign(then: @escaping () -> Void) {
        let token = world.random.next()
        let asked = now
        let lease = leadLease
        let atLeast = memory.term
        ask { redis, now_ms throws(RedisModel.Refusal) in
            redis.campaign(token: token, lease: lease, atLeast: atLeast, now_ms: now_ms)
        } then: { [self] result in
            switch result {
            case .failure(let refusal):
                stumble(refusal)
                lookAgain = now + .milliseconds(250)
            case .success(.follows(let term, let remaining)):
                memory.term = max(memory.term, term)
                lookAgain = now + min(remaining + .milliseconds(20), .seconds(1))
            case .success(.leads(let won, let knownEpoch)):
                election = won
                leadsUntil = asked + lease
                floor = max(knownEpoch, memory.epoch)
                memory.term = max(memory.term, won.term)
                saveMemory()
                world.timeline.add("\(name) leads in term \(won.term)")
                observed.beginLead(now: now)
                inRedis = nil
                settings = nil
                undecidedUntil = nil
                mustReadAll = true
                lookAgain = now
                ring()
            }
            then()
        }
    }
}

extension Duration {
    var microseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
}
