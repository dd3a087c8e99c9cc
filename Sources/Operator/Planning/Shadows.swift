import Cell

/// What each standby shadows: with few owners everything, with many a share of the owners, so that every owner is shadowed by one.
struct Shadows {
    /// Up to so many owners, each standby shadows them all.
    static let few = 8

    private let layout: Layout
    private let standbys: [ServerID]
    private let owners: [ServerID]

    init(_ layout: Layout, standbys: [ServerID]) {
        self.layout = layout
        self.standbys = standbys
        owners = layout.ids { !$0.owns.isEmpty }
    }

    /// Standby → its shadows.
    func shares() -> [ServerID: PartitionSet] {
        guard !standbys.isEmpty, !owners.isEmpty else { return Dictionary(uniqueKeysWithValues: standbys.map { ($0, PartitionSet()) }) }
        if owners.count <= Self.few || standbys.count == 1 {
            let all = PartitionSet(ranges: owners.flatMap { layout.owns($0).ranges })
            return Dictionary(uniqueKeysWithValues: standbys.map { ($0, all) })
        }
        var ranges: [[ClosedRange<Int32>]] = Array(repeating: [], count: standbys.count)
        for (owner, standby) in zip(owners, choice()) { ranges[standby] += layout.owns(owner).ranges }
        return Dictionary(uniqueKeysWithValues: zip(standbys, ranges.map { PartitionSet(ranges: $0) }))
    }

    /// For each owner the place of its standby: the one that shadows it already, while that has not more than its share; else the one with the fewest.
    private func choice() -> [Int] {
        let present = self.present
        let most = (owners.count + standbys.count - 1) / standbys.count
        var loads = [Int](repeating: 0, count: standbys.count)
        var chosen = owners.map { owner -> Int in
            guard let first = layout.owns(owner).ranges.first?.lowerBound else { return -1 }
            // The last range that begins at or before it.
            var (low, high) = (0, present.count)
            while low < high {
                let middle = (low + high) / 2
                if present[middle].range.lowerBound <= first { low = middle + 1 } else { high = middle }
            }
            guard low > 0, present[low - 1].range.contains(first), loads[present[low - 1].place] < most else { return -1 }
            let place = present[low - 1].place
            loads[place] += 1
            return place
        }
        let shares = fill(loads, with: chosen.filter { $0 < 0 }.count)
        var queue = shares.enumerated().flatMap { Array(repeating: $0.offset, count: $0.element) }[...]
        for index in chosen.indices where chosen[index] < 0 { chosen[index] = queue.popFirst() ?? 0 }
        return chosen
    }

    /// What is shadowed now, and by which standby, in the order of partitions.
    private var present: [(range: ClosedRange<Int32>, place: Int)] {
        var present: [(range: ClosedRange<Int32>, place: Int)] = []
        for (place, id) in standbys.enumerated() { present += layout.shadows(id).ranges.map { (range: $0, place: place) } }
        return present.sorted { ($0.range.lowerBound, $0.place) < ($1.range.lowerBound, $1.place) }
    }
}
