import Cell

/// Life after death: what the lost servers owned goes to others, and nothing else moves.
///
/// What a live server was opening goes to it. The rest of each lost server goes to one standby, the one that shadows most of it, or else to an idle
/// server; when there are none left, it is spread over the owners, fewest first.
struct Failover {
    private(set) var layout: Layout
    private(set) var notes: [Note] = []
    private let situation: Situation
    private var standings: Standings { situation.standings }
    private var drains: Set<ServerID> { situation.observed.drains }
    /// Ready servers that own nothing: standbys before idle ones, those asked to drain last.
    private var heirs: [ServerID]

    init(_ layout: Layout, _ situation: Situation) {
        self.layout = layout
        self.situation = situation
        heirs = []
    }

    /// - Parameter lost: the servers, and why each is lost.
    mutating func repair(_ lost: [ServerID: Loss]) {
        guard !lost.isEmpty else { return }
        var orphans: [(id: ServerID, member: Member)] = []
        for id in lost.keys.sorted() {
            if let member = layout.remove(id) { orphans.append((id: id, member: member)) }
        }
        heirs = spares()
        let openers = layout.ids { !$0.opens.isEmpty }
        var leftover = PartitionSet()
        for (id, orphan) in orphans.sorted(by: { ($0.member.owns.count, $1.id) > ($1.member.owns.count, $0.id) }) {
            var member = orphan
            let died = Note("ServerLost", ServerLife(id, member.incarnation), "\(id) is lost: \(lost[id]?.reason ?? "")")
            notes.append(died)
            guard !member.owns.isEmpty else { continue }
            let rest = handToOpeners(member.owns, openers, &member.lean)
            if rest.isEmpty { continue }
            if let heir = takeHeir(for: rest) { inherit(heir, rest, from: id, lean: member.lean) } else { leftover = leftover.union(rest) }
        }
        spread(leftover)
    }

    private func spares() -> [ServerID] {
        layout.ids { $0.owns.isEmpty && $0.opens.isEmpty }
            .filter { id in standings[id].map { $0.isReady && layout.isLife(id, $0.life.incarnation) } ?? false }
            .map { id -> (id: ServerID, rank: Int) in
                let role = layout.role(of: id)
                return (id: id, rank: (drains.contains(id) || role == .draining ? 2 : 0) + (role == .standby ? 0 : 1))
            }
            .sorted { ($0.rank, $0.id) < ($1.rank, $1.id) }
            .map(\.id)
    }

    /// - Parameter lean: of the dead server; it has less of what relieved it.
    private mutating func handToOpeners(_ owned: PartitionSet, _ openers: [ServerID], _ lean: inout Int) -> PartitionSet {
        var rest = owned
        for id in openers where standings.isReady(id) {
            let taken = layout.opens(id).intersection(rest)
            if taken.isEmpty { continue }
            lean -= layout.relieves(id).intersection(taken).count
            layout.give(taken, to: id)
            rest = rest.subtracting(taken)
            notes.append(Note("FailedOver", standings[id]?.life, "\(id), which was opening them, owns \(count(taken))"))
        }
        return rest
    }

    private mutating func takeHeir(for owned: PartitionSet) -> ServerID? {
        let standbys = heirs.prefix { layout.role(of: $0) == .standby && !drains.contains($0) }
        // The first of those that shadow most, where clients were told to go; but not one that reads as little as the one it replaces.
        var best: (index: Int, overlap: Int)?
        for (index, id) in standbys.enumerated() where standings.keepsUp(id, with: owned) {
            let overlap = layout.shadows(id).intersection(owned).count
            if overlap > best?.overlap ?? -1 { best = (index, overlap) }
        }
        guard let index = best?.index ?? heirs.firstIndex(where: { standings.keepsUp($0, with: owned) }), situation.rules.holds(.oneHeir) else { return nil }
        return heirs.remove(at: index)
    }

    private mutating func inherit(_ heir: ServerID, _ set: PartitionSet, from dead: ServerID, lean: Int) {
        layout.give(set, to: heir)
        layout.change(heir) {
            $0.role = .owner
            $0.lean = lean
            $0.shadows = PartitionSet()
        }
        notes.append(Note("FailedOver", standings[heir]?.life, "\(heir) takes over all of \(dead): \(count(set))"))
    }

    private mutating func spread(_ set: PartitionSet) {
        guard !set.isEmpty else { return }
        let ready = layout.ids.filter { standings.isReady($0) }
        let wanted = ready.filter { layout.role(of: $0) == .owner && !drains.contains($0) }
        let heirs = wanted.isEmpty ? ready : wanted
        guard !heirs.isEmpty else {
            notes.append(Note("NoOwner", nil, "\(count(set)) wait for a server: none is ready"))
            return
        }
        layout.spread(set, over: heirs)
        notes.append(Note("FailedOver", nil, "without a standby, \(count(set)) are spread over \(heirs.count) servers"))
    }
}

/// How people read a number of partitions.
func count(_ set: PartitionSet) -> String {
    let texts = set.texts
    let shown = texts.prefix(4).joined(separator: ",") + (texts.count > 4 ? ",…" : "")
    return set.count == 1 ? "partition \(shown)" : "\(set.count) partitions (\(shown))"
}
