import Blackboard
import Cell

extension Verb {
    static let rollout = Verb(
        name: "rollout", summary: "Tells of a rolling upgrade, and pauses, resumes, undoes or asks for one.",
        usage: ["rollout status [--wait[=TIMEOUT]]", "rollout pause|resume", "rollout undo [--wait[=TIMEOUT]]", "rollout restart [--wait[=TIMEOUT]]"],
        about: """
            When spec.run changes, every server is replaced by one of the new template, spec.rollout.batch at a time, kind after kind: history, materialize, \
            messaging, connect. A replacement is ready before the old one drains and stops. The first of a kind is watched for spec.rollout.readyWithin before the \
            second follows. A replacement that is not ready by then, or that ends by itself, stops the rollout: `status` says which, and why. The rest serves on.

            status: how far it is; exit code 5 when it is stopped. pause: no further server is replaced. undo: back to the spec.run before this one. restart: \
            replaces every server by one of the same template.

            The embedded backplane is never replaced by a rollout: its log is in its memory.
            """,
        words: RolloutCommand.allCases.map(\.rawValue), options: [.wait],
        examples: [
            ("cellctl apply -f cell.yaml && cellctl rollout status --wait=10m", "upgrade, and wait for the last server"),
            ("cellctl rollout undo", "back to the template before"),
        ],
        run: { call, terminal in
            try call.expectWords(1...1, "what to do: \(RolloutCommand.allCases.map(\.rawValue).joined(separator: ", "))")
            guard let command = RolloutCommand(rawValue: call.words[0]) else {
                throw Failure.unknown("part of rollout", call.words[0], among: RolloutCommand.allCases.map(\.rawValue), remedy: "cellctl help rollout")
            }
            let limit = try call.waitLimit()
            let session = try Session(call)
            let cell = try await session.cell()
            let generation: Int64
            switch command {
            case .status: generation = 0
            case .pause, .resume:
                let isNew = try await session.wish(in: cell) { wishes, _, _ in wishes.isRolloutPaused = command == .pause }
                return terminal.say("cell/\(cell) \(isNew ? "\(command.rawValue)d" : "unchanged")")
            case .restart:
                try await session.wish(in: cell) { wishes, _, _ in wishes.restarts += 1 }
                generation = 0
                terminal.say("cell/\(cell) restarts")
            case .undo:
                generation = try await session.undoRollout(cell)
                terminal.say("cell/\(cell) configured")
            }
            guard let limit else {
                if command == .status { try await session.tellRollout(cell, terminal) }
                return
            }
            let restarts = try await session.board(cell).wishes().restarts
            let deadline = ContinuousClock.now + limit
            try await session.wait(for: cell, "to be rolled out", until: deadline, limit, terminal, topics: [.status, .spec]) {
                let snapshot = try await session.snapshot(cell)
                if restarts > 0, snapshot.status?.template?.hasSuffix("-\(restarts)") != true { return "the operator has not looked yet" }
                let progress = RolloutProgress(snapshot)
                return progress.isDone(in: max(generation, snapshot.spec?.generation ?? 0)) ? nil : progress.text
            }
            terminal.say("cell/\(cell) rolled out")
        })
}

private enum RolloutCommand: String, CaseIterable { case status, pause, resume, undo, restart }

/// How far a rollout is, by the operator's status. Pure.
struct RolloutProgress {
    /// Kind → servers of the present template, and all whose template is known.
    let counts: [(kind: ServerKind, new: Int, all: Int)]
    let text: String
    let isStopped: Bool
    private let observedGeneration: Int64

    init(_ snapshot: Snapshot) {
        let status = snapshot.status
        let servers = (status?.servers ?? []).filter { $0.state != .dead && $0.template != nil && $0.kind != .backplane }
        counts = ServerKind.allCases.compactMap { kind in
            let all = servers.filter { $0.kind == kind }
            return all.isEmpty ? nil : (kind, all.count { $0.template == status?.template }, all.count)
        }
        observedGeneration = status?.observedGeneration ?? 0
        isStopped = status?.rollout?.isStopped ?? false
        let outdated = counts.reduce(0) { $0 + $1.all - $1.new }
        text = status?.rollout?.text ?? (outdated == 0 ? "every server is of the present template" : "\(outdated) servers are of another template")
    }

    func isDone(in generation: Int64) -> Bool { observedGeneration >= generation && !isStopped && counts.allSatisfy { $0.new == $0.all } }
}

extension Session {
    fileprivate func tellRollout(_ cell: CellName, _ terminal: Terminal) async throws {
        let progress = RolloutProgress(try await snapshot(cell))
        for count in progress.counts { terminal.say("\(count.kind.rawValue): \(count.new) of \(count.all) are of the present template") }
        guard progress.isStopped else { return terminal.say(progress.text) }
        throw Failure(.timedOut, progress.text, remedy: "Mend the template and apply it, or go back: cellctl rollout undo")
    }

    /// Writes the last `spec.run` that is another than the present one; the rest of the spec stays.
    fileprivate func undoRollout(_ cell: CellName) async throws -> Int64 {
        let board = board(cell)
        guard let stored = try await board.spec() else { throw Failure(.failed, "there is no cell \(cell) any more", remedy: "cellctl get cells lists them") }
        var spec = try CellSpec.read(json: stored.json, source: "the spec in Redis")
        let past = try await board.pastSpecs().compactMap { try? CellSpec.read(json: $0, source: "a former spec") }
        guard let before = past.first(where: { $0.run != spec.run }) else {
            throw Failure(.failed, "no former spec.run of cell \(cell) is known", remedy: "Apply the one that is meant")
        }
        spec.run = before.run
        return try await board.putSpec(spec.canonicalJSON, replacing: stored.generation)
    }
}
