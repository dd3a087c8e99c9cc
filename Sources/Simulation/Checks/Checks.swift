import Blackboard
import Cell
import Operator

/// An invariant that does not hold.
public struct Violation: Sendable, Equatable, Codable {
    /// Which: one CamelCase word.
    public var invariant: String
    public var text: String
    /// Virtual time.
    public var at_us: Int64
}

/// Figures of one history.
public struct Figures: Sendable, Equatable, Codable {
    public var publications = 0
    /// Of publications, through Redis: what is written and what the channel tells each reader.
    public var bytes = 0
    /// Partitions that went to another owner as planned, and by failover.
    public var plannedMoves = 0
    public var failovers = 0
    /// Longest time that a partition was served by nobody, and where.
    public var longestOutage_us: Int64 = 0
    /// Of those, the longest while nothing hindered the operator.
    public var longestUnexcused_us: Int64 = 0
    public var starts = 0
    public var faults = 0
    public var events = 0
    public var plans = 0
    public init() {}
}

/// What has to hold after every event, and what is counted on the way.
struct Checks {
    var violation: Violation?
    var figures = Figures()
    /// Servers that may serve other partitions since the last look.
    var haveOtherService: [ServerModel] = []
    /// No fault has struck yet.
    var isPristine = true
    let partitions: Int
    /// The newest that was ever written.
    var lastPublished = Assignment()
    private var highest = AssignmentVersion(term: .none, epoch: .none)
    private var highestEpoch = Epoch.none
    /// Since when each life has been leaving what it leaves.
    private var leavingSince: [ServerLife: Int64] = [:]
    /// Deaths by lease alone that were repaired, by term.
    private var leaseRepairs: (term: Term, at_us: [Int64]) = (.none, [])
    /// When partitions began to move for their load.
    private var relievedAt: [Partition: Int64] = [:]
    private var starts: [ServerKind: [(at_us: Int64, wanted: Int)]] = [:]
    /// Nothing but one wish of people is going on: then no partition moves twice, and these have moved.
    private var moved: PartitionSet?
    var service: Service

    init(partitions: Int) {
        self.partitions = partitions
        service = Service(partitions: partitions)
    }

    mutating func fail(_ invariant: String, _ text: String, _ world: World) {
        guard violation == nil else { return }
        violation = Violation(invariant: invariant, text: text, at_us: world.now_us)
        let violation = violation!
        world.timeline.add("\(violation.invariant) does not hold: \(violation.text)")
    }

    // MARK: After every event

    mutating func look(_ world: World) {
        if !haveOtherService.isEmpty {
            service.update(haveOtherService, now_us: world.now_us)
            haveOtherService.removeAll(keepingCapacity: true)
        }
        if world.now_us >= service.nextSweep_us {
            if let late = service.sweep(world) { fail("Served", late, world) }
        }
    }

    // MARK: Readers

    /// `server` has taken an assignment.
    mutating func applied(_ new: Assignment, by server: ServerModel, in world: World) {
        if new.epoch < server.obeyed.epoch || new.term < server.obeyed.term {
            fail("NeverBack", "\(server.life) has applied epoch \(server.obeyed.epoch) of term \(server.obeyed.term), and now \(new.version)", world)
        }
        highest = max(highest, new.version)
        highestEpoch = max(highestEpoch, new.epoch)
    }

    // MARK: Drivers' calls

    /// `author` gives a new server a name.
    ///
    /// Two that do not know of each other may give the same: the server that comes to Redis last counts, and the other stops. What is forbidden is to give
    /// a name of which one knows.
    mutating func named(_ id: ServerID, by author: OperatorModel, in world: World) {
        let seen = author.observed
        let isKnown =
            seen.assignment.members[id] != nil || seen.reports[id] != nil || (seen.servers ?? []).contains { $0.life.id == id && !$0.isGone }
            || seen.leases.contains { $0.key.id == id && $0.value > seen.leasesRead }
        if isKnown { fail("NamesOnce", "\(author.name) names a new server \(id), and knows of one of that name", world) }
    }

