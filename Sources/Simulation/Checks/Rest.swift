import Cell
import Operator

/// Whether a cell is at rest as its spec says.
enum Rest {
    /// What is not as it should be; nil at rest.
    static func problem(_ world: World) -> String? {
        guard let leader = world.leader else { return "nobody leads" }
        guard let plan = leader.lastPlan, world.now_us - leader.plannedAt_us < 3_000_000 else { return "\(leader.name) does not plan" }
        if !plan.steps.isEmpty { return "\(leader.name) plans \(plan.steps)" }
        if let finding = plan.findings.first { return "\(leader.name) finds: \(finding.text)" }
        guard let published = world.redis.assignment, published == leader.observed.assignment else {
            return "Redis does not hold what \(leader.name) published"
        }
        guard leader.observed.wishes == world.redis.wishes else { return "\(leader.name) has not taken what people wish" }
        let spec = world.spec.scaled(to: leader.observed.scaledTo)
        return servers(world, spec) ?? readers(world, published) ?? balance(world, published, spec) ?? load(world, published, spec)
            ?? relief(world, published) ?? remains(world)
    }

    private static func servers(_ world: World, _ spec: CellSpec) -> String? {
        let all = world.substrate.living
        if let twice = zip(all, all.dropFirst()).first(where: { $0.0.life.id == $0.1.life.id }) { return "two servers are called \(twice.0.life.id)" }
        for kind in ServerKind.allCases.sorted() {
            let living = all.filter { $0.life.id.kind == kind && (kind != .messaging || !world.isDrained($0)) }
            let wanted = wanted(kind, spec)
            if living.count != wanted { return "\(living.count) \(kind.rawValue) servers run, and the spec asks for \(wanted)" }
            if let late = living.first(where: { !$0.isReady }) { return "\(late.life.id) is not ready" }
        }
        let template = spec.template(restarts: world.redis.wishes.restarts)
        let running = world.substrate.present.first { !$0.isGone && $0.template != template && !(world.substrate.server($0.life).map(world.isDrained) ?? true) }
        if let running { return "\(running.life.id) is of an old template" }
        return nil
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

    private static func readers(_ world: World, _ published: Assignment) -> String? {
        for server in world.substrate.living {
            if server.obeyed != published {
                return
                    "\(server.life.id) obeys epoch \(server.obeyed.epoch) of term \(server.obeyed.term), and \(published.epoch) of \(published.term) is published"
            }
            if server.hasGeneration != world.redis.spec?.generation { return "\(server.life.id) has applied generation \(server.hasGeneration)" }
        }
        return nil
    }

    private static func balance(_ world: World, _ published: Assignment, _ spec: CellSpec) -> String? {
        let messaging = published.members(of: .messaging)
        let owners = messaging.filter { !$0.member.owns.isEmpty }
        let counts = owners.map(\.member.owns.count)
        let levels = owners.map { $0.member.owns.count - $0.member.lean }
        if counts.reduce(0, +) != spec.partitions { return "\(counts.reduce(0, +)) partitions are owned" }
        if owners.count != min(spec.messaging.servers, spec.partitions) {
            return "\(owners.count) servers own partitions, and the spec asks for \(spec.messaging.servers)"
        }
        if let drained = owners.first(where: { id, _ in world.substrate.living.contains { $0.life.id == id && world.isDrained($0) } }) {
            return "\(drained.id) is drained, and owns \(drained.member.owns)"
        }
        let places = world.redis.wishes.places.filter { place in owners.contains { $0.id == place.server } }
        for place in places {
            let missing = place.partitions.subtracting(published.members[place.server]?.owns ?? PartitionSet())
            if !missing.isEmpty { return "\(place.server) does not own \(missing), which people moved to it" }
        }
        if places.isEmpty, let most = levels.max(), let least = levels.min(), most - least > 1 { return "owners have from \(least) to \(most) partitions" }
        if places.isEmpty, let most = counts.max(), most > max(1, 2 * spec.partitions / owners.count) { return "an owner has \(most) partitions" }
        if messaging.contains(where: { !$0.member.opens.isEmpty || !$0.member.leaves.isEmpty }) { return "partitions still move" }
        let standbys = messaging.filter { $0.member.role == .standby }
        if standbys.count != spec.messaging.standbys { return "\(standbys.count) stand by, and the spec asks for \(spec.messaging.standbys)" }
        let shadowed = PartitionSet(ranges: standbys.flatMap(\.member.shadows.ranges))
        if !standbys.isEmpty, shadowed.count != spec.partitions { return "standbys shadow \(shadowed.count) partitions" }
        for (id, member) in owners {
            let served = world.substrate.server(ServerLife(id, member.incarnation))?.serves
            if served != member.owns { return "\(id) does not serve all it owns" }
        }
        return nil
    }

    /// An autoscaled cell has as many servers as its clients ask for.
    private static func load(_ world: World, _ published: Assignment, _ spec: CellSpec) -> String? {
        guard let scale = spec.messaging.autoscale else { return nil }
        let clients = published.members.values.reduce(0) { $0 + Int(world.clients(of: $1.owns)) }
        let wanted = LoadHistory.wanted(scale, clients: clients, messages: 0)
        return wanted == spec.messaging.servers ? nil : "\(clients) clients ask for \(wanted) messaging servers, and there are \(spec.messaging.servers)"
    }

    /// Nobody bears far more than the others, while some partitions are hot and others are not.
    private static func relief(_ world: World, _ published: Assignment) -> String? {
        guard !world.heats.isEmpty else { return nil }
        let loads = published.members(of: .messaging).filter { $0.member.role == .owner }.map { (id: $0.id, clients: world.clients(of: $0.member.owns)) }
        let mean = loads.reduce(0) { $0 + $1.clients } / Double(max(1, loads.count))
        guard let heavy = loads.first(where: { $0.clients > mean * (1 + LoadWatch.margin) }) else { return nil }
        return "\(heavy.id) has \(Int(heavy.clients)) clients, and an owner has \(Int(mean)) on the average"
    }

    private static func remains(_ world: World) -> String? {
        let living = Set(world.substrate.living.map(\.life))
        if let dead = world.redis.leases.keys.first(where: { !living.contains($0) }) { return "the lease of \(dead), which is dead, is still in Redis" }
        let reported = world.redis.reports.map { ServerLife($0.key, $0.value.incarnation) }
        if let dead = reported.first(where: { !living.contains($0) }) { return "the report of \(dead), which is dead, is still in Redis" }
        if let missing = living.first(where: { world.redis.leases[$0] == nil }) { return "\(missing) has no lease" }
        if let dead = world.substrate.present.first(where: \.isGone) { return "the driver still remembers \(dead.life), which is dead" }
        return nil
    }

    /// Whether the servers of each kind are spread over the zones, as far as starting them could do it.
    static func zoneProblem(_ world: World) -> String? {
        guard world.spec.zones.count > 1 else { return nil }
        for kind in ServerKind.allCases.sorted() {
            let counts = world.spec.zones.map { zone in world.substrate.living.count { $0.life.id.kind == kind && $0.zone == zone } }
            if let most = counts.max(), let least = counts.min(), most - least > 1 { return "zones have from \(least) to \(most) \(kind.rawValue) servers" }
        }
        return nil
    }
}
