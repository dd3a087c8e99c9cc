import Cell

/// Plans, and knows without planning when a cell that was at rest still is: most of its life nothing happens but that leases are renewed.
///
/// Its plans are those of `plan(for:observed:now:)`. At rest such a plan has neither steps nor findings, so that nothing waits for a time but the leases do.
/// While spec and cell stay as they were, and every lease is good, only the time to look again is another.
public struct RestingPlanner: Sendable {
    private var rest: Rest?
    /// How many plans did not have to be made.
    public private(set) var kept = 0

    public init() {}

    public mutating func plan(for spec: CellSpec, observed: ObservedCell, now: Moment) -> Plan { plan(for: spec, observed: observed, now: now, rules: .all) }

    package mutating func plan(for spec: CellSpec, observed: ObservedCell, now: Moment, rules: Rules) -> Plan {
        if let plan = rest?.plan(for: spec, observed, now: now, rules) {
            kept += 1
            return plan
        }
        rest = nil
        guard !observed.deleted else { return Operator.plan(for: spec, observed: observed, now: now, rules: rules) }
        let planning = Planning(spec.scaled(to: observed.scaledTo), observed, now, rules)
        let standings = planning.standings
        let plan = planning.plan()
        if let found = Rest(spec, observed, standings, rules), found.plan(for: spec, observed, now: now, rules) == plan { rest = found }
        return plan
    }
}

/// A cell in which every server is ready, and what was seen of it.
private struct Rest: Sendable {
    private let spec: CellSpec
    private let rules: Rules
    /// Without what changes while nothing happens.
    private let still: ObservedCell
    private let reports: [ServerID: Report]
    private let lives: [ServerLife]

    init?(_ spec: CellSpec, _ observed: ObservedCell, _ standings: Standings, _ rules: Rules) {
        // Before, leases of the dead are left alone.
        guard observed.areLeasesSettled(spec.failover.lease), standings.all.allSatisfy(\.isReady) else { return nil }
        self.spec = spec
        self.rules = rules
        still = observed.still
        reports = observed.reports
        lives = standings.all.map(\.life)
    }

    /// Nil when it may be another cell, or not at rest any more.
    func plan(for spec: CellSpec, _ observed: ObservedCell, now: Moment, _ rules: Rules) -> Plan? {
        guard rules == self.rules, observed.still == still, spec == self.spec, observed.canary.isQuiet(now: now), observed.loadWatch.eases.isEmpty,
            areReportsAlike(observed.reports)
        else {
            return nil
        }
        let clock = LeaseClock(observed, lease: spec.failover.lease, now: now, rules: rules)
        var plan = Plan()
        var leases = 0
        for life in lives {
            let end = observed.leases[life]
            guard clock.witness(life, leaseEnd: end) == .alive, !clock.needsProbe(life, leaseEnd: end) else { return nil }
            plan.lookAgain = earliest(plan.lookAgain, clock.lookAgain(life, leaseEnd: end))
            if end != nil { leases += 1 }
        }
        // Nobody else has one.
        return leases == observed.leases.count ? plan : nil
    }

    private func areReportsAlike(_ others: [ServerID: Report]) -> Bool {
        // Quick when it is the same dictionary.
        reports == others || reports.count == others.count && others.allSatisfy { id, report in reports[id]?.isAlike(report) ?? false }
    }
}

extension Report {
    /// The same to the plan of a cell at rest, in which nothing moves and nobody is replaced.
    fileprivate func isAlike(_ other: Report) -> Bool {
        state == other.state && epoch == other.epoch && generation == other.generation && incarnation == other.incarnation && address == other.address
            && http == other.http && zone == other.zone && waitsFor == other.waitsFor
    }
}

extension ObservedCell {
    /// Without what changes while nothing happens: leases, load, what reports tell, and how far probes have come.
    fileprivate var still: ObservedCell {
        var still = self
        still.leases = [:]
        still.leasesRead = Moment(milliseconds: 0)
        still.awakeAt = nil
        still.loads = LoadHistory()
        still.loadWatch = LoadWatch()
        still.reports = [:]
        still.canary = Canary()
        return still
    }
}