    mutating func starts(_ life: ServerLife, by author: OperatorModel, in world: World) {
        figures.starts += 1
        let kind = life.id.kind
        // As many as were asked for when they were started, as far as who started them knew.
        let wanted = Rest.wanted(.messaging, (author.spec ?? world.spec).scaled(to: author.observed.scaledTo))
        let recent = (starts[kind] ?? []).filter { $0.at_us > world.now_us - 60_000_000 } + [(at_us: world.now_us, wanted: wanted)]
        starts[kind] = recent
        let most = 4 * recent.reduce(0) { max($0, $1.wanted) } + 8
        if recent.count > most { fail("StartsCalmly", "\(recent.count) \(kind.rawValue) servers are started within a minute", world) }
    }

    mutating func stops(_ life: ServerLife, in world: World) {
        guard let member = lastPublished.members[life.id], member.incarnation == life.incarnation else { return }
        if !member.owns.isEmpty || !member.opens.isEmpty || !member.leaves.isEmpty {
            fail("DrainedFirst", "\(life.id) is stopped while it owns \(member.owns), opens \(member.opens), leaves \(member.leaves)", world)
        }
    }

    mutating func watchMoves(_ isAlone: Bool) { moved = isAlone ? PartitionSet() : nil }

    /// An operator has decided on another number of servers by itself: what moves from now on moves for that.
    mutating func scaled() { if moved != nil { moved = PartitionSet() } }

    /// A rollout stops nobody who is ready before as many others are as the spec asks for, as its `author` sees it.
    mutating func replaced(_ life: ServerLife, by author: OperatorModel, in world: World) {
        let seen = author.observed
        guard let spec = author.spec?.scaled(to: seen.scaledTo), let server = seen.servers?.first(where: { $0.life == life }) else { return }
        guard server.state == .running, seen.reports[life.id]?.state == .ready, seen.reports[life.id]?.incarnation == life.incarnation else { return }
        func isReady(_ other: RunningServer) -> Bool {
            let report = seen.reports[other.life.id]
            return other.state == .running && report?.incarnation == other.life.incarnation && report?.state == .ready
        }
        let others = (seen.servers ?? []).filter { $0.life != life && $0.life.id.kind == life.id.kind && isReady($0) }.count
        let wanted = Rest.wanted(life.id.kind, spec)
        if others < wanted { fail("RolloutKeeps", "\(life.id) is replaced while \(others) others are ready, and the spec asks for \(wanted)", world) }
    }

    mutating func ended(_ server: ServerModel, in world: World) { leavingSince[server.life] = nil }

    // MARK: Publications

    /// Redis has taken an assignment.
    mutating func published(from before: Assignment?, to after: Assignment, by author: OperatorModel, in world: World) {
        let follows = before.map { $0.version == lastPublished.version } ?? (lastPublished.epoch == .none)
        let old = lastPublished
        lastPublished = after
        figures.publications += 1
        figures.bytes += AssignmentDelta(from: before ?? Assignment(), to: after).size_bytes * (1 + world.substrate.living.count)
        checkOwners(after, world)
        if after.version <= highest || after.epoch <= highestEpoch {
            fail("NeverBack", "\(author.name) publishes \(after.version), and a reader has seen \(highest)", world)
        }
        guard follows, violation == nil else { return }
        let step = PublishedStep(old, after, partitions: partitions)
        figures.plannedMoves += step.planned.values.reduce(0) { $0 + $1.count }
        figures.failovers += step.inherited.values.reduce(0) { $0 + $1.count }
        checkMoves(step, author, world)
        checkRelief(step, world)
        checkRepair(step, author, world)
        checkLeavers(step, world)
    }

    private mutating func checkOwners(_ assignment: Assignment, _ world: World) {
        let owned = assignment.members.values.flatMap(\.owns.ranges)
        let union = PartitionSet(ranges: owned)
        if owned.reduce(0, { $0 + $1.count }) != union.count { fail("OneOwner", "two servers own a partition under epoch \(assignment.epoch)", world) }
        if let last = union.ranges.last, last.upperBound >= partitions { fail("OneOwner", "partition \(last.upperBound) is none", world) }
    }

