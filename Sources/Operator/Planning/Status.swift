import Cell

/// What people and programs are told of a cell. Pure.
///
/// - Parameters:
///   - previous: the status told last, for the times at which conditions changed.
///   - now_ms: Unix milliseconds.
public func status(for spec: CellSpec, observed: ObservedCell, plan: Plan, previous: CellStatus?, leader: String, now: Moment, now_ms: Int64) -> CellStatus {
    let spec = spec.scaled(to: observed.scaledTo)
    let standings = Standings(observed, lease: spec.failover.lease, now: now)
    var status = CellStatus()
    status.observedGeneration = observed.generation
    status.epoch = observed.assignment.epoch
    status.term = observed.assignment.term
    status.log = observed.assignment.log
    status.leader = leader
    status.updated_ms = now_ms
    status.template = spec.template(restarts: observed.wishes.restarts)
    status.rollout = plan.findings.first { $0.reason.hasPrefix("Roll") }.map { CellStatus.Rollout(reason: $0.reason, text: $0.text) }
    status.servers = standings.all.map { serverStatus($0, observed) }
    status.conditions = Verdicts(spec, observed, standings, plan).all.map { verdict in
        let before = previous?.condition(verdict.type)
        let since = before?.status == verdict.status ? before?.lastTransition_ms ?? now_ms : now_ms
        return CellStatus.Condition(
            verdict.type, verdict.status, reason: verdict.reason, message: verdict.message, observedGeneration: observed.generation, lastTransition_ms: since)
    }
    return status
}

private func serverStatus(_ standing: Standing, _ observed: ObservedCell) -> CellStatus.ServerStatus {
    var status = CellStatus.ServerStatus(standing.id, standing.life.incarnation, state: state(standing.health))
    let member = observed.assignment.members[standing.id].flatMap { $0.incarnation == standing.life.incarnation ? $0 : nil }
    let report = standing.report
    if standing.id.kind == .messaging { status.role = (member?.role ?? .idle).rawValue }
    status.address = member?.address ?? report?.address ?? ""
    status.http = member?.http ?? report?.http ?? ""
    status.zone = standing.zone
    status.pid = standing.running?.pid ?? report?.pid
    status.container = standing.running?.container
    status.pod = standing.running?.pod
    status.partitions = member?.owns.texts ?? []
    status.connections = report?.connections ?? 0
    status.epoch = report?.epoch ?? .none
    status.build = report?.build ?? ""
    status.waitsFor = standing.waitsFor
    status.template = standing.running.flatMap { $0.template.isEmpty ? nil : $0.template }
    return status
}

private func state(_ health: Standing.Health) -> CellStatus.ServerStatus.State {
    switch health {
    case .starting, .unready, .suspect: .starting
    case .ready: .ready
    case .cutOff: .cutOff
    case .stopping: .stopping
    case .hung, .shut, .stuck, .gone: .dead
    }
}

/// The conditions, each with its reason.
private struct Verdicts {
    struct Verdict {
        var type: CellStatus.Condition.Kind
        var status: CellStatus.Condition.Value
        var reason: String
        var message: String
    }

    private(set) var all: [Verdict] = []

