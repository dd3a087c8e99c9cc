import Blackboard
import Cell

/// How what is seen changes with what witnesses tell and with what the operator itself does. Pure: the reconciler and the simulation share it.
extension ObservedCell {
    // MARK: This operator

    /// To be called several times in a lease, and before each plan: the operator runs. When it has not for longer than `limit`, it was paused.
    /// - Returns: whether it was.
    @discardableResult
    package mutating func stayAwake(now: Moment, limit: Duration) -> Bool {
        let wasPaused = awakeAt.map { now - $0 > limit } ?? false
        if wasPaused { seenSince = now }
        awakeAt = now
        return wasPaused
    }

    /// Time in which nothing happens was skipped.
    package mutating func putOff(by delay: Duration) {
        leasesRead = leasesRead + delay
        leases = leases.mapValues { $0 + delay }
        awakeAt = awakeAt.map { $0 + delay }
        loads.putOff(by: delay)
        loadWatch.putOff(by: delay)
        canary.putOff(by: delay)
    }

    // MARK: The driver

    /// How often the driver is asked for everything, whatever its events said: one of them may have been lost.
    package static let driverReadEvery = Duration.seconds(5)

    /// Takes in a server's state as the driver tells it.
    /// - Returns: its end, when this is the first word of it.
    package mutating func see(_ server: RunningServer, now: Moment) -> ServerExit? {
        let index = servers?.firstIndex { $0.life == server.life }
        if let index, servers?[index].isGone == true { return nil }
        let exit = noteExit(server, now: now)
        let server = amended(server)
        if let index { servers?[index] = server } else { servers?.append(server) }
        return exit
    }

    /// This operator is about to have `life` stopped or killed.
    /// - Returns: whether the driver runs it, as far as is known.
    package mutating func beginEnd(of life: ServerLife) -> Bool {
        guard let servers, let index = servers.firstIndex(where: { $0.life == life }) else { return false }
        ending.insert(life)
        let ended = amended(servers[index])
        self.servers?[index] = ended
        return true
    }

    /// The driver was told, or will not be: from now on it knows better.
    package mutating func leaveEnd(of life: ServerLife) { ending.remove(life) }

    /// With what this operator knows and the driver cannot know yet.
    private func amended(_ server: RunningServer) -> RunningServer {
        guard server.state == .running, ending.contains(server.life) else { return server }
        var server = server
        server.state = .stopping
        server.asked = true
        return server
    }

    /// Takes in everything that the driver runs.
    /// - Parameter starting: lives whose start is under way, which the driver may not know yet.
    /// - Returns: the ends that are news.
    package mutating func see(all found: [RunningServer], starting: Set<ServerLife>, now: Moment) -> [ServerExit] {
        let known = Set(found.map(\.life))
        let pending = (servers ?? []).filter { starting.contains($0.life) && !known.contains($0.life) }
        let ends = found.compactMap { noteExit($0, now: now) }
        servers = found.map(amended) + pending
        return ends
    }

    /// Remembers how a server ended; nil when it lives or that was known.
    package mutating func noteExit(_ server: RunningServer, now: Moment) -> ServerExit? {
        guard case .exited(let at, let reason) = server.state, !exits.contains(where: { $0.life == server.life }) else { return nil }
        let wasReady = readySince[server.life] != nil || at - server.started >= CrashLoop.youth
        let exit = ServerExit(server.life, started: server.started, at: at, wasReady: wasReady, asked: server.asked, reason: reason, template: server.template)
        exits.append(exit)
        exits.sort { $0.at < $1.at }
        exits.removeAll { $0.at < now - .seconds(600) }
        return exit
    }

    /// The driver told of a member's end that is not published yet.
    package var hasUnpublishedEnd: Bool {
        (servers ?? []).contains { $0.isGone && assignment.members[$0.life.id]?.incarnation == $0.life.incarnation }
    }

    // MARK: Ports

    /// A server's connection broke, and its port refuses another.
    ///
    /// - Returns: whether that is news of a member.
    package mutating func noteShut(_ life: ServerLife, now: Moment) -> Bool {
        guard assignment.members[life.id]?.incarnation == life.incarnation else { return false }
        shut[life] = now
        return true
    }

    // MARK: Leases and reports

