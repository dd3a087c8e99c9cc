import Cell
import ChatClient
import Glibc
import Streams
import TLS
import Threads

extension Verb {
    static let chat = Verb(
        name: "chat", summary: "Chats as a user of a cell.",
        usage: ["chat --user USER [--to USER] [--connect URL] [--device NAME] [--ca FILE] [--token-file FILE]"],
        about: """
            Opens a stream as USER, prints what arrives, and sends each line of standard input: to the user named by --to, or to the one whose number the line \
            begins with. `✓` marks a message that is accepted: in the log on every replica. It stays served through failovers and moves, as any client of the \
            contract does, and ends with the input.

            In a cell with authentication it shows a token: of --token-file, else of the environment's CELL_TOKEN. Where the cell speaks TLS it does too, and \
            trusts the authorities of --ca, else the system's.
            """,
        options: [.user, .to, .connect, .device, .ca, .tokenFile, .token],
        examples: [
            ("cellctl chat --user 1", "then type: 2 hello"),
            ("echo hello | cellctl chat --user 1 --to 2", "sends one message"),
        ],
        run: { call, terminal in
            try call.expectWords(0...0, "nothing")
            guard let user = try call.user(.user) else { throw Failure.usage("chat needs a user", remedy: "Write: cellctl chat --user 1") }
            let connect = try await call.connectService()
            let chat = try Chat(
                user: user, peer: try call.user(.to), device: call.value(.device) ?? "cellctl", token: try call.token(), connect: connect,
                tls: try call.trusted(), terminal)
            try await chat.run()
        })
}

extension Option {
    static let user = Option(name: "user", value: .required("USER"), about: "Who chats: a decimal number of at least 1.")
    static let to = Option(name: "to", value: .required("USER"), about: "Whom every line is for.")
    static let connect = Option(
        name: "connect", value: .required("URL"), about: "A connect server, like http://127.0.0.1:8080; else the cell's own, as Redis knows it.")
    static let device = Option(name: "device", value: .required("NAME"), about: "The device's name; cellctl unless given.")
    static let ca = Option(
        name: "ca", value: .required("FILE"), about: "A PEM file with who signed the cell's certificates; else the system's authorities are trusted.")
    static let tokenFile = Option(name: "token-file", value: .required("FILE"), about: "A file with a token, in a cell with authentication.")
    static let token = Option(
        name: "token", value: .required("JWT"), about: "A token. Everybody on this machine can read it there: better --token-file, or CELL_TOKEN.")
}

extension Call {
    func user(_ option: Option) throws(Failure) -> UserID? {
        guard let text = value(option) else { return nil }
        guard let user = UserID(text) else {
            throw .usage("--\(option.name) is \"\(text)\", which is no user", remedy: "Write a decimal number from 1 to 18446744073709551615")
        }
        return user
    }

    /// The connect server that is named, else a ready one of the cell.
    func connectURL() async throws -> String {
        if let url = value(.connect) { return url }
        let session = try Session(self)
        let cell = try await session.cell()
        guard let server = try await session.board(cell).status()?.servers.first(where: { $0.kind == .connect && $0.state == .ready }) else {
            throw Failure(.failed, "cell \(cell) has no ready connect server", remedy: "See what it waits for: cellctl status")
        }
        let spec = try await session.board(cell).spec().flatMap { try? CellSpec.read(json: $0.json, source: "the spec in Redis") }
        return "\(spec?.connect.tls == nil ? "http" : "https")://\(server.address)"
    }

    func connectService() async throws -> HTTPConnectService { try HTTPConnectService(try await connectURL(), authority: value(.ca)) }

    /// Whom to trust where the cell speaks TLS; nil: the system's authorities.
    func trusted() throws(Failure) -> TLSContext? {
        guard let path = value(.ca) else { return nil }
        do throws(TLSError) {
            return try TLSContext(authorities: path)
        } catch {
            throw Failure(.usage, "--ca \(error.problem)", remedy: "Give a PEM file with the certificates of the authorities to trust")
        }
    }

