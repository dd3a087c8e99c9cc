extension SeedRun {
    /// The same history with as few faults as still break the same invariant, recorded; nil when this seed breaks none.
    ///
    /// First whole episodes go, then single faults, as long as the invariant stays broken.
    /// - Parameter attempts: how many shorter histories are tried at most.
    public func shrunk(attempts: Int = 80) -> Outcome? {
        guard let broken = run().violation else { return nil }
        var shortest = self
        var left = attempts
        var at_us = broken.at_us
        shortest.episodes.removeAll { ($0.faults.first?.at_us ?? 0) > at_us }
        func breaks(_ candidate: SeedRun) -> Bool {
            guard left > 0 else { return false }
            left -= 1
            guard let violation = candidate.run().violation, violation.invariant == broken.invariant else { return false }
            at_us = violation.at_us
            return true
        }
        // Most often one episode is enough, the last.
        if let last = shortest.episodes.last, shortest.episodes.count > 1 {
            var candidate = shortest
            candidate.episodes = [last]
            if breaks(candidate) { shortest = candidate }
        }
        var isShorter = true
        while isShorter, left > 0 {
            isShorter = false
            for index in shortest.episodes.indices.reversed() where shortest.episodes.count > 1 {
                var candidate = shortest
                candidate.episodes.remove(at: index)
                if breaks(candidate) { (shortest, isShorter) = (candidate, true) }
            }
            for index in shortest.episodes.indices.reversed() where index < shortest.episodes.count {
                for place in shortest.episodes[index].faults.indices.reversed() where shortest.episodes[index].faults.count > 1 {
                    var candidate = shortest
                    candidate.episodes[index].faults.remove(at: place)
                    if breaks(candidate) { (shortest, isShorter) = (candidate, true) }
                }
            }
        }
        return shortest.run(recording: true)
    }
}
