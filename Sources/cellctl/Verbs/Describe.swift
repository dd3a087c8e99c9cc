import Blackboard
import Cell

extension Verb {
    static let describe = Verb(
        name: "describe", summary: "Tells everything of one cell or one server.", usage: ["describe cell [NAME]", "describe server NAME [--cell NAME]"],
        about:
            "Of a cell: its status and its whole spec with every default. Of a server: what it is, what the assignment gives it, what it reports, and its events.",
        words: ["cell", "server"], examples: [("cellctl describe cell eu-1", "a cell"), ("cellctl describe server messaging-2", "a server")],
        run: { call, terminal in
            let write = "Write: cellctl describe cell NAME, or cellctl describe server NAME"
            guard let kind = call.words.first else { throw Failure.usage("describe needs cell or server", remedy: write) }
            let session = try Session(call)
            switch kind {
            case "cell", "cells":
                try call.expectWords(1...2, "a cell")
                let cell = call.words.count == 2 ? try Session.cell(call.words[1], among: try await session.cells()) : try await session.cell()
                try await session.describe(cell, terminal)
            case "server", "servers":
                try call.expectWords(2...2, "a server's name")
                try await session.describeServer(call.words[1], terminal)
            default: throw Failure.unknown("kind of thing to describe", kind, among: ["cell", "server"], remedy: write)
            }
        })
}

extension Session {
    fileprivate func describe(_ cell: CellName, _ terminal: Terminal) async throws {
        let snapshot = try await snapshot(cell)
        let events = try await board(cell).latestEvents(10).map(\.event)
        for line in Overview(snapshot, events: events, now_ms: now_ms()).lines(terminal) { terminal.say(line) }
        guard let stored = snapshot.spec else { return }
        terminal.say("\nSpec:")
        terminal.say(yamlText(try Listing.Item(name: "spec", cells: [], json: stored.json).node, indent: 2))
    }

    fileprivate func describeServer(_ name: String, _ terminal: Terminal) async throws {
        let cell = try await cell()
        let snapshot = try await snapshot(cell)
        let all = ServerItems(snapshot).all
        guard let item = all.first(where: { $0.name.description == name }) else {
            let near = nearest(to: name, among: all.map(\.name.description))
            throw Failure(.failed, "cell \(cell) has no server \"\(name)\"", remedy: near.map { "Did you mean \($0)?" } ?? "cellctl get servers lists them")
        }
        terminal.say(yamlText(try Listing.Item(name: name, cells: [], json: compactJSON(item)).node))
        if let member = snapshot.assignment.members[item.name] { try section("assignment", member, terminal) }
        if let report = snapshot.servers.reports[item.name] { try section("report", report, terminal) }
        let events = try await board(cell).latestEvents(1_000).map(\.event).filter { $0.server == item.name }.suffix(20)
        guard !events.isEmpty else { return }
        terminal.say("events:")
        for event in events { terminal.say("  \(timestamp(event.time_ms))  \(event.kind)  \(event.text)") }
    }

    private func section(_ title: String, _ value: some Encodable, _ terminal: Terminal) throws {
        terminal.say("\(title):\n" + yamlText(try Listing.Item(name: title, cells: [], json: compactJSON(value)).node, indent: 2))
    }
}