    private mutating func checkMoves(_ step: PublishedStep, _ author: OperatorModel, _ world: World) {
        for (id, set) in step.planned.sorted(by: { $0.key < $1.key }) {
            guard let before = step.old.members[id] else { continue }
            let unopened = set.subtracting(before.opens)
            if !unopened.isEmpty { fail("MakeBeforeBreak", "\(id) owns \(unopened) of a living server, and never opened it", world) }
            guard let server = world.substrate.server(ServerLife(id, before.incarnation)), server.works else { continue }
            let cold = set.subtracting(server.warm)
            if !cold.isEmpty { fail("WarmFirst", "\(id) owns \(cold), which it has not read yet", world) }
            let unheard = set.subtracting(server.member?.opens ?? PartitionSet())
            if !unheard.isEmpty { fail("WarmFirst", "\(id) owns \(unheard), and has not heard yet that it is to open them", world) }
        }
        for (id, set) in step.lost.sorted(by: { $0.key < $1.key }) {
            let dropped = set.subtracting(step.new.members[id]?.leaves ?? PartitionSet())
            if !dropped.isEmpty { fail("MakeBeforeBreak", "\(id) lives and loses \(dropped) at once", world) }
            checkTold(id, step, world)
        }
        let cap = max(1, partitions * (author.spec ?? world.spec).moves.simultaneous_percent / 100)
        if step.moving.after > max(cap, step.moving.before) { fail("MovesCapped", "\(step.moving.after) partitions move at once, and \(cap) may", world) }
        // Where servers keep dying young one is started after another, and whether more will come nobody knows.
        if author.lastPlan?.findings.contains(where: { $0.reason == "CrashLoop" }) ?? false { moved = nil }
        if let already = moved {
            for (id, set) in step.planned.sorted(by: { $0.key < $1.key }) {
                let again = set.intersection(already)
                if !again.isEmpty { fail("MovedOnce", "\(id) gets \(again), which have moved already for the same wish", world) }
            }
            moved = step.planned.values.reduce(already) { $0.union($1) }
        }
        if isPristine, !step.planned.isEmpty { fail("NoNeedlessMove", "partitions move although the cell has only just begun", world) }
    }

