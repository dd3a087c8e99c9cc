import Cell

/// Who is to own, who is to drain, who stands by, and who is too many.
struct Roles: Equatable, Sendable {
    /// Own partitions, or will.
    var owners: [ServerID] = []
    /// Own partitions, and are to lose them.
    var draining: [ServerID] = []
    /// Are to drain as soon as another is ready in their place, so that clients move once.
    var waiting: [ServerID] = []
    var standbys: [ServerID] = []
    var idle: [ServerID] = []
    /// Have lost everything because people drain them, and stay without.
    var cordoned: [ServerID] = []
    /// Nothing depends on them and the spec does not ask for them.
    var surplus: [ServerLife] = []
    /// How many more the spec asks for.
    var missing = 0
    /// Owners that are about to be ready: what is to be theirs goes to nobody else before.
    var coming = 0
    /// The first assignment waits until then for more servers to be ready.
    var waitsUntil: Moment?
}

/// Decides roles from the spec's numbers; whoever has a role keeps it as long as the numbers allow.
struct RoleChoice {
    let layout: Layout
    let situation: Situation
    private var spec: MessagingSpec { situation.spec.messaging }
    private var standings: Standings { situation.standings }
    private var observed: ObservedCell { situation.observed }
    private var now: Moment { situation.now }

    func roles() -> Roles {
        var roles = Roles()
        let living = standings.of(.messaging).filter(\.lives)
        let wanted = living.filter { !observed.drains.contains($0.id) }
        var holders: [ServerID] = []
        var drained: [ServerID] = []
        var free: [ServerID] = []
        var frozen: [ServerID] = []
        for standing in living {
            if layout.isHolder(standing.life) {
                if observed.drains.contains(standing.id) { drained.append(standing.id) } else { holders.append(standing.id) }
            } else if standing.isReady {
                if layout.has(standing.id) { free.append(standing.id) }
            } else if layout.role(of: standing.id) == .standby {
                frozen.append(standing.id)
            }
        }
        if !drained.isEmpty {
            let begun = drained.filter { layout.role(of: $0) == .draining }
            roles.draining = replacementIsDue(living, wanted) ? begun : drained
            let isDraining = Set(roles.draining)
            roles.waiting = drained.filter { !isDraining.contains($0) }
        }
        if holders.count > spec.servers {
            let missed = leastMissed(holders, count: holders.count - spec.servers)
            roles.draining += missed
            let isMissed = Set(missed)
            holders.removeAll { isMissed.contains($0) }
        }
        assign(ranked(free), holders, frozen, &roles)
        let isDraining = Set(roles.draining)
        let counted = wanted.count { !isDraining.contains($0.id) && !observed.outgoing.contains($0.id) }
        roles.missing = max(0, spec.servers + spec.standbys - counted)
        let unborn = living.count { isComing($0) && !observed.drains.contains($0.id) }
        roles.coming = max(0, min(spec.servers - roles.owners.count, unborn - max(0, spec.standbys - roles.standbys.count)))
        chooseSurplus(living, counted: counted, &roles)
        roles.cordoned = roles.idle.filter { observed.drains.contains($0) && !observed.retired.contains($0) }
        let isCordoned = Set(roles.cordoned)
        if !isCordoned.isEmpty { roles.idle.removeAll { isCordoned.contains($0) } }
        return roles
    }

    /// Somebody is about to be ready in the place of those that drain.
    private func replacementIsDue(_ living: [Standing], _ wanted: [Standing]) -> Bool {
        let target = spec.servers + spec.standbys
        guard wanted.count(where: \.isReady) < target, observed.servers != nil else { return false }
        guard !CrashLoop(.messaging, observed, standings, now: now).isLoop else { return false }
        let counted = wanted.count { !observed.outgoing.contains($0.id) }
        return counted < target || living.contains(where: isComing)
    }

    /// It starts, and has not taken longer than a server may: so long a drain waits for it.
    private func isComing(_ standing: Standing) -> Bool {
        standing.health == .starting && now < (standing.running?.started ?? now) + situation.spec.rollout.readyWithin
    }

    /// Of the owners, those whose drain costs least; who drains already goes on.
    private func leastMissed(_ holders: [ServerID], count: Int) -> [ServerID] {
        let able = holders.filter { standings.isReady($0) }
        let keys = able.map { id in (id: id, began: layout.role(of: id) == .draining ? 0 : 1, owned: layout.owns(id).count) }
        return keys.sorted { ($0.began, $0.owned, $1.id) < ($1.began, $1.owned, $0.id) }.prefix(count).map(\.id).sorted()
    }

    /// Ready servers that own nothing: standbys first, those asked to drain last.
    private func ranked(_ free: [ServerID]) -> [ServerID] {
        let ranked = free.map { id -> (id: ServerID, rank: Int) in
            let role = layout.role(of: id)
            return (id: id, rank: (observed.drains.contains(id) ? 4 : 0) + (role == .standby ? 0 : role == .draining ? 2 : 1))
        }
        return ranked.sorted { ($0.rank, $0.id) < ($1.rank, $1.id) }.map(\.id)
    }

