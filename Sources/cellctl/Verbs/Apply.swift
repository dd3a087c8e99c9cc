import Cell

extension Option {
    static let file = Option(
        name: "filename", short: "f", value: .required("FILE"), about: "A file, a folder, or - for standard input. May be given several times.")
    static let plan = Option(
        name: "plan", value: .required("FILE"), about: "Carries out what cellctl plan -o json wrote, unless the cell is another by now (exit code 6).")
    static let adopt = Option(
        name: "adopt", about: "Goes on with servers that live although Redis and every operator have lost their cell. Give the spec that they ran under.")
    static let dryRun = Option(name: "dry-run", about: "Says what would be done, and does nothing.")
}

extension Verb {
    static let apply = Verb(
        name: "apply", summary: "Makes a cell as its cell.yaml says, or changes it.",
        usage: ["apply -f FILE [--wait[=TIMEOUT]] [--dry-run] [--adopt]", "apply FILE…", "apply -", "apply --plan FILE [--wait[=TIMEOUT]]"],
        about: """
            Reads cells from files and writes those that differ into Redis, where their operator finds them. For each cell it prints whether it was created, \
            configured, or unchanged.

            Every problem of every file is told at once, with line and column and what to write; while there is one, nothing at all is written (exit code 3). \
            So is a change of what is fixed for a cell's life. Of a folder every .yaml, .yml and .json is read. A file may hold several cells, separated by ---.

            With --wait it stays until each cell is ready, judged by this very generation of its spec.
            """,
        options: [.file, .wait, .dryRun, .plan, .adopt],
        examples: [
            ("cellctl apply -f cell.yaml", "make or change the cell"),
            ("cellctl apply -f cell.yaml --wait=2m", "and wait until it serves"),
            ("cellctl apply -f cells/ --dry-run", "see what a folder of cells would change"),
            ("sed s/eu-1/eu-2/ cell.yaml | cellctl apply -", "from standard input"),
        ],
        run: { call, terminal in
            let paths = call.values(.file) + call.words
            guard !paths.isEmpty || call.has(.plan) else { throw Failure.usage("apply needs a file", remedy: "Write: cellctl apply -f FILE") }
            let limit = try call.waitLimit()
            if let file = call.value(.plan) {
                let applied = try await Session(call).apply(try PlanFile.read(file), terminal)
                if let limit { try await Session(call).waitUntilReady(applied, within: limit, terminal) }
                return
            }
            let wishes = try WishedCell.read(paths)
            let session = try Session(call)
            try await session.refuseAsAWhole(wishes)
            var waiting: [(name: CellName, generation: Int64)] = []
            for wish in wishes {
                let isDry = call.has(.dryRun)
                let (change, generation) = isDry ? (try await session.change(wish), 0) : try await session.put(wish, adopting: call.has(.adopt))
                terminal.say("cell/\(wish.spec.name) \(change.word)\(isDry ? " (dry run)" : "")")
                waiting.append((wish.spec.name, generation))
            }
            if let limit, !call.has(.dryRun) { try await session.waitUntilReady(waiting, within: limit, terminal) }
        })
}

extension Session {
    func change(_ wish: WishedCell) async throws -> SpecChange { try SpecChange.of(wish, to: try await board(wish.spec.name).spec()) }

    /// Before the first cell is written, all must be such that they can be.
    fileprivate func refuseAsAWhole(_ wishes: [WishedCell]) async throws {
        var problems: [SpecProblem] = []
        for wish in wishes {
            do { _ = try await change(wish) } catch let error as SpecProblems { problems += error.problems }
        }
        guard problems.isEmpty else { throw SpecProblems(problems) }
    }
}