    /// Loads move only what has made a server bear too much for long, and nothing twice within the cooldown, whoever leads.
    private mutating func checkRelief(_ step: PublishedStep, _ world: World) {
        let owners = step.old.members.filter { $0.value.role == .owner }
        for (id, after) in step.new.members.sorted(by: { $0.key < $1.key }) where !after.relieves.isEmpty {
            let news = after.relieves.subtracting(step.old.members[id]?.relieves ?? PartitionSet())
            for partition in news {
                if let at_us = relievedAt[partition], world.now_us - at_us < LoadWatch.cooldown.microseconds {
                    fail("MovedTwice", "partition \(partition) moves for its load again after \((world.now_us - at_us) / 1_000_000) s", world)
                }
                relievedAt[partition] = world.now_us
            }
            let steady = owners.mapValues { world.clients(of: $0.owns, lasting_us: 50_000_000) }
            let mean = steady.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value } / Double(max(1, owners.count))
            let sources = owners.filter { !$0.value.owns.isDisjoint(with: news) }.keys
            let isMeant = sources.isEmpty || sources.contains { steady[$0] ?? 0 > mean * 1.2 } || steady[id] ?? 0 > mean * 1.2
            if !isMeant { fail("LoadLasts", "\(id) opens \(news) for load, and none of their owners has borne too much for long", world) }
        }
    }

    /// Whoever loses partitions by plan can be told so: its lease was good when the author looked, which is not long ago.
    private mutating func checkTold(_ id: ServerID, _ step: PublishedStep, _ world: World) {
        guard let member = step.old.members[id], let server = world.substrate.server(ServerLife(id, member.incarnation)), server.works else { return }
        // By a clock that was set back a lease lasts longer.
        guard world.redisClockShift_ms == 0, world.now_us - world.redisClockJumped_us > 20_000_000 else { return }
        let silent_us = world.now_us - server.renewed_us
        if silent_us > 8_000_000 { fail("Told", "\(id) loses partitions by plan, and has not reached Redis for \(silent_us / 1_000) ms", world) }
    }

    private mutating func checkRepair(_ step: PublishedStep, _ author: OperatorModel, _ world: World) {
        guard !step.dead.isEmpty else { return }
        let owners = step.dead.filter { !(step.old.members[$0]?.owns.isEmpty ?? true) }
        if !owners.isEmpty {
            if !step.planned.isEmpty { fail("RepairAlone", "a failover's publication moves \(step.planned.keys.sorted()) by plan", world) }
            if step.opensMore { fail("RepairAlone", "a failover's publication begins moves", world) }
            checkHeirs(owners, step, author, world)
        }
        checkDeaths(step, author, world)
    }

    /// With enough standbys each dead server's partitions go to one.
    private mutating func checkHeirs(_ owners: [ServerID], _ step: PublishedStep, _ author: OperatorModel, _ world: World) {
        let standbys = step.old.members.count { id, member in
            member.role == .standby && step.new.members[id] != nil && member.opens.isEmpty && member.owns.isEmpty
                && author.observed.reports[id]?.state == .ready && author.observed.reports[id]?.incarnation == member.incarnation
                && author.observed.leases[ServerLife(id, member.incarnation)].map { $0 > author.observed.leasesRead } ?? false
                && author.observed.shut[ServerLife(id, member.incarnation)] == nil
                && world.substrate.server(ServerLife(id, member.incarnation))?.hasReadLately ?? false
        }
        guard standbys >= owners.count else { return }
        let opened = PartitionSet(ranges: step.old.members.filter { !step.dead.contains($0.key) }.values.flatMap(\.opens.ranges))
        for id in owners {
            let rest = (step.old.members[id]?.owns ?? PartitionSet()).subtracting(opened)
            let heirs = step.inherited.filter { !$0.value.isDisjoint(with: rest) }.keys.sorted()
            if heirs.count > 1 { fail("OneHeir", "with \(standbys) standbys ready, \(id)'s partitions go to \(heirs)", world) }
        }
    }

    /// Deaths by lease alone: braked, and never of servers that live.
    private mutating func checkDeaths(_ step: PublishedStep, _ author: OperatorModel, _ world: World) {
        if leaseRepairs.term != step.new.term { leaseRepairs = (step.new.term, []) }
        var unconfirmed = 0
        for id in step.dead {
            // Whoever has nothing may be going as planned.
            guard let member = step.old.members[id], !member.owns.isEmpty || !member.opens.isEmpty else { continue }
            let life = ServerLife(id, member.incarnation)
            guard let seen = author.observed.servers?.first(where: { $0.life == life }), seen.state == .running,
                author.observed.reports[id]?.state != .stopping
            else { continue }
            // That a name came back is a fact, and braked by nobody.
            if author.observed.reports[id].map({ $0.incarnation == member.incarnation }) ?? true { unconfirmed += 1 }
            guard let server = world.substrate.server(life), server.works, world.now_us - server.troubled_us > 6_000_000 else { continue }
            // Redis listens to another of its name: it ends by itself.
            if server.isRefused { continue }
            if !server.hasReadLately {
                checkSilence(id, author, world)
                continue
            }
            if server.cutsFromOperators == 0, world.now_us - server.cutFromOperators_us > 6_000_000, world.probesCut == 0,
                world.now_us - world.probesCut_us > 6_000_000
            {
                fail("LivingIsNotDead", "\(id) lives and answers, and loses all it has", world)
            } else if server.reachesRedis, world.now_us - server.cutFromRedis_us > 6_000_000, world.now_us - world.zonesCut_us > 6_000_000,
                world.climate.slowNetwork == 0
            {
                fail("LivingIsNotDead", "\(id) lives and renews its lease whenever Redis answers, and loses all it has", world)
            }
        }
        guard unconfirmed > 0, let spec = author.spec else { return }
        leaseRepairs.at_us += Array(repeating: world.now_us, count: unconfirmed)
        let burst = max(1, step.old.members.count * spec.failover.maxSimultaneous_percent / 100)
        let lease_us = spec.failover.lease.microseconds
        for (place, at_us) in leaseRepairs.at_us.enumerated() {
            let count = leaseRepairs.at_us.count - place
            let allowed = burst + 1 + Int((world.now_us - at_us) / lease_us)
            if count > allowed {
                fail("Braked", "\(count) servers are repaired by their leases alone within \((world.now_us - at_us) / 1_000) ms, and \(allowed) may", world)
            }
        }
    }

    /// People are told of a silent partition before its owner is replaced for it.
    private mutating func checkSilence(_ id: ServerID, _ author: OperatorModel, _ world: World) {
        let isTold = author.lastPlan?.findings.contains { ["PartitionSilent", "CutOff", "Hung", "Stuck"].contains($0.reason) } ?? false
        let found = author.lastPlan?.findings.map(\.text).joined(separator: "; ") ?? ""
        if !isTold { fail("SilenceTold", "\(id) is replaced, and no finding says that it reads nothing, but: \(found)", world) }
    }

    /// Whoever leaves partitions may serve their clients until they have gone, or the grace is over.
    private mutating func checkLeavers(_ step: PublishedStep, _ world: World) {
        for (id, after) in step.new.members where id.kind == .messaging {
            let life = ServerLife(id, after.incarnation)
            let before = step.old.members[id].flatMap { $0.incarnation == after.incarnation ? $0.leaves : nil } ?? PartitionSet()
            if let since_us = leavingSince[life], !before.isEmpty {
                let gone = before.subtracting(after.leaves).subtracting(after.owns)
                if !gone.isEmpty, world.now_us - since_us < world.spec.moves.grace.microseconds, let server = world.substrate.server(life), server.exists {
                    let rest = gone.subtracting(server.left)
                    if !rest.isEmpty { fail("Grace", "\(id) is to stop reading \(rest) before its clients have left", world) }
                }
            }
            if after.leaves.isEmpty { leavingSince[life] = nil } else if !after.leaves.subtracting(before).isEmpty { leavingSince[life] = world.now_us }
        }
    }
}

