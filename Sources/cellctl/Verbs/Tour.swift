import ChatClient
import FoundationEssentials
import Glibc
import Processes

extension Verb {
    static let tour = Verb(
        name: "tour", summary: "Shows a cell's life in a minute: chat, failures, scaling; fails if a message was lost.",
        usage: ["tour [--clients COUNT] [--rate COUNT] [--dir DIR]"],
        about: """
            Starts a cell in a folder of its own, lets people connect and send, kills a messaging server with `kill -9`, hangs another one, scales up and down, and \
            compares what was promised with what arrived and with the history. Exits with 0 only if nothing was lost, doubled or reordered.
            """,
        options: [.clients, .rate, .directory],
        examples: [("cellctl tour", "1,000 clients, 300 messages a second")],
        run: { call, terminal in
            try call.expectWords(0...0, "nothing")
            Signals.block()
            var size = Fleet.Size()
            size.users = try call.count(.clients) ?? 1_000
            size.rate = try call.count(.rate) ?? 300
            let folder = try DevFolder(call.value(.directory) ?? temporaryFolder("cell-tour"))
            let spec = WholeTour.spec.replacing("PORT", with: "\(try freePort())")
            terminal.say(terminal.coloured("A cell comes up (in \(folder.path))", .bold))
            let cell = try await DevCell.start(in: folder, spec: spec, file: "the tour's cell.yaml")
            let isClean: Bool
            do {
                isClean = try await takeTour(cell, size, terminal)
            } catch {
                await cell.stop { _ in }
                throw error
            }
            await cell.stop { _ in }
            guard isClean else { throw Failure(.failed, "messages were lost, doubled or reordered", remedy: "Look into \(folder.path)") }
        })
}

private func takeTour(_ cell: DevCell, _ size: Fleet.Size, _ terminal: Terminal) async throws -> Bool {
    _ = try await cell.waitUntilReady { terminal.say("  \($0)") }
    let fleet = try Fleet(size, seed: UInt64.random(in: .min ... .max), connect: HTTPConnectService(try await cell.connectURL()))
    let isClean = try await WholeTour(cell: cell, fleet: fleet, size: size, terminal: terminal).run()
    await fleet.stop()
    return isClean
}

extension Option {
    static let clients = Option(name: "clients", value: .required("COUNT"), about: "How many users connect, each with one device.")
    static let rate = Option(name: "rate", value: .required("COUNT"), about: "Messages a second, of all together.")
}

extension Call {
    /// A whole number of at least 1.
    func count(_ option: Option) throws(Failure) -> Int? {
        guard let text = value(option) else { return nil }
        guard let number = Int(text), number > 0 else {
            throw .usage("--\(option.name) is \"\(text)\"", remedy: "Write a whole number of at least 1, like --\(option.name)=100")
        }
        return number
    }
}

/// A new folder below the system's place for temporary ones.
func temporaryFolder(_ name: String) throws -> String {
    var path = Array("\(variable("TMPDIR") ?? "/tmp")/\(name)-XXXXXX".utf8CString)
    guard mkdtemp(&path) != nil else { throw Failure(.failed, "no temporary folder can be made", remedy: "Name a folder with --dir") }
    return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
