import Cell

/// The next safe steps from `observed` toward `spec`, and when to look again.
///
/// Pure: equal inputs give equal plans. What is decided here is carried out by the reconciler, which changes nothing in it.
public func plan(for spec: CellSpec, observed: ObservedCell, now: Moment) -> Plan {
    plan(for: spec, observed: observed, now: now, rules: .all)
}

/// The same, with some rules switched off: for those who test that the others notice.
package func plan(for spec: CellSpec, observed: ObservedCell, now: Moment, rules: Rules) -> Plan {
    observed.deleted ? Farewell(spec, observed, now).plan() : Planning(spec.scaled(to: observed.scaledTo), observed, now, rules).plan()
}

/// One pass. Repair first, and alone: its publication carries nothing else. What else is to be done is planned on top of it.
struct Planning {
    private let situation: Situation
    private let rollout: Rollout
    private var result = Plan()
    private var spec: CellSpec { situation.spec }
    private var observed: ObservedCell { situation.observed }
    var standings: Standings { situation.standings }
    private var rules: Rules { situation.rules }

    init(_ spec: CellSpec, _ observed: ObservedCell, _ now: Moment, _ rules: Rules) {
        let standings = Standings(observed, lease: spec.failover.lease, now: now, rules: rules)
        let asked = Situation(spec, observed.withDrains(of: standings), standings, now: now, rules: rules)
        rollout = Rollout(asked)
        situation = asked.replacing(rollout)
    }

    consuming func plan() -> Plan {
        var layout = Layout(observed.assignment.members, partitions: spec.partitions, standings)
        var services = members(but: .messaging)
        let joins = join(&layout, &services)
        let losses = self.losses()
        var failover = Failover(consume layout, situation)
        failover.repair(losses.allowed)
        let roles = RoleChoice(layout: failover.layout, situation: situation).roles()
        let fleet = Fleet(situation, roles: roles)

        services = services.filter { losses.allowed[$0.key] == nil }
        if losses.allowed.isEmpty || !rules.holds(.repairAlone) {
            services = services.filter { !fleet.leaving.contains($0.key) }
            develop(services, joins, failover.layout, roles, fleet.leaving)
        } else {
            publish(services, failover.layout, repairs: losses.byLease, notes: failover.notes + serviceNotes(losses.allowed))
        }
        finish(fleet, roles, failover.layout)
        return result
    }

    // MARK: What the next epoch says

    /// Of the assignment; each has a standing.
    private func members(but kind: ServerKind) -> [ServerID: Member] {
        var members: [ServerID: Member] = [:]
        for other in ServerKind.allCases where other != kind {
            for standing in standings.of(other) { members[standing.id] = observed.assignment.members[standing.id] }
        }
        return members
    }

    /// Ready servers that nobody gave a part yet, and addresses that have become known.
    private func join(_ layout: inout Layout, _ services: inout [ServerID: Member]) -> [Note] {
        var notes: [Note] = []
        guard rules.holds(.joins) else { return notes }
        for standing in standings.all {
            guard standing.isReady else { continue }
            let (id, address, http) = (standing.id, standing.address, standing.http)
            let isMessaging = id.kind == .messaging
            if isMessaging, layout.isKnown(standing.life, address, http) { continue }
            if let known = isMessaging ? layout[id] : services[id] {
                // Its former life is repaired first.
                guard known.incarnation == standing.life.incarnation else { continue }
                let isNews = !address.isEmpty && known.address != address || !http.isEmpty && known.http != http
                guard isNews else { continue }
                var member = known
                if !address.isEmpty { member.address = address }
                if !http.isEmpty { member.http = http }
                if isMessaging { layout.change(id) { $0 = member } } else { services[id] = member }
            } else {
                let member = Member(
                    incarnation: standing.life.incarnation, address: address, http: http, zone: standing.zone, role: isMessaging ? .idle : .service)
                if isMessaging { layout.add(id, member) } else { services[id] = member }
                notes.append(.ready(standing.life, at: address))
            }
        }
        return notes
    }

    /// Of the lost members, those to repair now: all that are confirmed, and of the others what the brake allows.
    private mutating func losses() -> (allowed: [ServerID: Loss], byLease: Int) {
        var confirmed: [ServerID: Loss] = [:]
        var suspected: [ServerID: Loss] = [:]
        // Most are what they were made members as.
        for standing in standings.all where !(standing.isReady && standing.membership == .thisLife) {
            switch standings.loss(of: standing) {
            case .confirmed(let reason): confirmed[standing.id] = .confirmed(reason)
            case .some(let loss): suspected[standing.id] = loss
            case nil: break
            }
        }
        guard !suspected.isEmpty else { return (confirmed, 0) }
        let failover = spec.failover
        let brake = Brake(
            fleet: observed.assignment.members.count, maxSimultaneous_percent: failover.maxSimultaneous_percent, lease: failover.lease,
            repairs: observed.leaseRepairs, now: situation.now)
        let allowed = suspected.keys.sorted().prefix(rules.holds(.brake) ? brake.allowed : suspected.count)
        if allowed.count < suspected.count {
            result.lookAgain = earliest(result.lookAgain, brake.nextAt)
            let text = "\(suspected.count - allowed.count) more servers seem dead by their leases alone; they are repaired one lease apart"
            result.findings.append(Finding(.trouble, "Braked", text))
        }
        for id in allowed { confirmed[id] = suspected[id] }
        return (confirmed, allowed.count)
    }

