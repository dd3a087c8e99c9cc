import Cell

/// Planned moves, make before break.
///
///     new owner   ├── opens ──▶ warm: owns ─────────────────────────────▶
///     old owner   ── owns ────────────▶├── leaves ──▶ left, or its grace is over
struct Moves {
    var layout: Layout
    private(set) var notes: [Note] = []
    private(set) var lookAgain: Moment?
    private let roles: Roles
    private let situation: Situation
    private var spec: CellSpec { situation.spec }
    private var standings: Standings { situation.standings }
    private var observed: ObservedCell { situation.observed }
    private var rules: Rules { situation.rules }

    init(_ layout: Layout, roles: Roles, _ situation: Situation) {
        self.layout = layout
        self.roles = roles
        self.situation = situation
    }

    /// What reports and time have brought about: openers that are warm own, leavers that are left let go, moves that lost a side are cancelled.
    mutating func advance() {
        let movers = layout.ids { !$0.opens.isEmpty || !$0.leaves.isEmpty }
        guard !movers.isEmpty else { return }
        let ids = layout.ids
        let owner = layout.owners(ids)
        let destinations = Set(roles.owners)
        var given: [Int32: [ClosedRange<Int32>]] = [:]
        let relieved = PartitionSet(ranges: movers.flatMap { layout.relieves($0).ranges })
        for id in movers { open(id, ids, owner, isDestination: destinations.contains(id), &given) }
        // Before it is given more to leave: the grace of that begins with the epoch that says so.
        for id in movers { leave(id) }
        for (place, ranges) in given.sorted(by: { $0.key < $1.key }) {
            let set = PartitionSet(ranges: ranges)
            layout.change(ids[Int(place)]) {
                $0.owns = $0.owns.subtracting(set)
                if !relieved.isEmpty { $0.lean -= relieved.intersection(set).count }
                $0.leaves = $0.leaves.union(set)
            }
        }
    }

    private mutating func open(
        _ id: ServerID, _ ids: [ServerID], _ owner: [Int32], isDestination: Bool, _ given: inout [Int32: [ClosedRange<Int32>]]
    ) {
        guard let member = layout[id], !member.opens.isEmpty else { return }
        guard isDestination, let standing = standings[id] else {
            layout.change(id) { $0.opens = PartitionSet() }
            notes.append(Note("MoveCancelled", standings[id]?.life, "\(id) is not to own \(count(member.opens)) any more"))
            return
        }
        let warm = hasApplied(id) ? member.opens.intersection(read(standing)) : PartitionSet()
        var stays: [ClosedRange<Int32>] = []
        var owned: [ClosedRange<Int32>] = []
        var lost: [ClosedRange<Int32>] = []
        for partition in member.opens where partition.number < layout.partitions {
            let number = partition.number
            let source = owner[Int(number)]
            if source >= 0, ids[Int(source)] == id { continue }
            let fate = source < 0 ? Fate.owns : fate(of: ids[Int(source)], isWarm: warm.contains(partition))
            switch fate {
            case .opens: stays.append(number...number)
            case .cancelled: lost.append(number...number)
            case .owns:
                owned.append(number...number)
                if source >= 0 { given[source, default: []].append(number...number) }
            }
        }
        let flipped = PartitionSet(ranges: owned)
        // What it owns next is still among them, so that it is known why.
        layout.change(id) { $0.opens = PartitionSet(ranges: stays + owned) }
        if !flipped.isEmpty {
            layout.give(flipped, to: id)
            notes.append(Note("PartitionsMoved", standing.life, "\(id) is warm and owns \(count(flipped))"))
        }
        if !lost.isEmpty {
            notes.append(Note("MoveCancelled", standing.life, "the owner of \(count(PartitionSet(ranges: lost))) cannot be told to let go"))
        }
    }

    /// What the server has read of the log that the cell uses now.
    private func read(_ standing: Standing) -> PartitionSet {
        guard let report = standing.report, report.log == observed.assignment.log || !rules.holds(.warmFirst) else { return PartitionSet() }
        return report.warm
    }

    private enum Fate { case opens, owns, cancelled }

    private func fate(of source: ServerID, isWarm: Bool) -> Fate {
        if rules.holds(.cutOffKeeps), let standing = standings[source] {
            if standing.health == .cutOff { return .cancelled }
            // Whether it can be told is about to be known.
            if standing.isInDoubt { return .opens }
        }
        return isWarm || !rules.holds(.warmFirst) ? .owns : .opens
    }

