import Blackboard
import Cell

extension Option {
    static let check = Option(name: "check", about: "Exit code 5 unless every cell shown is ready.")
}

extension Verb {
    static let status = Verb(
        name: "status", summary: "Tells how a cell is, and what waits for what.", usage: ["status [NAME…] [--check] [-o FORMAT]"],
        about: "Conditions, servers by kind, what is not as it should be and why, and the last events. Without a name it tells of every cell.",
        options: [.check, .output], examples: [("cellctl status", "every cell"), ("cellctl status eu-1 --check", "for scripts and probes")],
        run: { call, terminal in
            let format = try OutputFormat(call)
            let session = try Session(call)
            let wanted = call.words.isEmpty ? call.values(.cell) : call.words
            let known = try await session.cells()
            let cells = wanted.isEmpty ? known : try wanted.map { try Session.cell($0, among: known) }
            guard !cells.isEmpty else { throw Failure(.failed, "there is no cell in \(session.redis.address)", remedy: "Make one: cellctl apply -f cell.yaml") }
            var snapshots: [Snapshot] = []
            for cell in cells { snapshots.append(try await session.snapshot(cell)) }
            if format == .json || format == .yaml {
                terminal.say(try Listing.cells(snapshots, now_ms: now_ms()).text(format))
            } else {
                for (index, snapshot) in snapshots.enumerated() {
                    if index > 0 { terminal.say("") }
                    let events = try await session.board(snapshot.cell).latestEvents(5).map(\.event)
                    for line in Overview(snapshot, events: events, now_ms: now_ms()).lines(terminal) { terminal.say(line) }
                }
            }
            let unready = snapshots.filter { Readiness($0).word != "True" }
            guard call.has(.check), let first = unready.first else { return }
            throw Failure(
                .timedOut, "cell \(first.cell) is not ready: \(Readiness(first).message)", remedy: "cellctl get events --cell \(first.cell) tells what happened"
            )
        })
}