    /// - Parameter asked: when Redis was asked for them.
    package mutating func take(_ seen: ServersInRedis, asked: Moment, lease: Duration) {
        leasesRead = asked
        let lease_ms = lease.milliseconds
        for found in seen.leases {
            let left_ms = found.expiry_ms - seen.time_ms
            // One that ends later than ten leases from now was written by another clock: it proves nothing.
            let isForeign = left_ms > 10 * lease_ms
            let end = isForeign ? asked : Moment(milliseconds: asked.milliseconds + left_ms)
            guard let before = leases.updateValue(end, forKey: ServerLife(found.server, found.incarnation)) else { continue }
            if goesBack(from: before, to: end, isForeign: isForeign, asked: asked, lease_ms: lease_ms) { seenSince = asked }
        }
        if leases.count > seen.leases.count {
            let present = Set(seen.leases.map { ServerLife($0.server, $0.incarnation) })
            leases = leases.filter { present.contains($0.key) }
        }
        // Quick when it is the same dictionary.
        if reports != seen.reports { takeReports(seen.reports, asked: asked) }
        canary.look(at: assignment, reports, now: asked) { [leases] in leases[$0].map { $0 > asked } ?? false }
    }

    /// Leases only grow: Redis was away for a moment that nobody noticed and came back older, or its clock jumped. One that was renewed just now is shorter
    /// because its server has learned that leases are.
    private func goesBack(from before: Moment, to end: Moment, isForeign: Bool, asked: Moment, lease_ms: Int64) -> Bool {
        if isForeign { return before > asked }
        let isNew = end.milliseconds > asked.milliseconds + lease_ms / 2
        return !isNew && end.milliseconds < before.milliseconds - lease_ms / 2
    }

    private mutating func takeReports(_ seen: [ServerID: Report], asked: Moment) {
        reports = seen
        for (id, report) in seen where report.state == .ready {
            let life = ServerLife(id, report.incarnation)
            if readySince[life] == nil { readySince[life] = asked }
        }
    }

    package mutating func forget(_ lives: [ServerLife]) {
        for life in lives {
            servers?.removeAll { $0.life == life && $0.isGone }
            if reports[life.id]?.incarnation == life.incarnation { reports[life.id] = nil }
            leases[life] = nil
            readySince[life] = nil
            probes[life] = nil
            shut[life] = nil
        }
    }

    // MARK: Assignments

    /// This operator is about to publish `new`. The answer may be lost, so it is counted when it is seen in Redis.
    package mutating func attempts(_ new: Assignment, leaseRepairs: Int, now: Moment) {
        attempt = Attempt(term: new.term, epoch: new.epoch, leaseRepairs: leaseRepairs, at: now)
    }

    private mutating func arrived(_ found: Assignment) {
        guard let attempt, attempt.term == found.term, attempt.epoch == found.epoch else { return }
        leaseRepairs = (leaseRepairs + Array(repeating: attempt.at, count: attempt.leaseRepairs)).suffix(10_000)
        self.attempt = nil
    }

    /// Takes an assignment that another leader, or this one in an earlier life, has published.
    package mutating func adopt(_ found: Assignment, now: Moment) {
        arrived(found)
        guard found.version != assignment.version else { return }
        for (id, member) in found.members where assignment.members[id] != member { changes[id] = .init(epoch: found.epoch, at: now) }
        assignment = found
        loadWatch.note(found, now: now)
    }

    /// Takes the assignment that this operator has just published.
    package mutating func published(_ new: Assignment, now: Moment) {
        arrived(new)
        for (id, member) in new.members where assignment.members[id] != member { changes[id] = .init(epoch: new.epoch, at: now) }
        for id in assignment.members.keys where new.members[id] == nil { changes[id] = nil }
        assignment = new
        loadWatch.note(new, now: now)
    }

    /// A lead begins: what the last one of this operator knew may be old.
    package mutating func beginLead(now: Moment) {
        since = now
        // It may not have noticed that Redis was away.
        seenSince = now
        changes = [:]
        log = .unknown
        let pace = canary.pace
        canary = Canary()
        canary.pace = pace
        leaseRepairs = []
        attempt = nil
        loadWatch = LoadWatch()
    }
}
