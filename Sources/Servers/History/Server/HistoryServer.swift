import Cell
import History
import Synchronization
import TLS

/// Serves the history: `Inbox`, `Dialog` and `Find`.
public final class HistoryServer: ServerCore {
    public static let maker: ServerCoreMaker = { try HistoryServer($0) }

    private struct Running {
        var endpoint: HistoryEndpoint
        var store: any HistoryStore
        var task: Task<Void, Never>
        var port: Int
    }

    private let context: ServerContext
    private let authenticator: Authenticator
    private let logs: KnownLogs
    private let running = Mutex<Running?>(nil)

    init(_ context: ServerContext) throws {
        self.context = context
        authenticator = try Authenticator(context.spec.auth)
        logs = KnownLogs { [board = context.board] in try await board.logs() }
    }

    public func start() async throws {
        let store = try await context.spec.openHistoryStore()
        do {
            try await store.waitsForNothing()
            try await logs.refresh()
            let endpoint = try endpoint(store)
            let port: Int
            do { port = try endpoint.start() } catch {
                endpoint.close()
                throw error
            }
            let task = Task { await endpoint.run() }
            running.withLock { $0 = Running(endpoint: endpoint, store: store, task: task, port: port) }
            measure(endpoint)
            context.log.info("serves the history at \(context.address(port: port))")
        } catch {
            store.close()
            throw error
        }
    }

    private func endpoint(_ store: any HistoryStore) throws -> HistoryEndpoint {
        let queries = HistoryQueries(store, partitions: context.spec.partitions, idWindow: context.spec.idWindow)
        let answers = HistoryAnswers(queries, logs: logs, log: context.log, metrics: context.metrics)
        var configuration = HistoryEndpoint.Configuration(host: context.bind, port: UInt16(clamping: context.port))
        configuration.tls = try context.spec.messaging.tls.map { try TLSServerContext(certificate: $0.certificate, key: $0.key) }
        return try HistoryEndpoint(configuration, answers: answers) { [authenticator] in authenticator.caller(authorization: $0, userID: $1) }
    }

    private func measure(_ endpoint: HistoryEndpoint) {
        context.metrics.read("cell_history_open_connections", "Connections of clients.") { [weak endpoint] in
            Double(endpoint?.counters.openConnections ?? 0)
        }
        context.metrics.read("cell_history_open_queries", "Queries that are being answered.") { [weak endpoint] in
            Double(endpoint?.openQueries ?? 0)
        }
    }

    public func apply(_ assignment: Assignment) { logs.note(assignment.log) }

    public var readiness: Readiness {
        guard running.withLock({ $0 != nil }) else { return .waits(for: "its store") }
        return logs.chain.current == nil ? .waits(for: "the cell's log") : .ready
    }

    public func contribute(to report: inout Report) {
        guard let running = running.withLock({ $0 }) else { return }
        report.address = context.address(port: running.port)
        report.connections = running.endpoint.counters.openConnections
        report.log = logs.chain.current
    }

    public func stop() async {
        guard
            let running = running.withLock({ running in
                defer { running = nil }
                return running
            })
        else { return }
        await running.endpoint.stop(grace: .seconds(3))
        await running.task.value
        running.store.close()
    }
}

extension HistoryStore {
    /// Throws what this server waits for, when there is something.
    func waitsForNothing() async throws {
        let missing = try await missingTables()
        guard missing.isEmpty else {
            throw StartProblem(
                "schema: the tables \(missing.joined(separator: ", ")) are missing", remedy: "The operator makes them; see what `cellctl status` says")
        }
    }
}
