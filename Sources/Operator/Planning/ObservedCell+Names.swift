import Cell

/// Names are never given twice while anyone remembers them.
extension ObservedCell {
    /// Of the servers of `kind` that anyone remembers; 0 when there never was one.
    func highestNumber(of kind: ServerKind) -> Int {
        var highest = 0
        func see(_ id: ServerID) { if id.kind == kind, id.number > highest { highest = id.number } }
        for id in assignment.members.keys { see(id) }
        for id in reports.keys { see(id) }
        for life in leases.keys { see(life.id) }
        for server in servers ?? [] { see(server.life.id) }
        for exit in exits { see(exit.life.id) }
        return highest
    }

    /// Whether `id` is given, or may have been: since a plan was made a server of that name may have been seen, which another operator started.
    package func isTaken(_ id: ServerID) -> Bool { id.number <= highestNumber(of: id.kind) }
}
