import Cell
import History
import Kafka
import Synchronization

/// Brings the log into the history.
public final class MaterializeServer: ServerCore {
    public static let maker: ServerCoreMaker = { try MaterializeServer($0) }

    private struct Running {
        var supervisor: MaterializeSupervisor
        var store: any HistoryStore
        var task: Task<Void, Never>
    }

    private let context: ServerContext
    private let logs: KnownLogs
    private let running = Mutex<Running?>(nil)
    private let waits = Mutex("")

    init(_ context: ServerContext) throws {
        self.context = context
        logs = KnownLogs { [board = context.board] in try await board.logs() }
    }

    public func start() async throws {
        let store = try await context.spec.openHistoryStore()
        do {
            try await store.waitsForNothing()
            try await logs.refresh()
        } catch {
            store.close()
            throw error
        }
        let supervisor = MaterializeSupervisor(
            cell: context.spec.name, partitions: context.spec.partitions, idWindow: context.spec.idWindow, store: store, logs: logs
        ) { [log = context.log] in log.warning($0) }
        let task = Task { await supervisor.run() }
        running.withLock { $0 = Running(supervisor: supervisor, store: store, task: task) }
        measure(supervisor)
        follow(context.known.assignment)
        context.log.info("brings the log into the history")
    }

    public func apply(_ assignment: Assignment) {
        logs.note(assignment.log)
        follow(assignment)
    }

    private func follow(_ assignment: Assignment) {
        guard let supervisor = running.withLock({ $0?.supervisor }) else { return }
        do {
            guard let log = assignment.log else { return waits.withLock { $0 = "the cell's log" } }
            guard let kafka = try KafkaConfiguration(context.spec, assignment, for: context.server) else {
                return waits.withLock { $0 = "the backplane's address" }
            }
            waits.withLock { $0 = "" }
            logs.note(log)
            supervisor.read(.init(kafka: kafka, topic: context.spec.topic, log: log))
        } catch {
            waits.withLock { $0 = "\(error)" }
        }
    }

    public var readiness: Readiness {
        guard running.withLock({ $0 != nil }) else { return .waits(for: "its store") }
        let waits = waits.withLock { $0 }
        return waits.isEmpty ? .ready : .waits(for: waits)
    }

    public func contribute(to report: inout Report) {
        guard let current = running.withLock({ $0?.supervisor.current }) else { return }
        report.log = current.configuration.log
        report.positions = Dictionary(uniqueKeysWithValues: current.positions.map { ("\($0.key)", $0.value) })
    }

    public var details: any Encodable & Sendable {
        let supervisor = running.withLock { $0?.supervisor }
        return Details(
            log: supervisor?.current?.configuration.log.description ?? "", partitions: supervisor?.current?.positions.count ?? 0,
            lag: supervisor?.current?.lag.values.reduce(0, +) ?? 0, waitingRows: supervisor?.current?.waiting ?? 0, trouble: supervisor?.trouble ?? "")
    }

    private struct Details: Encodable {
        var log: String
        var partitions: Int
        var lag: Int64
        var waitingRows: Int
        var trouble: String
    }

    public func stop() async {
        guard
            let running = running.withLock({ running in
                defer { running = nil }
                return running
            })
        else { return }
        running.supervisor.stop()
        await running.task.value
        running.store.close()
    }

    private func measure(_ supervisor: MaterializeSupervisor) {
        let metrics = context.metrics
        metrics.read("cell_materialize_lag_records", "Records between what was read and the log's end.") { [weak supervisor] in
            Double(supervisor?.current?.lag.values.reduce(0, +) ?? 0)
        }
        metrics.read("cell_materialize_partitions", "Partitions that this server has.") { [weak supervisor] in
            Double(supervisor?.current?.positions.count ?? 0)
        }
        metrics.read("cell_materialize_waiting_rows", "Rows that were read and are not stored yet.") { [weak supervisor] in
            Double(supervisor?.current?.waiting ?? 0)
        }
        let verdicts: [(String, @Sendable (PartitionMaterializer.Counts) -> Int)] = [
            ("first", { $0.first }), ("duplicate", { $0.duplicate }), ("void", { $0.void }), ("unreadable", { $0.unreadable }), ("other", { $0.other }),
        ]
        for (name, value) in verdicts {
            metrics.read("cell_materialize_records_total", "Records read, by verdict.", ["verdict": name], as: .counter) { [weak supervisor] in
                supervisor?.current.map { Double(value($0.counts)) } ?? 0
            }
        }
    }
}
