import Cell

extension Wishes {
    /// What people asked for since `before`, as events.
    func news(since before: Wishes) -> [Note] {
        var notes: [Note] = []
        func note(_ kind: String, _ text: String) { notes.append(Note(kind, nil, text)) }
        for id in drains where !before.drains.contains(id) { note("DrainRequested", "\(id) is to drain") }
        for id in before.drains where !drains.contains(id) { note("Uncordoned", "\(id) may own partitions again") }
        for zone in drainedZones where !before.drainedZones.contains(zone) { note("DrainRequested", "every server of zone \(zone) is to drain") }
        for zone in before.drainedZones where !drainedZones.contains(zone) { note("Uncordoned", "servers of zone \(zone) may own partitions again") }
        for place in places where !before.places.contains(place) {
            let old = before.places.first { $0.server == place.server }?.partitions ?? PartitionSet()
            let new = place.partitions.subtracting(old)
            if !new.isEmpty { note("MoveRequested", "\(count(new)) to be owned by \(place.server)") }
        }
        if restarts != before.restarts { note("RestartRequested", "every server is to be replaced by one of the same template") }
        if isRolloutPaused != before.isRolloutPaused {
            note(isRolloutPaused ? "RolloutPaused" : "RolloutResumed", isRolloutPaused ? "no further server is replaced" : "servers are replaced again")
        }
        return notes
    }
}
