import Cell

/// What all witnesses together say about one server's present life. A reference, because it is sorted and looked up often. What is large it looks up itself:
/// of thousands of reports a plan reads a few.
final class Standing: Sendable {
    enum Health: Equatable, Sendable {
        /// Runs, and was never ready.
        case starting
        case ready
        /// Was given work and is not ready now: it keeps what it has and gets nothing new.
        case unready
        /// Its lease ran out and its probe is under way: as unready.
        case suspect
        /// Its lease ran out and its probe was answered: it lost Redis alone. Keeps partitions and clients, and cannot be told anything.
        case cutOff
        /// On its way out, by itself or because it was asked.
        case stopping
        /// Its lease ran out and its probe failed.
        case hung
        /// Its connection broke and its port refuses another: its process is gone, or as good as gone.
        case shut
        /// It renews its lease and reads nothing of a partition that others have read.
        case stuck(Partition)
        /// The driver saw its end.
        case gone(String)
    }

    let life: ServerLife
    let health: Health
    let isReady: Bool
    /// As reported, for whoever looks at every server.
    let address: String, http: String
    let generation: Int64
    let epoch: Epoch
    let hasReport: Bool
    /// The assignment names its server, in this life or in another.
    let membership: Membership
    enum Membership: Sendable { case none, thisLife, otherLife }
    /// As last read; nil when there is none.
    let leaseEnd: Moment?
    /// Its lease had run out when it was last read: whether it can be told anything is not known.
    let isInDoubt: Bool

    private let witnesses: Witnesses
    /// Among those that the driver tells.
    private let place: Int?

    init(_ life: ServerLife, _ witnesses: Witnesses, at place: Int?, stuck: Partition?, _ clock: LeaseClock) {
        self.life = life
        self.witnesses = witnesses
        self.place = place
        let state: Report.State?
        if let report = witnesses.report(of: life) {
            (hasReport, state) = (true, report.state)
            (address, http) = (report.address, report.http)
            (generation, epoch) = (report.generation, report.epoch)
        } else {
            (hasReport, state) = (false, nil)
            (address, http) = ("", "")
            (generation, epoch) = (0, .none)
        }
        membership = witnesses.membership(of: life)
        leaseEnd = witnesses.observed.leases[life]
        isInDoubt = clock.isOut(leaseEnd)
        let running = place.map { witnesses.servers[$0].state }
        health = Self.health(of: life, running, state, isMember: membership == .thisLife, stuck: stuck, clock, leaseEnd)
        isReady = health == .ready
    }

    var id: ServerID { life.id }
    /// Nil when the driver does not know it: another operator's, or long gone.
    var running: RunningServer? { place.map { witnesses.servers[$0] } }
    /// What it was started as; empty when that is not known.
    var template: String { place.map { witnesses.servers[$0].template } ?? "" }
    /// It runs, and was not asked to stop.
    var isRunning: Bool { place.map { witnesses.servers[$0].state == .running } ?? false }
    /// Of this life; nil before the first.
    var report: Report? { witnesses.report(of: life) }
    /// In the server's own words, else in its driver's.
    var waitsFor: String { report.map(\.waitsFor).flatMap { $0.isEmpty ? nil : $0 } ?? running?.waitsFor ?? "" }
    /// Counts as one of those the spec asks for.
    var lives: Bool {
        switch health {
        case .starting, .ready, .unready, .suspect, .cutOff: true
        case .stopping, .hung, .shut, .stuck, .gone: false
        }
    }
    var zone: String { place.map { witnesses.servers[$0].zone }.flatMap { $0.isEmpty ? nil : $0 } ?? report?.zone ?? "" }

    private static func health(
        of life: ServerLife, _ running: RunningServer.State?, _ reported: Report.State?, isMember: Bool, stuck: Partition?, _ clock: LeaseClock,
        _ leaseEnd: Moment?
    ) -> Health {
        switch running {
        case .exited(_, let reason): return .gone(reason)
        case .stopping: return .stopping
        case .running, nil: break
        }
        if reported == .stopping { return .stopping }
        guard isMember || reported == .ready else { return .starting }
        switch clock.witness(life, leaseEnd: leaseEnd) {
        case .silent: return .suspect
        case .dead: return .hung
        case .shut: return .shut
        case .cutOff: return .cutOff
        case .alive:
            if let stuck { return .stuck(stuck) }
            return reported == .ready ? .ready : .unready
        }
    }
}

