import Cell

/// Replaces servers that were started as another template than the spec's, one batch after another.
///
///     outdated   ├── outgoing: a replacement starts beside it ──▶├── retired: drained, then stopped
///     new                           ├── starting ──▶ ready ──────▶├── owns, stands by, or serves
///
/// No batch begins while a new server is not ready, after one of them ended by itself, before those of the first batch have been ready for a while, or
/// while people pause. So at most one batch of servers is ever new and bad, and the rest serves on. Level-based: which servers are of the present batch
/// follows from what they are, and nothing is remembered.
struct Rollout {
    /// Of the present batch, those whose replacements are not ready yet.
    private(set) var outgoing: Set<ServerID> = []
    /// Of the present batch, those whose replacements are ready, and whatever was never ready itself.
    private(set) var retired: Set<ServerID> = []
    private(set) var findings: [Finding] = []
    private(set) var lookAgain: Moment?
    private let situation: Situation
    private var spec: CellSpec { situation.spec }
    private var observed: ObservedCell { situation.observed }
    private var standings: Standings { situation.standings }
    private var now: Moment { situation.now }
    private let template: String

    init(_ situation: Situation) {
        self.situation = situation
        // Most cells have nothing to replace, and the name is not for nothing.
        let servers = situation.observed.servers ?? []
        guard servers.contains(where: { !$0.template.isEmpty && !$0.isGone }) else {
            template = ""
            return
        }
        let template = situation.spec.template(restarts: situation.observed.wishes.restarts)
        self.template = template
        guard servers.contains(where: { !$0.template.isEmpty && $0.template != template && !$0.isGone }) else { return }
        // The embedded backplane keeps the log in its memory: to replace it is to lose it.
        for kind in [ServerKind.history, .materialize, .messaging, .connect] where replace(kind) { break }
    }

    /// - Returns: whether this kind is not done, so that the next has to wait.
    private mutating func replace(_ kind: ServerKind) -> Bool {
        let living = standings.of(kind).filter(\.lives)
        let outdated = living.filter { isOutdated($0) && !observed.drains.contains($0.id) }
        guard !outdated.isEmpty else { return false }
        // Never ready, and not to be any more: nothing depends on it.
        let unborn = outdated.filter { $0.health == .starting }
        retired.formUnion(unborn.map(\.id))
        let old = outdated.filter { $0.health != .starting }.sorted { key($0) < key($1) }
        let new = living.filter { !isOutdated($0) && !observed.drains.contains($0.id) }
        let text = "\(new.count { $0.isReady }) of \(Fleet.wanted(kind, spec)) \(kind.rawValue) servers are of the new template"
        guard let first = old.first else {
            findings.append(Finding(.progress, "RollingOut", text))
            return true
        }
        let wanted = Fleet.wanted(kind, spec)
        let surplus = max(0, new.count { $0.isReady } + old.count { $0.isReady } - wanted)
        var batch = max(1, spec.rollout.batch)
        if let hindrance = hindrance(kind, new, first) {
            findings.append(Finding(hindrance.weight, hindrance.reason, "\(text); \(hindrance.text)"))
            // Whoever lives beyond what the spec asks for belongs to a batch that has begun: that one is finished.
            batch = min(batch, max(0, new.count + old.count - wanted))
        } else {
            findings.append(Finding(.progress, "RollingOut", "\(text); \(first.id) is next"))
        }
        // As many as have a ready replacement go; the others of the batch wait for theirs.
        let members = old.prefix(batch)
        retired.formUnion(members.prefix(surplus).map(\.id))
        outgoing.formUnion(members.dropFirst(surplus).map(\.id))
        return true
    }

    private func isOutdated(_ standing: Standing) -> Bool {
        let old = standing.template
        return !old.isEmpty && old != template
    }

    /// Who is being replaced goes on, then those whose end is felt least.
    private func key(_ standing: Standing) -> (Int, ServerID) {
        guard let member = observed.assignment.members[standing.id] else { return (0, standing.id) }
        let rank =
            switch member.role {
            case .draining: 0
            case .idle: 1
            case .standby: 2
            case .owner, .service: 3
            }
        return (rank, standing.id)
    }

    private struct Hindrance {
        var weight: Finding.Weight
        var reason: String
        var text: String
    }

    /// Why no further server may be replaced now; nil when one may.
    private mutating func hindrance(_ kind: ServerKind, _ new: [Standing], _ next: Standing) -> Hindrance? {
        let notReplaced = "\(next.id) is not replaced: "
        if let ended = observed.exits.last(where: { $0.life.id.kind == kind && $0.template == template && !$0.asked }) {
            return Hindrance(weight: .trouble, reason: "RolloutStopped", text: notReplaced + "\(ended.life.id) of the new template ended: \(ended.reason)")
        }
        if let late = new.first(where: { !$0.isReady }) {
            let waits = late.report.map { $0.waitsFor.isEmpty ? "it does not say why" : "it waits for \($0.waitsFor)" } ?? "it has not reported"
            let deadline = (late.running?.started ?? now) + spec.rollout.readyWithin
            guard deadline > now else {
                return Hindrance(weight: .trouble, reason: "RolloutStopped", text: notReplaced + "\(late.id) of the new template is not ready: \(waits)")
            }
            lookAgain = earliest(lookAgain, deadline)
            return Hindrance(weight: .progress, reason: "RollingOut", text: "\(late.id) is on its way")
        }
        if observed.wishes.isRolloutPaused {
            return Hindrance(weight: .progress, reason: "RolloutPaused", text: "people paused it before \(next.id)")
        }
        return soak(new, next)
    }

    /// The first batch proves that the template can live before the second begins.
    private mutating func soak(_ new: [Standing], _ next: Standing) -> Hindrance? {
        let since = new.compactMap { observed.readySince[$0.life] }.min()
        guard new.count >= spec.rollout.batch, let proven = since.map({ $0 + spec.rollout.readyWithin }), proven > now else { return nil }
        lookAgain = earliest(lookAgain, proven)
        let seconds = spec.rollout.readyWithin.milliseconds / 1_000
        return Hindrance(weight: .progress, reason: "RollingOut", text: "the first is watched for \(seconds) s before \(next.id) follows")
    }
}

extension Situation {
    /// The same, with the batch of `rollout` on its way out.
    func replacing(_ rollout: Rollout) -> Situation {
        guard !rollout.retired.isEmpty || !rollout.outgoing.isEmpty else { return self }
        var cell = observed
        cell.retired = rollout.retired
        cell.drains.formUnion(rollout.retired)
        cell.outgoing = rollout.outgoing
        return Situation(spec, cell, standings, now: now, rules: rules)
    }
}