    /// Of the file, the environment or the option.
    func token() throws(Failure) -> String? {
        guard let path = value(.tokenFile) else { return value(.token) ?? variable("CELL_TOKEN") }
        do throws(UnreadableFile) {
            let text = String(decoding: try readFile(path, atMost: 65_536), as: UTF8.self)
            return text.split(whereSeparator: \.isWhitespace).joined()
        } catch {
            throw Failure(.usage, "the token file \(path) cannot be read: \(error.reason)", remedy: "Write the token into it")
        }
    }
}

/// One device on a terminal.
private final class Chat: Sendable {
    private let loop: EventLoop
    private let peer: UserID?
    private let terminal: Terminal
    private let state: DeviceState
    private let credentials: Credentials
    private let connect: HTTPConnectService
    private let tls: TLSContext?

    init(
        user: UserID, peer: UserID?, device: String, token: String?, connect: HTTPConnectService, tls: TLSContext?, _ terminal: Terminal
    ) throws {
        loop = try EventLoop(name: "chat")
        self.peer = peer
        self.terminal = terminal
        state = DeviceState(user: user, device: device, session: String(UInt64.random(in: .min ... .max), radix: 16))
        credentials = token.map { .token($0) } ?? .user(user)
        self.connect = connect
        self.tls = tls
    }

    func run() async throws {
        loop.start()
        defer { loop.stop() }
        // Made here, used on the loop alone.
        nonisolated(unsafe) var pending = 0
        nonisolated(unsafe) let device = Device(
            state, credentials: credentials, seed: UInt64.random(in: .min ... .max), on: loop, connect: connect, tls: tls, since: .now
        ) {
            [self] device, action in
            if case .acknowledged = action { pending -= 1 }
            if case .refused = action { pending -= 1 }
            told(action, of: device)
        }
        loop.execute { [self] in
            device.start()
            tick(device)
        }
        var token = 0
        for await line in lines() {
            guard let (receiver, text) = parse(line) else { continue }
            token += 1
            let number = token
            loop.execute {
                pending += 1
                device.submit(number, to: receiver, body: Array(text.utf8))
            }
        }
        while await onLoop({ pending }) > 0 { try await Task.sleep(for: .milliseconds(20)) }
        await onLoop { device.stop() }
    }

    private func onLoop<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in loop.execute { continuation.resume(returning: work()) } }
    }

    private func tick(_ device: Device) {
        device.tick()
        _ = loop.schedule(after: .milliseconds(100)) { [self] in tick(device) }
    }

    private func told(_ action: DeviceAction, of device: Device) {
        switch action {
        case .opened(_, let address): terminal.say(terminal.coloured("served by \(address)", .dim))
        case .moved(let address): terminal.say(terminal.coloured("moving to \(address)", .dim))
        case .deliver(let message): terminal.say("\(message.sender) → \(message.receiver): \(String(decoding: message.body, as: UTF8.self))")
        case .acknowledged(_, let id): terminal.say(terminal.coloured("✓ \(id)", .green))
        case .refused(_, _, let refused): terminal.complain("refused: \(refused.reason) \(refused.detail)")
        case .gap(let gap): terminal.say(terminal.coloured("what came before is in the history (offsets \(gap.from) to \(gap.to))", .dim))
        case .ended(let code, let detail):
            terminal.complain("the server ended this device for good: \(GRPCCode(rawValue: code).map { "\($0)" } ?? "\(code)") \(detail)")
            exit(Failure.Code.failed.rawValue)
        case .askConnect, .open, .send, .drop: break
        }
    }

    private func parse(_ line: String) -> (UserID, String)? {
        if let peer { return (peer, line) }
        let parts = line.split(separator: " ", maxSplits: 1)
        if parts.count == 2, let receiver = UserID(parts[0]) { return (receiver, String(parts[1])) }
        if !parts.isEmpty { terminal.complain("write USER TEXT, like: 2 hello; or name the receiver with --to") }
        return nil
    }

    /// Standard input, line by line; a thread of its own reads it.
    private func lines() -> AsyncStream<String> {
        AsyncStream { continuation in
            do throws(ThreadError) {
                try OwnThread.start("input") {
                    while let line = readLine() { continuation.yield(line) }
                    continuation.finish()
                }
            } catch {
                terminal.complain("\(error)")
                continuation.finish()
            }
        }
    }
}
