import Cell

/// The few partitions whose move takes most from servers that bear too much: at most a few pairs of servers at a time, and so many clients as can be told
/// to move within the grace. Pure.
struct Relief {
    private var bearing: Bearing
    private let due: Set<ServerID>
    private let fixed: PartitionSet
    private let isCooling: Bool
    /// No owner has fewer partitions after it, or more.
    private let bounds: ClosedRange<Int>
    private var pairsLeft: Int
    private var partitionsLeft: Int
    private var clientsLeft: Double
    private var touched: Set<ServerID> = []

    /// - Parameters:
    ///   - due: servers that have been too heavy, or too light, for long enough.
    ///   - cooling: partitions that have moved for their load lately.
    init(_ bearing: Bearing, due: Set<ServerID>, cooling: [Int32: Moment], _ spec: CellSpec) {
        self.bearing = bearing
        self.due = due
        isCooling = !cooling.isEmpty
        fixed = bearing.placed.union(PartitionSet(cooling.keys.map { Partition($0) }))
        let owners = bearing.owners.count
        let mean = Double(spec.partitions) / Double(max(1, owners))
        let least = max(1, Int((mean / 2).rounded(.up)))
        bounds = least...max(least, Int(mean * 2))
        pairsLeft = max(4, owners / 100)
        partitionsLeft = max(1, spec.partitions * spec.moves.simultaneous_percent / 100)
        clientsLeft = max(1, Double(spec.moves.clientsPerSecond) * Double(spec.moves.grace.milliseconds) / 1_000)
    }

    /// What to do; nothing when nothing helps.
    consuming func eases() -> [Ease] {
        var eases: [Ease] = []
        let heavy = bearing.owners.indices.filter { due.contains(bearing.owners[$0].id) && bearing.owners[$0].isReady && bearing.isHeavy(bearing.owners[$0]) }
        for index in heavy.sorted(by: { (bearing.owners[$1].load, $0) < (bearing.owners[$0].load, $1) }) {
            // What one other cannot take another may.
            while pairsLeft > 0, bearing.owners[index].load > bearing.middle, let ease = relieve(index) { eases.append(ease) }
        }
        // What moves for counts may be any of an owner's, also one that has just come.
        return eases.isEmpty && !isCooling ? returns() : eases
    }

    /// Those that are due and lean away from a load that is gone; and those that have what they gave away.
    private func returns() -> [Ease] {
        let each = bearing.owners.reduce(0) { $0 + $1.load } / Double(max(1, bearing.weights.count))
        guard each > 0 else { return [] }
        var eases: [Ease] = []
        var back = 0
        for owner in bearing.owners where due.contains(owner.id) && bearing.isOwed(owner) {
            let count = min(-owner.lean, Int(((bearing.mean - owner.load) / each).rounded()))
            guard count > 0 else { continue }
            back += count
            eases.append(.lean(owner.id, owner.lean + count))
        }
        for owner in bearing.owners.sorted(by: { ($1.lean, $0.id) < ($0.lean, $1.id) }) where owner.lean > 0 && back > 0 {
            let count = min(owner.lean, back)
            back -= count
            eases.append(.lean(owner.id, owner.lean - count))
        }
        return eases
    }

    // MARK: One pair

    private struct Exchange {
        var out: [Int] = []
        var back: [Int] = []
        /// What the pair's heavier one bears after it.
        var most: Double
        var moved: Double
    }

    /// Relieves the owner at `index` by one exchange with another, if that helps.
    private mutating func relieve(_ index: Int) -> Ease? {
        let heavy = bearing.owners[index]
        var best: (sink: Int, exchange: Exchange)?
        for sink in sinks(for: index) {
            guard let exchange = exchange(heavy, bearing.owners[sink]) else { continue }
            if exchange.most < best?.exchange.most ?? .infinity { best = (sink, exchange) }
            // A zone bears its own clients when it can, so that its loss costs no more than before.
            if exchange.most <= bearing.mean * (1 + LoadWatch.margin), bearing.owners[sink].load + exchange.moved <= bearing.middle { break }
        }
        guard let best else { return nil }
        return apply(best.exchange, from: index, to: best.sink)
    }

    /// The lightest of the same zone, then the lightest of all.
    private func sinks(for index: Int) -> [Int] {
        let zone = bearing.owners[index].zone
        func lightest(where isMeant: (Bearing.Owner) -> Bool) -> Int? {
            let able = bearing.owners.indices.filter { bearing.owners[$0].isReady && $0 != index && isMeant(bearing.owners[$0]) }
            return able.min { (bearing.owners[$0].load, $0) < (bearing.owners[$1].load, $1) }
        }
        guard let all = lightest(where: { _ in true }) else { return [] }
        guard let near = lightest(where: { $0.zone == zone }), near != all else { return [all] }
        return [near, all]
    }