    /// - Parameter frozen: standbys that are not ready now; they stay what they are.
    private func assign(_ spares: [ServerID], _ holders: [ServerID], _ frozen: [ServerID], _ roles: inout Roles) {
        var spares = spares
        roles.owners = holders
        let unasked = spares.filter { !observed.drains.contains($0) }
        var promoted: [ServerID] = []
        if holders.isEmpty {
            roles.waitsUntil = settling(unasked)
            if roles.waitsUntil == nil { promoted = spread((unasked.isEmpty ? spares : unasked).sorted(), count: spec.servers, beside: []) }
        } else {
            let extra = min(spec.servers - holders.count, unasked.count, unasked.count + frozen.count - spec.standbys)
            // Idle ones first: a standby has read what it shadows.
            if extra > 0 {
                let ranked = unasked.sorted { rank($0) < rank($1) }
                let idle = ranked.filter { rank($0).0 == 0 }
                promoted = spread(idle, count: extra, beside: holders)
                promoted += spread(ranked.filter { rank($0).0 == 1 }, count: extra - promoted.count, beside: holders + promoted)
            }
        }
        let isPromoted = Set(promoted)
        spares.removeAll { isPromoted.contains($0) }
        roles.owners = (holders + promoted).sorted()
        let seats = max(0, spec.standbys - frozen.count)
        // Who stands by goes on; of the others those in zones that have the fewest standbys.
        var chosen = Array(spares.filter { layout.role(of: $0) == .standby && !observed.drains.contains($0) }.prefix(seats))
        let isChosen = Set(chosen)
        let others = spares.filter { !isChosen.contains($0) }
        let open = others.filter { !observed.drains.contains($0) }
        chosen += spread(open, count: seats - chosen.count, beside: frozen + chosen)
        chosen += others.filter { observed.drains.contains($0) }.prefix(seats - chosen.count)
        roles.standbys = (frozen + chosen).sorted()
        let seated = Set(chosen)
        roles.idle = spares.filter { !seated.contains($0) }
    }

    /// The first `count` of `ids`, but that each comes from the zone that has the fewest of them and of `present`.
    private func spread(_ ids: [ServerID], count: Int, beside present: [ServerID]) -> [ServerID] {
        guard count > 0 else { return [] }
        guard ids.count > count else { return ids }
        func zone(_ id: ServerID) -> String { standings[id]?.zone ?? "" }
        let queues = Dictionary(grouping: ids, by: zone)
        guard queues.count > 1 else { return Array(ids.prefix(count)) }
        let zones = queues.keys.sorted()
        var counts = zones.map { name in present.count { zone($0) == name } }
        var rests = zones.map { queues[$0]![...] }
        return (0..<count).compactMap { _ in
            guard let place = zones.indices.filter({ !rests[$0].isEmpty }).min(by: { (counts[$0], $0) < (counts[$1], $1) }) else { return nil }
            counts[place] += 1
            return rests[place].removeFirst()
        }
    }

    private func rank(_ id: ServerID) -> (Int, Int) { (layout.role(of: id) == .standby ? 1 : 0, -id.number) }

    /// Until when the very first owners are waited for; nil when enough are ready, or time is over.
    private func settling(_ ready: [ServerID]) -> Moment? {
        guard ready.count < spec.servers, layout.unowned.count == layout.partitions else { return nil }
        let first = ready.compactMap { standings[$0].map { observed.readySince[$0.life] ?? now } }.min()
        guard let first else { return nil }
        let end = first + (situation.rules.holds(.settles) ? situation.spec.failover.lease : .zero)
        return end > now ? end : nil
    }

    private func chooseSurplus(_ living: [Standing], counted: Int, _ roles: inout Roles) {
        let target = spec.servers + spec.standbys
        // Whoever may be dead or not counts for neither: nobody is started in its place yet, and nobody is stopped because of it.
        let doubtful = living.count { $0.health == .suspect && !observed.drains.contains($0.id) }
        let over = counted - doubtful - target
        if over > 0 {
            let unborn = living.filter { $0.health == .starting && !observed.drains.contains($0.id) }.reversed().map(\.life)
            let idle = roles.idle.filter { !observed.drains.contains($0) && isEmpty($0) }.reversed().compactMap { standings[$0]?.life }
            roles.surplus = Array((unborn + idle).prefix(over))
        }
        if !situation.rules.holds(.drainFirst) { roles.surplus += roles.draining.compactMap { standings[$0]?.life } }
        // Whom a rollout replaces goes as soon as enough others are ready, and at once when it was never ready itself.
        let readyOthers = living.filter { $0.isReady && !observed.drains.contains($0.id) }.count
        let retired = living.filter { observed.retired.contains($0.id) && isEmpty($0.id) && !roles.owners.contains($0.id) && !roles.standbys.contains($0.id) }
        roles.surplus += retired.filter { readyOthers >= target || $0.health == .starting }.map(\.life)
        // Whoever was drained for a smaller spec.
        let isSurplus = Set(roles.surplus.map(\.id))
        if !isSurplus.isEmpty { roles.idle.removeAll { isSurplus.contains($0) } }
    }

    private func isEmpty(_ id: ServerID) -> Bool {
        layout.owns(id).isEmpty && layout.opens(id).isEmpty && layout.leaves(id).isEmpty
    }
}
