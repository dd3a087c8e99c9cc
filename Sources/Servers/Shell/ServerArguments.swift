import Cell
import Redis

/// What a server is started with.
///
///     cell-server messaging --cell eu-1 --redis redis://127.0.0.1:6379 --server messaging-3 --incarnation 5f0c…
public struct ServerArguments: Sendable, Equatable {
    public var kind: ServerKind
    public var cell: CellName
    public var redis: RedisAddress
    public var server: ServerID
    public var incarnation: Incarnation
    public var zone = ""
    /// Nil: for connect what the spec says, for the others a free one.
    public var port: Int?
    /// Who listens on `port` until this one does.
    public var replaces: ServerID?
    public var bind = "127.0.0.1"
    /// The host by which others reach this machine; nil: by `bind`.
    public var advertise: String?
    /// Where it writes the address at which it answers `/readyz`.
    public var readyFile: String?

    public static let usage = """
        cell-server KIND --cell NAME --server NAME --incarnation ID [--redis URL] [--zone ZONE] [--port PORT] [--replaces NAME] [--bind HOST] [--advertise HOST]
        cell-server ready FILE

        Runs one server of a cell until SIGTERM. It is started by cell-operator; by hand only to look at one. With ready it exits 0 if the server that wrote its
        address into FILE (the environment's CELL_READY_FILE) is ready, else 1: the probe of a pod.

          KIND                connect, messaging, history, materialize, backplane
          --cell NAME         the cell it belongs to
          --server NAME       its name in the cell: KIND-NUMBER, like messaging-3
          --incarnation ID    this life of the server: letters, digits, hyphens; never used before
          --redis URL         redis://[user:password@]host:port; else the environment's CELL_REDIS, else 127.0.0.1:6379
          --zone ZONE         where it runs
          --port PORT         where it listens; else connect as the spec says, the others on a free port
          --replaces NAME     the server that listens on that port until this one is ready; without it a port that is taken is an error
          --bind HOST         the address it listens on; else 127.0.0.1; 0.0.0.0 for all
          --advertise HOST    the host by which others reach this machine

        Exit codes: 0 stopped as asked, 1 cannot run here, 2 wrong arguments, 3 a later incarnation has taken its place.
        """

    /// What was wrong with the arguments, and what to write.
    public struct Problem: Error, Equatable, CustomStringConvertible {
        public var description: String
    }

    /// - Parameters:
    ///   - arguments: without the program's name.
    ///   - environment: of `CELL_REDIS`; a password is better there than in arguments, which everybody on the machine can read.
    public static func parse(_ arguments: [String], environment: [String: String]) throws(Problem) -> ServerArguments {
        guard let word = arguments.first, let kind = ServerKind(rawValue: word) else {
            let kinds = ServerKind.allCases.map(\.rawValue).sorted().joined(separator: ", ")
            throw Problem(
                description: arguments.isEmpty ? "KIND is missing: one of \(kinds)" : "\"\(arguments[0])\" is no kind of server: write one of \(kinds)")
        }
        let options = try Self.options(in: arguments.dropFirst())
        let server = try required("server", options, "KIND-NUMBER, like \(kind.rawValue)-1") { ServerID($0) }
        guard server.kind == kind else { throw Problem(description: "--server \(server) is no \(kind.rawValue) server: write \(kind.rawValue)-NUMBER") }
        var result = ServerArguments(
            kind: kind, cell: try required("cell", options, "a cell's name, like eu-1") { CellName($0) },
            redis: try redis(options["redis"] ?? environment["CELL_REDIS"].flatMap { $0.isEmpty ? nil : $0 }), server: server,
            incarnation: try required("incarnation", options, "letters, digits and hyphens, at most 64") { Incarnation($0) })
        result.zone = options["zone"] ?? ""
        result.readyFile = environment["CELL_READY_FILE"].flatMap { $0.isEmpty ? nil : $0 }
        result.bind = options["bind"] ?? result.bind
        result.advertise = options["advertise"]
        if let text = options["port"] {
            guard let port = Int(text), (0...65_535).contains(port) else {
                throw Problem(description: "--port \(text) is no port: write a number from 0 to 65535")
            }
            result.port = port
        }
        if let text = options["replaces"] {
            guard let server = ServerID(text) else { throw Problem(description: "--replaces \(text) is no server's name: write KIND-NUMBER, like connect-1") }
            result.replaces = server
        }
        return result
    }

    private static let names: Set<String> = ["cell", "redis", "server", "incarnation", "zone", "port", "replaces", "bind", "advertise"]

    /// `--name value` and `--name=value`.
    private static func options(in arguments: ArraySlice<String>) throws(Problem) -> [String: String] {
        var result: [String: String] = [:]
        var rest = arguments
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0].dropFirst(2))
            guard argument.hasPrefix("--"), names.contains(name) else {
                throw Problem(description: "\(argument) is not understood: write one of \(names.sorted().map { "--\($0)" }.joined(separator: ", "))")
            }
            guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else { throw Problem(description: "--\(name) has no value") }
            guard result.updateValue(value, forKey: name) == nil else { throw Problem(description: "--\(name) is given twice") }
        }
        return result
    }

    private static func required<Value>(
        _ name: String, _ options: [String: String], _ expected: String, _ read: (String) -> Value?
    ) throws(Problem) -> Value {
        guard let text = options[name] else { throw Problem(description: "--\(name) is missing: give \(expected)") }
        guard let value = read(text) else { throw Problem(description: "--\(name) \(text.prefix(80)) is not \(expected)") }
        return value
    }

    private static func redis(_ text: String?) throws(Problem) -> RedisAddress {
        do { return try RedisAddress(parsing: text ?? "127.0.0.1:6379") } catch { throw Problem(description: "--redis: \(error)") }
    }

    /// The host by which others reach this machine.
    var reachable: String { advertise ?? (bind == "0.0.0.0" || bind == "::" ? "127.0.0.1" : bind) }
}
