import Blackboard
import Cell

extension Option {
    static let ignoreNotFound = Option(name: "ignore-not-found", about: "A cell that is not there counts as deleted.")
}

extension Verb {
    static let delete = Verb(
        name: "delete", summary: "Ends a cell.",
        usage: ["delete cell NAME… [--wait[=TIMEOUT]]", "delete -f FILE"],
        about: """
            Marks the cell as deleted. Its operator stops the servers in order and then removes what the cell has in Redis; without an operator that waits until \
            there is one. The topic and the history are left as they are.
            """,
        words: ["cell"], options: [.file, .wait, .ignoreNotFound],
        examples: [("cellctl delete cell eu-1 --wait", "end the cell, and wait until it is gone"), ("cellctl delete -f cell.yaml", "the cells of a file")],
        run: { call, terminal in
            let limit = try call.waitLimit()
            var names = try DeletedCells.named(call)
            if !call.values(.file).isEmpty { names += try WishedCell.read(call.values(.file)).map(\.spec.name.description) }
            let session = try Session(call)
            let cells = try await session.cells()
            var going: [CellName] = []
            for name in names {
                if call.has(.ignoreNotFound), !cells.contains(where: { $0.description == name }) { continue }
                let cell = try Session.cell(name, among: cells)
                try await session.board(cell).markDeleted()
                terminal.say("cell/\(cell) deleted")
                going.append(cell)
            }
            if let limit { try await session.waitUntilGone(going, within: limit, terminal) }
        })
}

enum DeletedCells {
    /// `delete cell a b`, `delete cell/a`; none with `-f`.
    static func named(_ call: Call) throws(Failure) -> [String] {
        let write = "Write: cellctl delete cell NAME, or cellctl delete -f FILE"
        guard let first = call.words.first else {
            if call.values(.file).isEmpty { throw .usage("delete needs a cell", remedy: write) }
            return []
        }
        if first == "cell" || first == "cells" {
            guard call.words.count > 1 else { throw .usage("delete cell needs a name", remedy: write) }
            return Array(call.words.dropFirst())
        }
        return try call.words.map { word throws(Failure) in
            guard word.hasPrefix("cell/") else { throw .usage("\"\(word)\" cannot be deleted", remedy: write) }
            return String(word.dropFirst(5))
        }
    }
}
