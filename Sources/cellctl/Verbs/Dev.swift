import Cell
import FoundationEssentials
import Glibc
import Processes

extension Verb {
    static let dev = Verb(
        name: "dev", summary: "Runs a whole cell on this machine.",
        usage: ["dev [-f FILE] [--dir DIR] [--detach]", "dev stop [--dir DIR]"],
        about: """
            Starts a Redis, an operator and a cell of local processes, shows what comes up, and takes everything down on Ctrl-C or with `cellctl dev stop`. Without \
            a file the cell has an embedded backplane and a history in SQLite, so nothing else is needed; a file may name a real Kafka or Cassandra.

            Everything is kept in DIR and is there again at the next start, but for what the embedded backplane holds: that lives in memory, and the history has it.
            """,
        words: ["stop"],
        options: [.file, .directory, .detach],
        examples: [
            ("cellctl dev", "a cell to chat in, until Ctrl-C"),
            ("cellctl dev --detach && cellctl --redis 127.0.0.1:PORT get servers", "the same in the background; it prints the port"),
            ("cellctl dev stop", "takes it down"),
        ],
        run: { call, terminal in
            try call.expectWords(0...1, "nothing, or stop")
            let folder = try DevFolder(call.value(.directory) ?? ".cell")
            switch call.words.first {
            case nil: try await runDev(call, folder, terminal)
            case "stop": try await stopDev(folder, terminal)
            case let word?: throw Failure.unknown("word of dev", word, among: ["stop"], remedy: "Write: cellctl dev, or cellctl dev stop")
            }
        })
}

extension Option {
    static let directory = Option(name: "dir", value: .required("DIR"), about: "Where the cell keeps its data and logs; .cell in this folder unless given.")
    static let detach = Option(name: "detach", about: "Returns once the cell is ready, and leaves it running.")
}

private func runDev(_ call: Call, _ folder: DevFolder, _ terminal: Terminal) async throws {
    let file = call.value(.file)
    // Before any thread is there: a Ctrl-C from now on takes down what has come up until then.
    Signals.block()
    let signals = try Signals.stream()
    let cell = try await DevCell.start(in: folder, spec: try file.map(devText) ?? DevCell.defaultSpec, file: file ?? "the default cell.yaml")
    do {
        _ = try await ready(cell, terminal, unless: signals)
    } catch {
        await cell.stop { terminal.say($0) }
        throw error
    }
    terminal.say("")
    terminal.say("connect    \(try await cell.connectURL())/v1/connect")
    terminal.say("cellctl    cellctl --redis \(cell.record.redisURL) get servers")
    terminal.say("chat       cellctl --redis \(cell.record.redisURL) chat --user 1")
    terminal.say("logs       \(folder.path)")
    if call.has(.detach) { return terminal.say("stop       cellctl dev stop --dir \(folder.path)") }
    terminal.say("\nCtrl-C takes it all down.")
    for await _ in signals { break }
    terminal.say("")
    await cell.stop { terminal.say($0) }
}

/// Waits for the cell, but not after a Ctrl-C.
private func ready(_ cell: DevCell, _ terminal: Terminal, unless signals: AsyncStream<Int32>) async throws -> CellStatus {
    try await withThrowingTaskGroup(of: CellStatus.self) { group in
        group.addTask { try await cell.waitUntilReady { terminal.say($0) } }
        group.addTask {
            for await _ in signals { throw Failure(.failed, "interrupted", remedy: "Start it again with cellctl dev") }
            throw CancellationError()
        }
        defer { group.cancelAll() }
        guard let status = try await group.next() else { throw CancellationError() }
        return status
    }
}

private func stopDev(_ folder: DevFolder, _ terminal: Terminal) async throws {
    let cell = try DevCell.find(in: folder)
    await cell.stop { terminal.say($0) }
    terminal.say("cell/\(cell.record.cell) is down; its data are kept in \(folder.path)")
}

private func devText(_ file: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: file) else {
        throw Failure(.invalid, "\(file) cannot be read", remedy: "Name a cell.yaml that is there")
    }
    return String(decoding: data, as: UTF8.self)
}