/// What was seen of the cell, for all standings in one place.
final class Witnesses: Sendable {
    let observed: ObservedCell
    let servers: [RunningServer]

    init(_ observed: ObservedCell) {
        self.observed = observed
        servers = observed.servers ?? []
    }

    // Whoever wants a part of it does not pay for a copy.
    @inline(__always)
    func report(of life: ServerLife) -> Report? {
        guard let report = observed.reports[life.id], report.incarnation == life.incarnation else { return nil }
        return report
    }

    func membership(of life: ServerLife) -> Standing.Membership {
        guard let incarnation = observed.assignment.members[life.id]?.incarnation else { return .none }
        return incarnation == life.incarnation ? .thisLife : .otherLife
    }
}

/// Why a member of the assignment is to lose what it has.
enum Loss: Equatable, Sendable {
    /// The driver saw its end, it left, or its name came back with another incarnation.
    case confirmed(String)
    case leaseAlone
    /// Its port is shut, and its driver has not told of an end.
    case shut
    /// It renews its lease and reads nothing of a partition that others have read.
    case stuck(Partition)

    var reason: String {
        switch self {
        case .confirmed(let reason): reason
        case .leaseAlone: "its lease ran out and it answers no health probe"
        case .shut: "it closed its connections and its port refuses others"
        case .stuck(let partition): "it reads nothing of partition \(partition), which others have read, although it renews its lease"
        }
    }
}

/// Every server's standing, from what the witnesses say.
final class Standings: Sendable {
    /// By name.
    let all: [Standing]
    /// Of every server, and of every member of the assignment.
    let places: Places
    /// Places, by name.
    let order: [Int]
    /// By place.
    private let found: [Standing]
    private let byKind: [ServerKind: ArraySlice<Standing>]
    /// Lives whose name another life has, which counts.
    let namesakes: [Standing]
    private let clock: LeaseClock
    private let observed: ObservedCell
    private let now: Moment
    private let rules: Rules

    init(_ observed: ObservedCell, lease: Duration, now: Moment, rules: Rules = .all) {
        self.observed = observed
        self.now = now
        self.rules = rules
        clock = LeaseClock(observed, lease: lease, now: now, rules: rules)
        (places, found, namesakes) = Self.gather(Witnesses(observed), clock, rules)
        order = places.sorted()
        var all: [Standing] = []
        all.reserveCapacity(found.count)
        for place in order { all.append(found[place]) }
        self.all = all
        // One kind follows the other.
        var byKind: [ServerKind: ArraySlice<Standing>] = [:]
        var rest = all[...]
        while let kind = rest.first?.id.kind {
            let part = rest.prefix { $0.id.kind == kind }
            byKind[kind] = part
            rest = rest[part.endIndex...]
        }
        self.byKind = byKind
    }

    private static func gather(_ witnesses: Witnesses, _ clock: LeaseClock, _ rules: Rules) -> (Places, [Standing], [Standing]) {
        let (observed, servers) = (witnesses.observed, witnesses.servers)
        let hasStuck = !observed.canary.stuck.isEmpty && rules.holds(.stuck)
        var places = Places(expecting: max(servers.count, observed.assignment.members.count))
        var namesakes: [Standing] = []
        var found: [Standing] = []
        found.reserveCapacity(max(servers.count, observed.assignment.members.count))
        func put(_ life: ServerLife, at index: Int?) {
            let stuck = hasStuck ? observed.canary.stuck[life]?.partition : nil
            let standing = Standing(life, witnesses, at: index, stuck: stuck, clock)
            let place = places.add(life.id)
            guard place < found.count else { return found.append(standing) }
            let isFirst = counts(standing, before: found[place], rules)
            namesakes.append(isFirst ? found[place] : standing)
            if isFirst { found[place] = standing }
        }
        var gone: [ServerID: Int] = [:]
        for index in servers.indices {
            let life = servers[index].life
            if !servers[index].isGone {
                put(life, at: index)
            } else if witnesses.membership(of: life) == .thisLife {
                gone[life.id] = index
            }
        }
        for (id, member) in observed.assignment.members {
            let life = ServerLife(id, member.incarnation)
            if let place = places[id] {
                // Another operator's driver runs it, and this one's driver one of the same name.
                guard rules.holds(.namesakes), gone[id] == nil, found[place].membership == .otherLife,
                    observed.reports[id]?.incarnation == member.incarnation,
                    observed.leases[life].map({ $0 > observed.leasesRead }) ?? false
                else { continue }
            }
            put(life, at: gone[id])
        }
        // Servers of another operator's driver: known by their lease.
        for (life, end) in observed.leases where places[life.id] == nil && end > observed.leasesRead && !observed.exits.contains(where: { $0.life == life }) {
            put(life, at: nil)
        }
        return (places, found, namesakes)
    }