/// What one publication changes.
struct PublishedStep {
    let old: Assignment
    let new: Assignment
    /// Members that are gone, or another incarnation.
    let dead: [ServerID]
    /// New owner → what it got from living owners, and from the dead or nobody.
    private(set) var planned: [ServerID: PartitionSet] = [:]
    private(set) var inherited: [ServerID: PartitionSet] = [:]
    /// What members that live on do not own any more.
    private(set) var lost: [ServerID: PartitionSet] = [:]
    private(set) var opensMore = false
    let moving: (before: Int, after: Int)

    init(_ old: Assignment, _ new: Assignment, partitions: Int) {
        self.old = old
        self.new = new
        dead = old.members.filter { new.members[$0.key]?.incarnation != $0.value.incarnation }.keys.sorted()
        moving = (Self.moving(old), Self.moving(new))
        let living = old.members.filter { new.members[$0.key]?.incarnation == $0.value.incarnation }
        let kept = PartitionSet(ranges: living.values.flatMap(\.owns.ranges))
        for (id, member) in new.members where id.kind == .messaging {
            let before = living[id]
            if let before, before == member { continue }
            let gain = member.owns.subtracting(before?.owns ?? PartitionSet())
            if !gain.isEmpty {
                let taken = gain.intersection(kept)
                if !taken.isEmpty { planned[id] = taken }
                if taken.count < gain.count { inherited[id] = gain.subtracting(taken) }
            }
            if let before {
                let loss = before.owns.subtracting(member.owns)
                if !loss.isEmpty { lost[id] = loss }
            }
            if !member.opens.subtracting(before?.opens ?? PartitionSet()).isEmpty { opensMore = true }
        }
    }

    private static func moving(_ assignment: Assignment) -> Int { assignment.members.values.reduce(0) { $0 + $1.opens.count + $1.leaves.count } }
}
