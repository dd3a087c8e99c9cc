import Cell

extension Option {
    static let limit = Option(name: "limit", value: .required("COUNT"), about: "Of the events, how many of the latest (1000 unless given).")
}

extension Verb {
    static let get = Verb(
        name: "get", summary: "Lists cells, servers, partitions, events or settings.",
        usage: ["get cells|servers|partitions|events|settings [NAME…] [-o FORMAT] [--watch]", "get servers messaging", "get partitions 0-9,17"],
        about: """
            cells: whether they are ready, and how many servers they have. servers: role, state, partitions, connections, address. partitions: who owns each, who \
            stands by for it, whether it moves, and how far it is read. events: what happened, newest last. settings: what servers go by at this moment.

            JSON is {"items": […]}. A cell named alone prints as YAML that can be applied again. In `--watch` mode json prints an item in a line.
            """,
        words: Resource.allCases.map(\.rawValue), options: [.output, .watch, .limit],
        examples: [
            ("cellctl get cells", "every cell of this Redis"), ("cellctl get servers -o wide", "with incarnations, processes and builds"),
            ("cellctl get servers messaging --watch", "the messaging servers, as they change"), ("cellctl get cell eu-1 -o yaml", "a cell to edit and apply"),
            ("cellctl get events --watch", "what happens, as it happens"),
        ],
        run: { call, terminal in
            guard let word = call.words.first else {
                throw Failure.usage("get needs a kind of thing", remedy: "Write: cellctl get cells, servers, partitions, events or settings")
            }
            let format = try OutputFormat(call)
            let limit = call.value(.limit).map { Int($0) ?? 0 } ?? 1_000
            guard (1...100_000).contains(limit) else {
                throw Failure.usage("--limit=\(call.value(.limit) ?? "") is no number from 1 to 100000", remedy: "Write it like --limit 50")
            }
            let resource = try Resource(word)
            let session = try Session(call)
            let getter = Getter(resource: resource, names: Array(call.words.dropFirst()), limit: limit, session: session)
            let cell = resource == .cells ? nil : try await session.cell()
            if call.has(.watch) { return try await getter.watch(cell, format, terminal) }
            if resource == .cells, format == .yaml, getter.names.count == 1 { return try await getter.printDocument(terminal) }
            var printer = ListingPrinter(format, terminal)
            try printer.show(try await getter.listing(cell), nothing: "there are no \(resource.rawValue)")
        })
}

extension Getter {
    /// The one cell that was named, as it can be applied again.
    fileprivate func printDocument(_ terminal: Terminal) async throws {
        let cell = try Session.cell(names[0], among: try await session.cells())
        guard let json = Listing.appliable(try await session.snapshot(cell)) else {
            throw Failure(
                .failed, "the spec of cell \(cell) in Redis cannot be read by this build",
                remedy: "cellctl version tells which build wrote it; -o json shows what is there")
        }
        terminal.say(yamlText(try Listing.Item(name: "cell/\(cell)", cells: [], json: json).node))
    }

    fileprivate func watch(_ cell: CellName?, _ format: OutputFormat, _ terminal: Terminal) async throws {
        var printer = ListingPrinter(format, terminal)
        let anyCell = try await session.cells().first
        guard let listened = cell ?? anyCell else { return try printer.show(try await listing(nil), nothing: "there are no cells") }
        _ = try await following(session.board(listened), resource.topics) {
            do {
                try printer.show(try await listing(cell), nothing: "there are no \(resource.rawValue) yet")
            } catch  where Failure(error).code == .unreachable {
                // Redis comes back, and the watch goes on.
                terminal.complain(Failure(error).lines[0])
            }
            return false
        }
    }
}
