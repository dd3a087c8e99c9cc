import Cell

/// Which servers to start and to stop, so that the driver runs what the spec asks for.
struct Fleet {
    private let situation: Situation
    private var spec: CellSpec { situation.spec }
    private var standings: Standings { situation.standings }
    private var observed: ObservedCell { situation.observed }
    private var now: Moment { situation.now }
    private var rules: Rules { situation.rules }

    private(set) var starts: [Step] = []
    private(set) var stops: [Step] = []
    /// Services that the assignment is not to name any more.
    private(set) var leaving: Set<ServerID> = []
    private(set) var findings: [Finding] = []
    private(set) var lookAgain: Moment?

    init(_ situation: Situation, roles: Roles) {
        self.situation = situation
        for kind in ServerKind.allCases {
            let surplus = !rules.holds(.stops) ? [] : kind == .messaging ? roles.surplus : self.surplus(kind)
            leaving.formUnion(surplus.map(\.id))
            for life in surplus where observed.assignment.members[life.id]?.incarnation != life.incarnation && canStop(life) {
                stops.append(
                    .stop(
                        life,
                        why: observed.retired.contains(life.id)
                            ? Step.replaced
                            : observed.drains.contains(life.id) ? "it was drained" : "the spec asks for fewer \(kind.rawValue) servers"))
            }
            start(kind, missing: kind == .messaging ? roles.missing : missing(kind))
            watchStarting(kind)
        }
    }

    static func wanted(_ kind: ServerKind, _ spec: CellSpec) -> Int {
        switch kind {
        case .messaging: spec.messaging.servers + spec.messaging.standbys
        case .connect: spec.connect.servers
        case .history: spec.history.servers
        case .materialize: spec.materialize.servers
        case .backplane: if case .embedded = spec.backplane { 1 } else { 0 }
        }
    }

    private func canStop(_ life: ServerLife) -> Bool { standings[life.id]?.isRunning ?? false }

    /// Those that count as servers that the spec asks for.
    private func undrained(_ kind: ServerKind) -> [Standing] {
        standings.of(kind).filter { $0.lives && !observed.drains.contains($0.id) && !observed.outgoing.contains($0.id) }
    }

    private func missing(_ kind: ServerKind) -> Int { max(0, Self.wanted(kind, spec) - undrained(kind).count) }

    private func surplus(_ kind: ServerKind) -> [ServerLife] {
        let wanted = Self.wanted(kind, spec)
        let counted = undrained(kind)
        let ranked = counted.sorted { ($0.isReady ? 1 : 0, $1.id) < ($1.isReady ? 1 : 0, $0.id) }
        let doubtful = counted.count { $0.health == .suspect }
        let over = ranked.prefix(max(0, counted.count - doubtful - wanted)).map(\.life)
        let enough = counted.count { $0.isReady } >= wanted
        return over + (enough ? standings.of(kind).filter { $0.lives && observed.drains.contains($0.id) }.map(\.life) : [])
    }

    private mutating func start(_ kind: ServerKind, missing: Int) {
        guard missing > 0, rules.holds(.starts), let servers = observed.servers else { return }
        findings.append(Finding(.progress, "Starting", "\(missing) \(kind.rawValue) servers are missing"))
        let loop = CrashLoop(kind, observed, standings, now: now)
        var amount = missing
        if loop.isLoop, rules.holds(.crashLoop) {
            findings.append(Finding(.trouble, "CrashLoop", "\(kind.rawValue) servers died young \(loop.deaths) times in a row: \(loop.reason)"))
            if standings.of(kind).contains(where: { $0.health == .starting }) { return }
            amount = 1
        }
        if let wait = loop.waitUntil, wait > now, rules.holds(.crashLoop) {
            lookAgain = earliest(lookAgain, wait)
            return
        }
        // Not where people drain everything, as long as there is another place.
        let open = spec.zones.filter { !observed.wishes.drainedZones.contains($0) }
        let present = undrained(kind)
        var zones = ZoneChoice(rules.holds(.zones) ? (open.isEmpty ? spec.zones : open) : Array(spec.zones.prefix(1)), standings: present)
        var ports = kind == .connect ? ConnectPorts(spec, servers: servers, leaving: observed.outgoing.union(observed.drains)) : nil
        var number = rules.holds(.newNames) ? observed.highestNumber(of: kind) : 0
        let why = "\(present.count) \(kind.rawValue) servers live, and the spec asks for \(Self.wanted(kind, spec))"
        for _ in 0..<amount {
            number += 1
            let place = ports?.next()
            let id = ServerID(kind, number)
            starts.append(.start(StartOrder(id, zone: zones.next(), port: place?.port, replaces: place?.replaces, why: why)))
        }
    }

    /// Those that take too long: a server that says nothing at all is ended, one that says what it waits for is shown. What does not run yet is given longer:
    /// its successor would begin where it began, and keep a busy node busier.
    private mutating func watchStarting(_ kind: ServerKind) {
        for standing in standings.of(kind) where standing.health == .starting {
            guard let running = standing.running, running.state == .running else { continue }
            let readyWithin = spec.rollout.readyWithin
            guard running.started + readyWithin <= now else {
                lookAgain = earliest(lookAgain, running.started + readyWithin)
                continue
            }
            let waits = standing.waitsFor
            let mute = running.isOnItsWay ? "it does not run yet" : !standing.hasReport ? "it has not reported at all" : "it does not say why"
            let why = waits.isEmpty ? mute : "it waits for \(waits)"
            findings.append(Finding(.trouble, "NeverReady", "\(standing.id) is not ready after \(readyWithin.milliseconds / 1_000) s: \(why)"))
            guard !standing.hasReport, rules.holds(.killsMute),
                observed.redisBack.map({ max($0, observed.seenSince) + readyWithin <= now }) ?? false
            else { continue }
            let patience = running.isOnItsWay ? readyWithin * Self.patience : readyWithin
            guard running.started + patience <= now else {
                lookAgain = earliest(lookAgain, running.started + patience)
                continue
            }
            let lacking = running.isOnItsWay ? "does not run" : "has not reported"
            stops.append(.kill(standing.life, why: "it \(lacking) within \(patience.milliseconds / 1_000) s"))
        }
    }

    /// How many times `readyWithin` a server may take until it runs.
    private static let patience = 5
}

/// Spreads servers over zones: each goes where the fewest of its kind are.
struct ZoneChoice {
    private let zones: [String]
    private var counts: [Int]

    init(_ zones: [String], standings: [Standing]) {
        self.zones = zones
        counts = zones.map { zone in standings.count { $0.zone == zone } }
    }

    /// The next server's zone; empty when the cell has none.
    mutating func next() -> String {
        guard let index = counts.indices.min(by: { (counts[$0], $0) < (counts[$1], $1) }) else { return "" }
        counts[index] += 1
        return zones[index]
    }
}
