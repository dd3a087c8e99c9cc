import Blackboard
import Cell
import Redis

/// A connection to the Redis that a call means, and which cell it means there.
struct Session: Sendable {
    let redis: RedisClient
    private let named: String?

    init(_ call: Call) throws {
        let configuration = try Configuration.load()
        var address = try RedisAddress(parsing: call.value(.redis) ?? variable("CELL_REDIS") ?? configuration.redis ?? "127.0.0.1:6379")
        if address.password == nil, let file = configuration.passwordFile { address.password = try Configuration.secret(in: file) }
        redis = try RedisClient(address, options: RedisOptions(connectTimeout: .seconds(3), commandTimeout: .seconds(10)))
        named = call.value(.cell) ?? configuration.cell
    }

    func board(_ cell: CellName) -> CellBlackboard { CellBlackboard(cell, on: redis) }

    func cells() async throws -> [CellName] { try await CellBlackboard.cells(on: redis) }

    /// The cell that is meant: the one named, else the only one.
    func cell() async throws -> CellName {
        let cells = try await cells()
        if let named { return try Self.cell(named, among: cells) }
        switch cells.count {
        case 1: return cells[0]
        case 0: throw Failure(.failed, "there is no cell in \(redis.address)", remedy: "Make one: cellctl apply -f cell.yaml")
        default:
            let names = cells.map(\.description).joined(separator: ", ")
            throw Failure(.failed, "there are several cells: \(names)", remedy: "Name one: --cell \(cells[0])")
        }
    }

    static func cell(_ name: String, among cells: [CellName]) throws(Failure) -> CellName {
        if let cell = cells.first(where: { $0.description == name }) { return cell }
        let names = cells.map(\.description)
        let known = names.isEmpty ? "there is none" : "there is \(names.joined(separator: ", "))"
        throw Failure(
            .failed, "there is no cell \"\(name)\"", remedy: nearest(to: name, among: names).map { "Did you mean \($0)?" } ?? "cellctl get cells: \(known)")
    }

    /// Where a cell stands, read at one moment as far as Redis allows.
    func snapshot(_ cell: CellName) async throws -> Snapshot {
        let board = board(cell)
        return Snapshot(
            cell: cell, spec: try await board.spec(), status: try await board.status(), assignment: try await board.assignment() ?? Assignment(),
            servers: try await board.servers(), leader: try await board.leader())
    }
}

/// Everything of a cell in Redis that people ask for.
struct Snapshot: Sendable {
    var cell: CellName
    var spec: StoredSpec?
    var status: CellStatus?
    var assignment: Assignment
    var servers: ServersInRedis
    var leader: Leader?
}
