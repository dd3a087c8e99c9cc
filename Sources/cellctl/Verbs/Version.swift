import Blackboard
import Cell

extension Option {
    static let client = Option(name: "client", about: "Asks no Redis.")
}

extension Verb {
    static let version = Verb(
        name: "version", summary: "Tells the builds of cellctl, operators and servers.", usage: ["version [--client]"],
        about:
            "Prints this build, and for every cell of the Redis the operator that leads it with its build, and the builds of its servers. A Redis that is away is said and is no failure.",
        options: [.client, .output], examples: [("cellctl version --client", "this build alone")],
        run: { call, terminal in
            try call.expectWords(0...0, "")
            let format = try OutputFormat(call)
            var builds = Builds(client: Build.version, redis: nil, cells: [])
            var trouble: Failure?
            if !call.has(.client) {
                do { try await builds.ask(try Session(call)) } catch  where Failure(error).code == .unreachable { trouble = Failure(error) }
            }
            switch format {
            case .json: terminal.say(try prettyJSON(builds))
            case .yaml: terminal.say(yamlText(try Listing.Item(name: "version", cells: [], json: compactJSON(builds)).node))
            default: for line in builds.lines { terminal.say(line) }
            }
            for line in trouble?.lines ?? [] { terminal.complain(line) }
        })
}

struct Builds: Codable, Equatable {
    struct OfCell: Codable, Equatable {
        var cell: String
        var `operator`: String?
        var operatorBuild: String?
        /// Build → how many servers.
        var servers: [String: Int]
    }

    var client: String
    var redis: String?
    var cells: [OfCell]

    mutating func ask(_ session: Session) async throws {
        for cell in try await session.cells() {
            let snapshot = try await session.snapshot(cell)
            var counts: [String: Int] = [:]
            for server in ServerItems(snapshot).all where server.state != .dead && !server.build.isEmpty { counts[server.build, default: 0] += 1 }
            cells.append(OfCell(cell: cell.description, operator: snapshot.leader?.name, operatorBuild: snapshot.status?.operatorBuild, servers: counts))
        }
        redis = session.redis.address.description
    }

    var lines: [String] {
        ["cellctl   \(client)"] + (redis.map { ["redis     \($0)"] } ?? [])
            + cells.map { cell in
                let servers = cell.servers.sorted { $0.key < $1.key }.map { "\($1) of \($0)" }.joined(separator: ", ")
                let leader = cell.operator.map { "operator \($0)\(cell.operatorBuild.map { " of \($0)" } ?? "")" } ?? "no operator"
                return "cell/\(cell.cell)   \(leader); servers: \(servers.isEmpty ? "none" : servers)"
            }
    }
}
