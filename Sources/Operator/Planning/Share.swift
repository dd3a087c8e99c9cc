import Cell

/// What each owner's fair share is, and the fewest moves toward it: owners differ by at most one partition, but for those that people gave more, and for
/// what loads make them lean. What moves for its load counts where it was until it has moved, so that a move that is cancelled leaves nothing behind.
struct Share {
    struct Move: Equatable {
        var from: ServerID, to: ServerID
        var partitions: PartitionSet
        var why: String
    }

    private struct Part {
        var id: ServerID
        /// Owned, and not on its way to another.
        var free: PartitionSet
        /// `free` and what it opens, without what it leans: even when all are alike.
        var count: Int
        /// How much more than `count` it has.
        var lean = 0
        /// Of those it has or opens, what people moved here.
        var placed = PartitionSet()
        /// What people moved here and others own.
        var wanted = PartitionSet()
    }

    private var draining: [Part] = []
    private var owners: [Part] = []
    /// Owners that are not here yet, and whose share nobody else gets.
    private let coming: Int

    init(_ layout: Layout, roles: Roles, standings: Standings, places: [Wishes.Place] = []) {
        coming = roles.coming
        let outgoing = Self.outgoing(layout)
        func part(_ id: ServerID) -> Part? {
            guard layout.has(id), standings.isReady(id) else { return nil }
            let owns = layout.owns(id)
            let free = outgoing.isEmpty ? owns : owns.subtracting(outgoing)
            return Part(id: id, free: free, count: free.count + layout.opens(id).count)
        }
        let relieved = outgoing.isEmpty ? PartitionSet() : PartitionSet(ranges: layout.ids { !$0.relieves.isEmpty }.flatMap { layout.relieves($0).ranges })
        draining = roles.draining.compactMap(part)
        owners = roles.owners.compactMap(part)
        lean(layout, relieved)
        for place in places {
            guard let index = owners.firstIndex(where: { $0.id == place.server }) else { continue }
            owners[index].placed = layout.owns(place.server).union(layout.opens(place.server)).intersection(place.partitions)
            owners[index].wanted = place.partitions.subtracting(owners[index].placed)
        }
    }

    /// Lays what owners lean beside their counts, within half and twice the mean: of a fleet that has grown it may be more than there is.
    private mutating func lean(_ layout: Layout, _ relieved: PartitionSet) {
        guard !relieved.isEmpty || owners.contains(where: { layout.lean(of: $0.id) != 0 }) else { return }
        let mean = layout.partitions / max(1, owners.count + coming)
        for index in owners.indices {
            let id = owners[index].id
            owners[index].lean = min(mean, max(-mean / 2, layout.lean(of: id)))
            owners[index].count -= owners[index].lean + layout.relieves(id).count - (relieved.isEmpty ? 0 : layout.owns(id).intersection(relieved).count)
        }
    }

    /// What is being opened: it is on its way from whoever owns it.
    private static func outgoing(_ layout: Layout) -> PartitionSet {
        let openers = layout.ids { !$0.opens.isEmpty }
        return PartitionSet(ranges: openers.flatMap { layout.opens($0).ranges })
    }

    /// At most `limit` partitions' moves: what people asked for first, then the draining servers'.
    func moves(atMost limit: Int) -> [Move] {
        guard !owners.isEmpty else { return [] }
        guard owners.contains(where: { !$0.placed.isEmpty || !$0.wanted.isEmpty }) else { return balance(atMost: limit) }
        var share = self
        let asked = share.takeAsked(atMost: limit)
        return asked + share.balance(atMost: limit - asked.reduce(0) { $0 + $1.partitions.count })
    }