    /// Two operators that did not know of each other gave one name twice. The life that Redis has a report of counts, since Redis refuses the other's
    /// renewals; before either has reported, the one that the assignment names.
    private static func counts(_ a: Standing, before b: Standing, _ rules: Rules) -> Bool {
        guard rules.holds(.namesakes) else { return true }
        func rank(_ standing: Standing) -> Int { (standing.report == nil ? 2 : 0) + (standing.membership == .thisLife ? 0 : 1) }
        return (rank(a), a.life) < (rank(b), b.life)
    }

    /// Namesakes to end before they come to Redis, which would then refuse the one that serves: as soon as that one has shown that it lives beside them.
    /// And those that Redis refuses, once others have what they had.
    func needless(lease: Duration) -> [Standing] {
        namesakes.filter { other in
            guard other.isRunning, !other.hasReport, other.membership != .thisLife, let first = self[other.id] else { return false }
            guard let leaseEnd = first.leaseEnd else { return !first.hasReport && first.membership != .thisLife }
            return first.lives && leaseEnd - lease > other.running?.started ?? now
        }
    }

    subscript(id: ServerID) -> Standing? { places[id].map { found[$0] } }

    func isReady(_ id: ServerID) -> Bool { self[id]?.isReady ?? false }

    /// All of `kind`, by name.
    func of(_ kind: ServerKind) -> ArraySlice<Standing> { byKind[kind] ?? [] }

    /// Why a member of the assignment is lost; nil while it is not, and for who is none.
    func loss(of standing: Standing) -> Loss? {
        guard standing.membership != .none else { return nil }
        guard standing.membership == .thisLife || !rules.holds(.incarnations) else {
            return .confirmed("its name came back as incarnation \(standing.life.incarnation)")
        }
        switch standing.health {
        case .gone(let reason): return .confirmed(reason)
        case .stopping: return .confirmed("it is stopping")
        case .hung: return .leaseAlone
        case .shut: return .shut
        // Somebody has to be there to go on: it may still write.
        case .stuck(let partition): return of(.messaging).contains { $0.isReady } ? .stuck(partition) : nil
        case .starting, .ready, .unready, .suspect, .cutOff: return nil
        }
    }

    /// Whether `id` reads `set` as fast as one must who is to own it.
    func keepsUp(_ id: ServerID, with set: PartitionSet) -> Bool { observed.canary.keepsUp(self[id]?.report, with: set) }

    /// The probes that are due, and when leases have to be looked at next.
    func probesDue() -> (due: [Step], lookAgain: Moment?) {
        var due: [Step] = []
        var lookAgain: Moment?
        for standing in all where standing.lives && needsLease(standing) {
            if clock.needsProbe(standing.life, leaseEnd: standing.leaseEnd) {
                let address = observed.assignment.members[standing.id]?.http ?? standing.report?.http ?? ""
                if !address.isEmpty { due.append(.probe(standing.life, at: address)) }
            }
            lookAgain = earliest(lookAgain, clock.lookAgain(standing.life, leaseEnd: standing.leaseEnd))
        }
        return (due, lookAgain)
    }

    private func needsLease(_ standing: Standing) -> Bool { standing.health != .starting }
}

func earliest(_ a: Moment?, _ b: Moment?) -> Moment? {
    guard let a, let b else { return a ?? b }
    return min(a, b)
}