    private func serviceNotes(_ losses: [ServerID: Loss]) -> [Note] {
        losses.filter { $0.key.kind != .messaging }.sorted { $0.key < $1.key }.map { id, loss in
            Note("ServerLost", observed.assignment.members[id].map { ServerLife(id, $0.incarnation) }, "\(id) is lost: \(loss.reason)")
        }
    }

    /// Nobody is to be repaired: moves, roles, shadows, joins and goodbyes.
    private mutating func develop(_ services: [ServerID: Member], _ joins: [Note], _ layout: Layout, _ roles: Roles, _ leaving: Set<ServerID>) {
        let startsLog = startsLog(services)
        var moves = Moves(layout, roles: roles, situation)
        // Nobody is warm in a log that begins.
        if !startsLog { moves.advance() }
        var notes = joins.filter { note in note.server.map { !leaving.contains($0) } ?? true } + moves.notes
        for id in leaving { moves.layout.remove(id) }
        setRoles(roles, &moves.layout)
        if observed.assignment.log != nil || startsLog {
            notes += settleUnowned(&moves.layout, roles)
            notes += moves.begin()
        }
        if rules.holds(.shadows) {
            for (id, shadows) in Shadows(moves.layout, standbys: roles.standbys).shares() where moves.layout.shadows(id) != shadows {
                moves.layout.change(id) { $0.shadows = shadows }
            }
        }
        result.lookAgain = earliest(earliest(result.lookAgain, moves.lookAgain), roles.waitsUntil)
        publish(services, moves.layout, startsLog: startsLog, notes: notes)
    }

    private func setRoles(_ roles: Roles, _ layout: inout Layout) {
        for (ids, role) in [
            (roles.owners, Member.Role.owner), (roles.draining, .draining), (roles.standbys, .standby), (roles.idle, .idle), (roles.cordoned, .draining),
        ] {
            for id in ids { layout.setRole(role, of: id) }
        }
    }

    /// Gives what nobody owns to the owners that are ready, fewest first.
    private func settleUnowned(_ layout: inout Layout, _ roles: Roles) -> [Note] {
        let free = layout.unowned
        guard !free.isEmpty, rules.holds(.unowned) else { return [] }
        let ready = roles.owners.filter { standings.isReady($0) }
        guard !ready.isEmpty else { return [] }
        layout.spread(free, over: ready)
        return [Note("Assigned", nil, "\(count(free)) that nobody owned go to \(ready.count) servers")]
    }

    /// A log begins with the topic, and again when the topic is another; the embedded backplane's lives as long as its server.
    private func startsLog(_ services: [ServerID: Member]) -> Bool {
        switch spec.backplane {
        case .kafka: return observed.log == .renewed || (observed.assignment.log == nil && observed.log.serves)
        case .embedded:
            guard let (id, member) = services.filter({ $0.key.kind == .backplane }).min(by: { $0.key < $1.key }) else { return false }
            return observed.assignment.log == nil || observed.assignment.members[id]?.incarnation != member.incarnation
        }
    }

    private mutating func publish(_ services: [ServerID: Member], _ layout: Layout, startsLog: Bool = false, repairs: Int = 0, notes: [Note]) {
        var members = observed.assignment.members
        var isChanged = layout.apply(to: &members)
        for id in observed.assignment.members.keys where id.kind != .messaging && services[id] == nil {
            members[id] = nil
            isChanged = true
        }
        for (id, member) in services where members[id] != member {
            members[id] = member
            isChanged = true
        }
        guard startsLog || isChanged else { return }
        result.steps.append(.publish(Publication(members: members, startsLog: startsLog, leaseRepairs: repairs, notes: notes)))
    }

    // MARK: Everything else

    /// Why a server is killed once others have what it had.
    private func mortalSin(of standing: Standing) -> String? {
        switch standing.health {
        case .hung: "it hangs: \(Loss.leaseAlone.reason)"
        case .stuck(let partition): Loss.stuck(partition).reason
        // Most often its driver tells of its end before its lease is over.
        case .shut: standing.isInDoubt ? "its lease ran out and its port is shut" : nil
        case .starting, .ready, .unready, .suspect, .cutOff, .stopping, .gone: nil
        }
    }

    private mutating func finish(_ fleet: Fleet, _ roles: Roles, _ layout: Layout) {
        for standing in standings.all where !standing.isReady && rules.holds(.killsHung) {
            guard let why = mortalSin(of: standing), standing.isRunning else { continue }
            guard observed.assignment.members[standing.id]?.incarnation != standing.life.incarnation else { continue }
            result.steps.append(.kill(standing.life, why: why))
        }
        for other in standings.needless(lease: spec.failover.lease) {
            result.steps.append(.kill(other.life, why: "incarnation \(standings[other.id]?.life.incarnation.description ?? "") has its name, and lives"))
        }
        result.steps += fleet.starts + fleet.stops
        let probes = standings.probesDue()
        result.steps += probes.due
        if case .kafka = spec.backplane, observed.log == .unknown || observed.log == .missing { result.steps.append(.makeTopic) }
        if rules.holds(.forgets) { result.steps += Remains(situation).steps }
        result.lookAgain = earliest(earliest(result.lookAgain, probes.lookAgain), fleet.lookAgain)
        result.findings += fleet.findings + rollout.findings
        result.lookAgain = earliest(result.lookAgain, rollout.lookAgain)
        result.findings += Findings(situation, roles, layout).all
        result.findings.sort { ($1.weight.rawValue, $0.reason, $0.text) < ($0.weight.rawValue, $1.reason, $1.text) }
    }
}