    init(_ spec: CellSpec, _ observed: ObservedCell, _ standings: Standings, _ plan: Plan) {
        let progress = plan.findings.first { $0.weight == .progress }
        let trouble = plan.findings.first { $0.weight == .trouble }
        let unserved = Self.unserved(spec, observed, standings)
        let missing = Self.missing(spec, standings)
        let isBusy = progress != nil || plan.steps.contains { if case .publish = $0 { true } else { false } }
        let hindrance = [unserved, missing].compactMap { $0 }.first
        if let hindrance {
            add(
                .ready, .no, trouble?.reason ?? progress?.reason ?? "NotReady",
                ([hindrance] + [trouble, progress].compactMap { $0?.text }).joined(separator: "; "))
        } else if isBusy {
            add(.ready, .no, progress?.reason ?? "Publishing", progress?.text ?? "a new assignment is on its way")
        } else {
            add(.ready, .yes, "AllReady", "every server that the spec asks for is ready, and every partition is served")
        }
        let served = (["every partition has an owner that serves"] + Self.narrow(spec, standings)).joined(separator: "; ")
        add(.available, unserved == nil ? .yes : .no, unserved == nil ? "AllServed" : "Unserved", unserved ?? served)
        add(
            .progressing, isBusy ? .yes : .no, progress?.reason ?? (isBusy ? "Publishing" : "AtRest"),
            progress?.text ?? (isBusy ? "a new assignment is on its way" : "nothing is to be done"))
        let troubles = plan.findings.filter { $0.weight == .trouble }.prefix(8).map(\.text).joined(separator: "; ")
        add(.degraded, trouble == nil ? .no : .yes, trouble?.reason ?? "Sound", trouble == nil ? "nothing is wrong" : troubles)
        addBackplane(spec, observed)
        switch observed.store {
        case .ready: add(.store, .yes, "TablesThere", "the history has its tables")
        case .away(let problem): add(.store, .no, "StoreAway", problem)
        case .unknown: add(.store, .unknown, "Pending", "the history's tables are looked at or made")
        }
    }

    private mutating func add(_ type: CellStatus.Condition.Kind, _ status: CellStatus.Condition.Value, _ reason: String, _ message: String) {
        all.append(Verdict(type: type, status: status, reason: reason, message: message))
    }

    /// Partitions without an owner that serves.
    private static func unserved(_ spec: CellSpec, _ observed: ObservedCell, _ standings: Standings) -> String? {
        var served: [ClosedRange<Int32>] = []
        for (id, member) in observed.assignment.members where !member.owns.isEmpty {
            guard let standing = standings[id], standing.life.incarnation == member.incarnation else { continue }
            if standing.isReady || standing.health == .cutOff { served += member.owns.ranges }
        }
        let rest = PartitionSet(all: spec.partitions).subtracting(PartitionSet(ranges: served))
        return rest.isEmpty ? nil : "no ready server owns \(count(rest))"
    }

    /// Messaging servers whose descriptors do not suffice for `maxConnections`.
    private static func narrow(_ spec: CellSpec, _ standings: Standings) -> [String] {
        let wanted = spec.messaging.maxConnections
        let narrow = standings.of(.messaging).compactMap { standing in
            standing.report.flatMap { (1..<wanted).contains($0.maxConnections) ? "\(standing.id) takes \($0.maxConnections)" : nil }
        }
        guard !narrow.isEmpty else { return [] }
        return ["of \(wanted) streams (maxConnections) \(narrow.joined(separator: ", ")), since it may open no more files: raise its hard limit (ulimit -Hn)"]
    }

    private static func missing(_ spec: CellSpec, _ standings: Standings) -> String? {
        let gaps = ServerKind.allCases.sorted().compactMap { kind -> String? in
            let ready = standings.of(kind).count { $0.isReady }
            let wanted = Fleet.wanted(kind, spec)
            return ready < wanted ? "\(ready) of \(wanted) \(kind.rawValue) servers are ready" : nil
        }
        return gaps.isEmpty ? nil : gaps.joined(separator: ", ")
    }

    private mutating func addBackplane(_ spec: CellSpec, _ observed: ObservedCell) {
        guard case .kafka(let kafka) = spec.backplane else {
            let isThere = observed.assignment.log != nil && !observed.assignment.members(of: .backplane).isEmpty
            add(
                .backplane, isThere ? .yes : .no, isThere ? "Embedded" : "Starting",
                isThere ? "the embedded backplane runs" : "the embedded backplane is not there yet")
            return
        }
        switch observed.log {
        case .intact, .renewed: add(.backplane, .yes, "Verified", "topic \(kafka.topic) is as the spec wants it")
        case .differs(let problem, let remedy): add(.backplane, .no, "TopicDiffers", "topic \(kafka.topic) \(problem). \(remedy)")
        case .unfit(let problem, let remedy): add(.backplane, .no, "TopicUnfit", "topic \(kafka.topic) \(problem). \(remedy)")
        case .unreachable(let problem): add(.backplane, .unknown, "KafkaAway", problem)
        case .unknown, .missing: add(.backplane, .unknown, "Pending", "topic \(kafka.topic) is looked at or made")
        }
    }
}