    /// Moves by hand, as if they were made.
    private mutating func takeAsked(atMost limit: Int) -> [Move] {
        var moves: [Move] = []
        var left = limit
        func take(_ part: inout Part, _ sink: Int, _ wanted: PartitionSet) -> PartitionSet {
            var found = part.free.intersection(wanted)
            let taken = found.takeFirst(left)
            guard !taken.isEmpty else { return taken }
            part.free = part.free.subtracting(taken)
            part.count -= taken.count
            left -= taken.count
            moves.append(Move(from: part.id, to: owners[sink].id, partitions: taken, why: "as people asked"))
            return taken
        }
        for sink in owners.indices where !owners[sink].wanted.isEmpty {
            var got = PartitionSet()
            let wanted = owners[sink].wanted
            for index in draining.indices {
                var part = draining[index]
                got = got.union(take(&part, sink, wanted))
                draining[index] = part
            }
            for index in owners.indices where index != sink {
                var part = owners[index]
                got = got.union(take(&part, sink, wanted))
                owners[index] = part
            }
            owners[sink].count += got.count
            owners[sink].placed = owners[sink].placed.union(got)
        }
        // Balance decides about the rest.
        for index in owners.indices where !owners[index].placed.isEmpty { owners[index].free = owners[index].free.subtracting(owners[index].placed) }
        return moves
    }

    /// Each owner's target, in the order of `order`: who has most keeps most, and nobody gets less than people gave it.
    private func targets(_ order: [Int], total: Int) -> [Int] {
        var targets = [Int](repeating: 0, count: order.count)
        var open = Array(order.indices)
        var rest = total
        func placed(_ place: Int) -> Int { owners[order[place]].placed.isEmpty ? .min : owners[order[place]].placed.count - owners[order[place]].lean }
        while let place = open.first(where: { placed($0) > (rest + open.count + coming - 1) / (open.count + coming) }) {
            targets[place] = placed(place)
            rest -= targets[place]
            open.removeAll { $0 == place }
        }
        let count = open.count + coming
        for (turn, place) in open.enumerated() { targets[place] = rest / count + (turn < rest % count ? 1 : 0) }
        return targets
    }

    private func balance(atMost limit: Int) -> [Move] {
        guard !isEven else { return [] }
        let total = owners.reduce(0) { $0 + $1.count } + draining.reduce(0) { $0 + $1.free.count }
        // Who has most keeps most, so that the fewest move.
        let order = self.order
        var sources = draining.map { (part: $0, surplus: $0.free.count, why: "which drains") }
        var sinks: [(id: ServerID, room: Int)] = []
        for (target, index) in zip(targets(order, total: total), order) {
            let part = owners[index]
            if part.count > target { sources.append((part: part, surplus: min(part.free.count, part.count - target), why: "for balance")) }
            if part.count < target { sinks.append((id: part.id, room: target - part.count)) }
        }
        return pair(&sources, &sinks, limit)
    }

    /// Places of the owners, most partitions first; of equals the lower name, as they come.
    private var order: [Int] {
        let byCount = Dictionary(grouping: owners.indices) { owners[$0].count }
        return byCount.keys.sorted(by: >).flatMap { byCount[$0] ?? [] }
    }

    /// Nobody drains, nobody was given more by hand, and owners differ by at most one.
    private var isEven: Bool {
        guard draining.allSatisfy({ $0.free.isEmpty }), let first = owners.first else { return false }
        var (least, most) = (first.count, first.count)
        for owner in owners {
            guard owner.placed.isEmpty else { return false }
            least = min(least, owner.count)
            most = max(most, owner.count)
        }
        return most - least <= 1
    }

    private func pair(_ sources: inout [(part: Part, surplus: Int, why: String)], _ sinks: inout [(id: ServerID, room: Int)], _ limit: Int) -> [Move] {
        var moves: [Move] = []
        var left = limit
        var sink = 0
        for index in sources.indices {
            while sources[index].surplus > 0, left > 0, sink < sinks.count {
                let amount = min(sources[index].surplus, sinks[sink].room, left)
                let taken = sources[index].part.free.takeLast(amount)
                moves.append(Move(from: sources[index].part.id, to: sinks[sink].id, partitions: taken, why: sources[index].why))
                sources[index].surplus -= amount
                sinks[sink].room -= amount
                left -= amount
                if sinks[sink].room == 0 { sink += 1 }
            }
        }
        return moves
    }
}
