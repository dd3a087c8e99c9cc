import Blackboard
import Cell
import YAML

extension Verb {
    static let scale = Verb(
        name: "scale", summary: "Changes how many servers a cell has.",
        usage: ["scale KIND=COUNT… [--cell NAME] [--wait[=TIMEOUT]] [--dry-run]"],
        about: """
            Changes the number of servers of a kind in the cell's spec: messaging, standbys (of messaging), connect, history, materialize. The rules of cell.yaml \
            hold: standbys are at most as many as servers, and an autoscaled cell stays within its bounds.

            Clients of servers that go are moved to others before the servers stop.
            """,
        words: ["messaging=", "standbys=", "connect=", "history=", "materialize="],
        options: [.wait, .dryRun],
        examples: [
            ("cellctl scale messaging=4", "four messaging servers"),
            ("cellctl scale messaging=2 standbys=1 --wait", "two and a standby, and wait for it"),
        ],
        run: { call, terminal in
            let counts = try call.words.map { try ScaledKind.parse($0) }
            guard !counts.isEmpty else { throw Failure.usage("scale needs a kind and a count", remedy: "Write: cellctl scale messaging=4") }
            let limit = try call.waitLimit()
            let session = try Session(call)
            let cell = try await session.cell()
            let (change, generation) = try await session.scale(cell, counts, isDry: call.has(.dryRun))
            if case .unchanged = change {
                terminal.say("cell/\(cell) unchanged")
            } else {
                terminal.say("cell/\(cell) scaled\(call.has(.dryRun) ? " (dry run)" : "")")
            }
            if let limit, !call.has(.dryRun) { try await session.waitUntilReady([(cell, generation)], within: limit, terminal) }
        })
}

/// What `scale` changes.
enum ScaledKind: String, CaseIterable {
    case messaging, standbys, connect, history, materialize

    static func parse(_ word: String) throws(Failure) -> (kind: ScaledKind, count: Int) {
        let parts = word.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let count = Int(parts[1]) else {
            throw .usage("\"\(word)\" is no KIND=COUNT", remedy: "Write it like messaging=4")
        }
        guard let kind = ScaledKind(rawValue: String(parts[0])) else {
            throw .unknown(
                "kind that can be scaled", String(parts[0]), among: allCases.map(\.rawValue),
                remedy: "Write one of \(allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return (kind, count)
    }

    var path: WritableKeyPath<CellSpec, Int> {
        switch self {
        case .messaging: \.messaging.servers
        case .standbys: \.messaging.standbys
        case .connect: \.connect.servers
        case .history: \.history.servers
        case .materialize: \.materialize.servers
        }
    }
}

extension Session {
    fileprivate func scale(_ cell: CellName, _ counts: [(kind: ScaledKind, count: Int)], isDry: Bool) async throws -> (SpecChange, Int64) {
        for _ in 1...5 {
            guard let stored = try await board(cell).spec() else {
                throw Failure(.failed, "there is no cell \(cell) any more", remedy: "cellctl get cells lists them")
            }
            var spec = try CellSpec.read(json: stored.json, source: "the spec in Redis")
            for (kind, count) in counts { spec[keyPath: kind.path] = count }
            let wish = try Self.checked(spec)
            do {
                if isDry { return (try await change(wish), 0) }
                return try await put(wish, replacing: stored)
            } catch let error as BlackboardError {
                // Somebody changed the spec meanwhile: scale that one.
                guard case .generation = error.code else { throw error }
            }
        }
        throw Failure(.failed, "the spec of cell \(cell) keeps changing", remedy: "Find out who else changes it, and scale it again")
    }

    private func put(_ wish: WishedCell, replacing stored: StoredSpec) async throws -> (SpecChange, Int64) {
        let change = try SpecChange.of(wish, to: stored)
        guard case .configure = change else { return (change, stored.generation) }
        return (change, try await board(wish.spec.name).putSpec(wish.spec.canonicalJSON, replacing: stored.generation))
    }

    /// `spec`, if it obeys the rules of cell.yaml. What is wrong has no place in a file here.
    private static func checked(_ spec: CellSpec) throws -> WishedCell {
        do {
            let documents = try YAML.documents(in: Array(spec.canonicalJSON.utf8), file: "")
            return WishedCell(spec: try CellSpec.read(documents[0]), document: documents[0])
        } catch let problems as SpecProblems {
            var failure = Failure(problems)
            failure.lines = problems.problems.map { "cellctl: \($0.path) \($0.problem). \($0.remedy)" }
            throw failure
        }
    }
}
