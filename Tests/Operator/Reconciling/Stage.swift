import Blackboard
import Cell
import Kafka
import Redis
import Support
import Synchronization
import Testing

@testable import Operator

/// A cell on a real Redis with task servers, and one or more operators.
final class Stage: Sendable {
    static let cell = CellName("eu-1")!
    let redis: RedisProcess
    let client: RedisClient
    let board: CellBlackboard
    let driver: TaskDriver
    let folder: TemporaryFolder
    let lease: Duration
    let lines = Mutex<[String]>([])
    let canary: Canary.Pace

    /// - Parameter log: what the cell's backplane is; without it there is none, and nothing is read.
    init(
        redis given: RedisProcess? = nil, log: EmbeddedBroker? = nil, canary: Canary.Pace = Canary.Pace(), lease: Duration = .milliseconds(900)
    ) async throws {
        self.canary = canary
        self.lease = lease
        if let given { redis = given } else { redis = try await RedisProcess() }
        client = try redis.client()
        board = CellBlackboard(Self.cell, on: client)
        driver = try TaskDriver(board, heartbeat: .milliseconds(150), lease: lease, log: log)
        folder = try TemporaryFolder("operator")
    }

    func spec(servers: Int = 2, standbys: Int = 1) -> CellSpec {
        var spec = CellSpec(
            name: Self.cell, partitions: 24, backplane: .embedded, store: .sqlite, auth: .none, run: .process(RunSpec.Process()))
        spec.messaging.servers = servers
        spec.messaging.standbys = standbys
        spec.failover.heartbeat = .milliseconds(150)
        spec.failover.lease = lease
        spec.moves.simultaneous_percent = 50
        return spec
    }

    func apply(_ spec: CellSpec) async throws -> Int64 {
        let stored = try await board.spec()
        return try await board.putSpec(spec.canonicalJSON, replacing: stored?.generation ?? 0)
    }

    /// An operator that runs until its task is cancelled.
    func startOperator(_ name: String = "a", at address: RedisAddress? = nil, state: String? = nil) throws -> Task<Void, any Error> {
        let client = try RedisClient(address ?? redis.address, options: RedisOptions(connectTimeout: .milliseconds(500), commandTimeout: .milliseconds(500)))
        let log = OperatorLog { line in self.lines.withLock { $0.append("\(name): \(line)") } }
        var context = try OperatorContext(
            name: name, redis: client, folder: StateFolder(folder.file(state ?? "state-\(name)")), log: log, metrics: OperatorMetrics(),
            makeDriver: { [driver] _, _, _ in driver })
        context.canary = canary
        return Task { [context] in
            try await CellsKeeper(context).run()
            client.close()
        }
    }

    /// Applies `spec` and starts an operator, which runs until its task is cancelled.
    ///
    /// - Returns: when the cell is ready, with the spec's generation and the assignment.
    func open(_ spec: CellSpec) async throws -> (generation: Int64, assignment: Assignment, operator: Task<Void, any Error>) {
        let generation = try await apply(spec)
        let task = try startOperator()
        do { return (generation, try await waitUntilReady(generation), task) } catch {
            task.cancel()
            throw error
        }
    }

    func assignment() async throws -> Assignment { try await board.assignment() ?? Assignment() }

    /// At rest, and ready in `generation`.
    @discardableResult
    func waitUntilReady(_ generation: Int64, within limit: Duration = .seconds(60)) async throws -> Assignment {
        do {
            return try await eventually("ready in generation \(generation)", within: limit) { () -> Assignment? in
                guard let status = try await self.board.status(), let ready = status.condition(.ready), ready.status == .yes,
                    ready.observedGeneration == generation
                else { return nil }
                // What stands there may be an operator's last word before this one's first.
                let assignment = try await self.board.assignment()
                let leader = try await self.board.leader()
                return assignment?.epoch == status.epoch && status.leader == leader?.name ? assignment : nil
            }
        } catch {
            Issue.record("\(error): \(String(describing: try? await board.status()?.conditions))\n\(lines.withLock { $0.suffix(60).joined(separator: "\n") })")
            throw error
        }
    }
}

extension Assignment {
    var owned: Int { members.values.reduce(0) { $0 + $1.owns.count } }
    var owners: [ServerID] { members.filter { !$0.value.owns.isEmpty }.keys.sorted() }
}
