import Cell

extension ObservedCell {
    /// The same cell, with every server that people's wishes mean among those that drain.
    func withDrains(of standings: Standings) -> ObservedCell {
        guard !wishes.drains.isEmpty || !wishes.drainedZones.isEmpty else { return self }
        var result = self
        result.drains.formUnion(wishes.drains)
        let zones = Set(wishes.drainedZones)
        if !zones.isEmpty { result.drains.formUnion(standings.all.filter { zones.contains($0.zone) }.map(\.id)) }
        return result
    }
}
