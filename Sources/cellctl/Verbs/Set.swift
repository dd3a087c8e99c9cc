import Blackboard
import Cell
import YAML

extension Verb {
    static let set = Verb(
        name: "set", summary: "Changes what running servers go by, on top of the spec.",
        usage: ["set NAME=VALUE… [--cell NAME] [--dry-run]", "set NAME-…"],
        about: """
            Sets settings by hand; running servers obey them within a second, and they last until they are taken back, whatever cell.yaml says meanwhile. \
            A value is written and judged as in cell.yaml, where the names come from (cellctl explain spec.messaging.limits). NAME- takes one back: then the \
            spec's value holds again.

            cellctl get settings shows what holds, where it comes from, and under which epoch servers got it.
            """,
        words: SettingsOverrides.names.map { "\($0)=" },
        options: [.dryRun],
        examples: [
            ("cellctl set messaging.limits.bodyBytes=4Ki messaging.limits.userRate=10", "smaller messages, and fewer of each user"),
            ("cellctl set messaging.limits.userRate-", "what the spec says again"),
        ],
        run: { call, terminal in
            let changes = try call.words.map { try SettingChange($0) }
            guard !changes.isEmpty else { throw Failure.usage("set needs a name and a value", remedy: "Write: cellctl set messaging.limits.bodyBytes=8Ki") }
            let session = try Session(call)
            let cell = try await session.cell()
            let isNew = try await session.set(changes, of: cell, isDry: call.has(.dryRun))
            for change in changes {
                terminal.say("setting/\(change.name) \(isNew ? change.word : "unchanged")\(call.has(.dryRun) ? " (dry run)" : "")")
            }
        })
}

/// `NAME=VALUE`, or `NAME-`.
struct SettingChange: Equatable {
    var name: String
    /// Nil: as the spec says.
    var value: String?

    var word: String { value == nil ? "reset" : "set" }

    init(_ word: String) throws(Failure) {
        if let equals = word.firstIndex(of: "=") {
            (name, value) = (String(word[..<equals]), String(word[word.index(after: equals)...]))
        } else if word.hasSuffix("-") {
            (name, value) = (String(word.dropLast()), nil)
        } else {
            throw .usage("\"\(word)\" is no NAME=VALUE", remedy: "Write it like messaging.limits.bodyBytes=8Ki; NAME- takes it back")
        }
        guard value != "" else { throw .usage("\(name)= has no value", remedy: "Write \(name)=VALUE, or \(name)- for what the spec says") }
        if name.hasPrefix("spec.") { name.removeFirst(5) }
        guard SettingsOverrides.names.contains(name) else {
            throw .unknown(
                "setting", name, among: SettingsOverrides.names, remedy: "cellctl get settings lists them; what is not there is changed by cellctl apply")
        }
    }
}

extension Session {
    /// - Returns: whether anything changed.
    fileprivate func set(_ changes: [SettingChange], of cell: CellName, isDry: Bool) async throws -> Bool {
        let board = board(cell)
        for _ in 1...5 {
            guard let stored = try await board.spec() else {
                throw Failure(.failed, "there is no cell \(cell) any more", remedy: "cellctl get cells lists them")
            }
            let before = try await board.overrides()
            var after = before
            for change in changes { after.values[change.name] = change.value }
            try Self.check(after, on: try CellSpec.read(json: stored.json, source: "the spec in Redis"))
            guard after != before else { return false }
            if isDry { return true }
            do {
                _ = try await board.put(after)
                return true
            } catch let error as BlackboardError {
                // Somebody set something meanwhile: it is added to that.
                guard case .generation(let found) = error.code, found != 0 else { throw error }
            }
        }
        throw Failure(.failed, "the settings of cell \(cell) keep changing", remedy: "Find out who else changes them, and set it again")
    }

    private static func check(_ overrides: SettingsOverrides, on spec: CellSpec) throws {
        do throws(SpecProblems) {
            _ = try spec.overridden(by: overrides)
        } catch {
            var failure = Failure(error)
            failure.lines = error.problems.map { problem in
                let path = problem.path.hasPrefix("spec.") ? String(problem.path.dropFirst(5)) : problem.path
                return "cellctl: \(path) \(problem.problem). \(problem.remedy)"
            }
            throw failure
        }
    }
}