    private mutating func leave(_ id: ServerID) {
        guard rules.holds(.leaveEnds), let member = layout[id], !member.leaves.isEmpty, let standing = standings[id] else { return }
        var left = member.leaves.intersection(member.owns)
        if hasApplied(id) { left = left.union(member.leaves.intersection(standing.report?.left ?? PartitionSet())) }
        let end = changedAt(id) + leaveTime(standing)
        if !rules.holds(.leaveGrace) { left = member.leaves }
        if end <= situation.now { left = member.leaves } else { lookAgain = earliest(lookAgain, end) }
        guard !left.isEmpty else { return }
        layout.change(id) { $0.leaves = $0.leaves.subtracting(left) }
    }

    /// How long an old owner may take: every client told at its rate, then the grace, then two leases for its word to reach us.
    private func leaveTime(_ standing: Standing) -> Duration {
        let telling = Duration.milliseconds(Int64(standing.report?.connections ?? 0) * 1_000 / Int64(max(1, spec.moves.clientsPerSecond)))
        return telling + spec.moves.grace + spec.failover.lease * 2
    }

    /// The server has reported since its part of the assignment last changed.
    private func hasApplied(_ id: ServerID) -> Bool {
        guard let standing = standings[id], standing.hasReport else { return false }
        guard rules.holds(.applied) else { return true }
        return standing.epoch >= observed.changes[id]?.epoch ?? observed.assignment.epoch
    }

    private func changedAt(_ id: ServerID) -> Moment { observed.changes[id]?.at ?? observed.since }

    /// Begins moves toward balance, within the cap: those of draining servers first.
    /// - Returns: what begins.
    mutating func begin() -> [Note] {
        let cap = !rules.holds(.moveCap) ? layout.partitions : max(1, layout.partitions * spec.moves.simultaneous_percent / 100)
        let room = cap - layout.moving
        guard room > 0, rules.holds(.balance) else { return [] }
        let share = Share(layout, roles: roles, standings: standings, places: observed.wishes.places)
        let moves = share.moves(atMost: room)
        guard !moves.isEmpty else { return relieve(atMost: room) }
        return moves.map { move in
            layout.change(move.to) { $0.opens = $0.opens.union(move.partitions) }
            let text = "\(move.to) opens \(count(move.partitions)) of \(move.from), \(move.why)"
            return Note("MoveStarted", standings[move.to]?.life, text)
        }
    }

    // MARK: For the load's sake

    /// When nothing else moves or is missing: what makes owners bear too much goes to others.
    private mutating func relieve(atMost limit: Int) -> [Note] {
        let eases = observed.loadWatch.eases
        guard !eases.isEmpty, rules.holds(.relief), layout.moving == 0, roles.draining.isEmpty, roles.waiting.isEmpty else { return [] }
        guard roles.coming == 0, roles.missing == 0 else { return [] }
        let owners = Set(roles.owners.filter { standings[$0].map { $0.isReady && !$0.isInDoubt } ?? false })
        var room = limit
        return eases.flatMap { ease -> [Note] in
            switch ease {
            case .lean(let id, let lean):
                let before = layout.lean(of: id)
                guard owners.contains(id), before != lean else { return [] }
                layout.change(id) { $0.lean = lean }
                return before > 0 ? [] : [Note("LoadEased", standings[id]?.life, "\(id) bears little by now, and may have more partitions again")]
            case .move(let out, let from, let to, let back, let over):
                guard owners.contains(from), owners.contains(to), out.count + back.count <= room else { return [] }
                guard out.subtracting(layout.owns(from)).isEmpty, back.subtracting(layout.owns(to)).isEmpty else { return [] }
                room -= out.count + back.count
                let why = "for load: \(from) bears \(over)% more than the mean"
                return [open(out, of: from, at: to, why), open(back, of: to, at: from, why)].compactMap { $0 }
            }
        }
    }

    private mutating func open(_ set: PartitionSet, of from: ServerID, at to: ServerID, _ why: String) -> Note? {
        guard !set.isEmpty else { return nil }
        layout.change(to) {
            $0.opens = $0.opens.union(set)
            $0.relieves = $0.relieves.union(set)
        }
        return Note("MoveStarted", standings[to]?.life, "\(to) opens \(count(set)) of \(from), \(why)")
    }
}
