import Blackboard
import Cell
import Operator

extension Verb {
    static let drain = Verb(
        name: "drain", summary: "Takes partitions and clients away from servers, to work on them or their machine.",
        usage: ["drain SERVER…", "drain --zone ZONE", "drain SERVER… [--wait[=TIMEOUT]]"],
        about: """
            A messaging server that drains loses its partitions one after another to others, which are warm before they take over; its clients are told where to \
            go. Then it stays, without anything to do, until it is uncordoned. When the spec still asks for as many servers, another is started in its place. \
            Servers of other kinds stop once another is ready in their place.

            Refused when nobody would be left to own the partitions, or to hold the clients.
            """,
        options: [.zone, .wait],
        examples: [
            ("cellctl drain messaging-2 --wait", "and wait until its last client has moved"), ("cellctl drain --zone b", "everything in zone b"),
            ("cellctl uncordon messaging-2", "it may own partitions again"),
        ],
        run: { call, terminal in
            let chosen = try Chosen(call)
            let limit = try call.waitLimit()
            let session = try Session(call)
            let cell = try await session.cell()
            let isNew = try await session.wish(in: cell) { wishes, spec, servers in
                try chosen.expect(among: spec, servers)
                wishes.drains = Set(wishes.drains + chosen.servers).sorted()
                wishes.drainedZones = Set(wishes.drainedZones + chosen.zones).sorted()
                if let refusal = wishes.refusalOfDrains(spec, servers) { throw refusal }
            }
            for name in chosen.names { terminal.say("\(name) \(isNew ? "drains" : "unchanged")") }
            guard let limit else { return }
            let deadline = ContinuousClock.now + limit
            try await session.wait(for: cell, "to drain", until: deadline, limit, terminal, topics: [.status, .assignment, .servers]) {
                obstacle(toDraining: chosen, in: try await session.snapshot(cell))
            }
            for name in chosen.names { terminal.say("\(name) drained") }
        })

    static let uncordon = Verb(
        name: "uncordon", summary: "Lets drained servers own partitions again.", usage: ["uncordon SERVER…", "uncordon --zone ZONE"],
        about: "Takes back `drain`. Whoever is too many for the spec by then goes.", options: [.zone],
        examples: [("cellctl uncordon messaging-2", "the work on it is done")],
        run: { call, terminal in
            let chosen = try Chosen(call)
            let session = try Session(call)
            let cell = try await session.cell()
            let isNew = try await session.wish(in: cell) { wishes, spec, servers in
                try chosen.expect(among: spec, servers)
                wishes.drains.removeAll { chosen.servers.contains($0) }
                wishes.drainedZones.removeAll { chosen.zones.contains($0) }
            }
            for name in chosen.names { terminal.say("\(name) \(isNew ? "uncordoned" : "unchanged")") }
        })
}

extension Chosen {
    fileprivate var names: [String] { servers.map { "server/\($0)" } + zones.map { "zone/\($0)" } }
}

/// What the chosen servers still have; nil when they have nothing. Pure.
func obstacle(toDraining chosen: Chosen, in snapshot: Snapshot) -> String? {
    for server in ServerItems(snapshot).all where server.kind == .messaging && server.state != .dead {
        guard chosen.servers.contains(server.name) || chosen.zones.contains(server.zone) else { continue }
        guard let member = snapshot.assignment.members[server.name], member.incarnation == server.incarnation else { continue }
        let held = member.owns.count + member.leaves.count
        if held > 0 { return "\(server.name) has \(held) partitions and \(server.connections) clients" }
        if member.role != .draining { return "the operator has not looked at \(server.name) yet" }
    }
    return nil
}
