import Cell

/// What the dead left behind in Redis and with the driver, once nobody needs it.
struct Remains {
    let steps: [Step]

    init(_ situation: Situation) {
        let (standings, observed) = (situation.standings, situation.observed)
        guard let servers = observed.servers, observed.areLeasesSettled(situation.spec.failover.lease) else {
            steps = []
            return
        }
        var remains: Set<ServerLife> = []
        func look(_ life: ServerLife) {
            if let standing = standings[life.id], standing.life == life, standing.lives || standing.running.map({ !$0.isGone }) ?? false { return }
            guard observed.assignment.members[life.id]?.incarnation != life.incarnation else { return }
            remains.insert(life)
        }
        for server in servers where server.isGone { look(server.life) }
        for id in observed.reports.keys {
            // Most often the report is that of who lives.
            if let standing = standings[id], standing.lives, standing.hasReport { continue }
            if let incarnation = observed.reports[id]?.incarnation { look(ServerLife(id, incarnation)) }
        }
        for (life, end) in observed.leases where end <= observed.leasesRead { look(life) }
        guard !remains.isEmpty else {
            steps = []
            return
        }
        for server in servers where !server.isGone { remains.remove(server.life) }
        steps = remains.sorted().map { .forget($0) }
    }
}
