import Blackboard
import Cell
import ChatClient
import Processes
import TLS

/// What every bench of a running cell starts from.
struct CellBench: Sendable {
    let board: CellBlackboard
    let connect: HTTPConnectService
    let tls: TLSContext?
    let terminal: Terminal

    func fleet(_ size: Fleet.Size) async throws -> Fleet {
        let fleet = try Fleet(size, seed: UInt64.random(in: .min ... .max), connect: connect, tls: tls)
        try await fleet.open(within: .seconds(120)) { terminal.progress("\($0) of \(size.users * size.devices) connected") }
        terminal.endProgress()
        return fleet
    }

    func servers(_ kind: ServerKind) async throws -> [CellStatus.ServerStatus] {
        try await board.status()?.servers.filter { $0.kind == kind && $0.state == .ready } ?? []
    }

    /// Stops sending, and adds what the ledger says.
    func judge(_ fleet: Fleet, into report: inout BenchReport) async throws {
        guard let history = try await servers(.history).first else {
            throw Failure(.failed, "cell \(board.cell) has no ready history server", remedy: "Ask for one: cellctl scale history=1")
        }
        let verdict = try await fleet.settle(history: history.address, within: .seconds(60))
        report.add("sent", verdict.sent)
        report.add("acknowledged", verdict.acknowledged)
        report.add("deliveries", verdict.deliveries)
        report.add("lost", verdict.lost)
        report.add("doubled", verdict.doubled)
        report.add("reordered", verdict.reordered)
        report.isClean = verdict.isClean
        for example in verdict.examples { terminal.complain(example) }
    }
}