    private func exchange(_ heavy: Bearing.Owner, _ light: Bearing.Owner) -> Exchange? {
        let out = movable(heavy)
        let enough = heavy.load - bearing.mean * LoadWatch.gain
        func isEnough(_ exchange: Exchange?) -> Bool { exchange.map { $0.most <= enough && !$0.out.isEmpty } ?? false }
        let several = several(out, heavy, light)
        // What helps as a whole may begin with less: the rest follows.
        if isEnough(several) { return begin(several) }
        if let one = one(out, heavy, light), isEnough(one) { return one }
        let swap = swap(out, heavy, light)
        return isEnough(swap) ? swap : nil
    }

    /// Partitions that may go, heaviest first.
    private func movable(_ owner: Bearing.Owner) -> [Int] {
        let numbers = owner.owns.subtracting(fixed).map { Int($0.number) }.filter { $0 < bearing.weights.count && bearing.weights[$0] > 0 }
        return numbers.sorted { (bearing.weights[$1], $0) < (bearing.weights[$0], $1) }
    }

    /// How many the pair's counts allow to go one way.
    private func room(_ heavy: Bearing.Owner, _ light: Bearing.Owner) -> Int {
        min(heavy.count - bounds.lowerBound, bounds.upperBound - light.count)
    }

    /// As many, the heaviest first, as bring the heavy one to the mean and the light one not far above it.
    private func several(_ out: [Int], _ heavy: Bearing.Owner, _ light: Bearing.Owner) -> Exchange {
        var rest = min(heavy.load - bearing.mean, bearing.middle - light.load)
        var room = room(heavy, light)
        var result = Exchange(most: heavy.load, moved: 0)
        for number in out where room > 0 && bearing.weights[number] <= rest {
            result.out.append(number)
            result.moved += bearing.weights[number]
            rest -= bearing.weights[number]
            room -= 1
        }
        result.most = max(heavy.load - result.moved, light.load + result.moved)
        return result
    }

    /// As many of its partitions as may move now.
    private func begin(_ whole: Exchange) -> Exchange? {
        var clients = clientsLeft
        var result = whole
        (result.out, result.moved) = ([], 0)
        for number in whole.out where result.out.count < partitionsLeft {
            guard bearing.streams[number] <= clients || clientsAreWhole && result.out.isEmpty else { continue }
            result.out.append(number)
            result.moved += bearing.weights[number]
            clients -= bearing.streams[number]
        }
        return result.out.isEmpty ? nil : result
    }

    /// One that is more than the light one lacks, when both are better off than the heavy one was.
    private func one(_ out: [Int], _ heavy: Bearing.Owner, _ light: Bearing.Owner) -> Exchange? {
        guard room(heavy, light) > 0, partitionsLeft > 0 else { return nil }
        let able = out.filter { bearing.streams[$0] <= clientsLeft || clientsAreWhole }
        let all = able.map { number -> Exchange in
            let weight = bearing.weights[number]
            return Exchange(out: [number], most: max(heavy.load - weight, light.load + weight), moved: weight)
        }
        return all.min { ($0.most, $0.out[0]) < ($1.most, $1.out[0]) }
    }

    /// One for one: counts stay.
    private func swap(_ out: [Int], _ heavy: Bearing.Owner, _ light: Bearing.Owner) -> Exchange? {
        guard partitionsLeft > 1 else { return nil }
        let others = movable(light)
        var best: Exchange?
        for number in out {
            // The lightest first come last: the first that is light enough leaves most even.
            let wanted = bearing.weights[number] - (heavy.load - light.load) / 2
            var (low, high) = (0, others.count)
            while low < high {
                let middle = (low + high) / 2
                if bearing.weights[others[middle]] > wanted { low = middle + 1 } else { high = middle }
            }
            for place in [low - 1, low] where others.indices.contains(place) {
                let other = others[place]
                let moved = bearing.weights[number] - bearing.weights[other]
                guard moved > 0, bearing.streams[number] + bearing.streams[other] <= clientsLeft || clientsAreWhole else { continue }
                let most = max(heavy.load - moved, light.load + moved)
                if most < best?.most ?? .infinity { best = Exchange(out: [number], back: [other], most: most, moved: moved) }
            }
        }
        return best
    }

    /// Nothing was spent of it yet: one partition with more clients than that may go alone.
    private var clientsAreWhole: Bool { touched.isEmpty }

    private mutating func apply(_ exchange: Exchange, from index: Int, to sink: Int) -> Ease {
        let over = bearing.mean > 0 ? (bearing.owners[index].load / bearing.mean - 1) * 100 : 0
        let out = PartitionSet(exchange.out.map { Partition($0) })
        let back = PartitionSet(exchange.back.map { Partition($0) })
        let net = out.count - back.count
        for (place, sign) in [(index, -1), (sink, 1)] {
            bearing.owners[place].load += Double(sign) * exchange.moved
            bearing.owners[place].count += sign * net
            bearing.owners[place].owns = bearing.owners[place].owns.subtracting(sign < 0 ? out : back)
            touched.insert(bearing.owners[place].id)
        }
        pairsLeft -= 1
        partitionsLeft -= out.count + back.count
        clientsLeft -= (exchange.out + exchange.back).reduce(0) { $0 + bearing.streams[$1] }
        return .move(out, from: bearing.owners[index].id, to: bearing.owners[sink].id, back: back, over_percent: Int(over.rounded()))
    }
}
