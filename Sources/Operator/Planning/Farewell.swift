import Cell

/// The end of a cell: those whom clients see first, the backplane last, then its keys. The topic and the history's tables stay; people delete those.
struct Farewell {
    private static let order: [ServerKind] = [.connect, .messaging, .materialize, .history, .backplane]
    private let spec: CellSpec
    private let observed: ObservedCell
    private let standings: Standings
    private let now: Moment

    init(_ spec: CellSpec, _ observed: ObservedCell, _ now: Moment) {
        self.spec = spec
        self.observed = observed
        self.now = now
        standings = Standings(observed, lease: spec.failover.lease, now: now)
    }

    func plan() -> Plan {
        var plan = Plan()
        plan.findings = [Finding(.progress, "Deleting", "the cell is being deleted")]
        guard let servers = observed.servers else { return plan }
        let living = servers.filter { !$0.isGone }
        guard let kind = Self.order.first(where: { kind in living.contains { $0.life.id.kind == kind } }) else {
            // Servers of other operators' drivers have their leases.
            let others = observed.leases.filter { $0.value > observed.leasesRead && !servers.map(\.life).contains($0.key) }
            if others.isEmpty { plan.steps.append(.removeCell) } else { plan.lookAgain = others.values.min() }
            return plan
        }
        for server in living.sorted(by: { $0.life < $1.life }) where server.life.id.kind == kind && server.state == .running {
            plan.steps.append(.stop(server.life, why: "the cell is being deleted"))
        }
        return plan
    }
}
