import Cell
import History
import Kafka
import Synchronization

/// Reads the log that the cell has now: when it gets another one, what was taken of the old one is stored first.
final class MaterializeSupervisor: Sendable {
    /// What is to be read.
    struct Target: Equatable, Sendable {
        var kafka: KafkaConfiguration
        var topic: String
        var log: LogID
    }

    private struct State {
        var target: Target?
        var current: LogMaterializer?
        var isStopping = false
        var trouble = ""
    }

    private let cell: CellName
    private let partitions: Int
    private let idWindow: Duration
    private let store: any HistoryStore
    private let logs: KnownLogs
    private let quiet: Duration
    private let report: @Sendable (String) -> Void
    private let state = Mutex(State())
    private let changes: AsyncStream<Void>
    private let change: AsyncStream<Void>.Continuation

    /// - Parameters:
    ///   - logs: the chain; a log is ended only when the chain says what came after it.
    ///   - quiet: how long an earlier log has to stand still before it counts as ended.
    init(
        cell: CellName, partitions: Int, idWindow: Duration, store: any HistoryStore, logs: KnownLogs, quiet: Duration = .seconds(10),
        report: @escaping @Sendable (String) -> Void
    ) {
        self.cell = cell
        self.partitions = partitions
        self.idWindow = idWindow
        self.store = store
        self.logs = logs
        self.quiet = quiet
        self.report = report
        (changes, change) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// From now on `target` is to be read.
    func read(_ target: Target) {
        let isNew = state.withLock { state in
            defer { state.target = target }
            return state.target != target
        }
        if isNew { change.yield() }
    }

    /// Stores what was taken, commits it, and ends `run`.
    func stop() {
        state.withLock { $0.isStopping = true }
        current?.stop()
        change.yield()
        change.finish()
    }

    /// Reads until `stop`.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            var reading: Target?
            for await _ in changes {
                let (target, isStopping) = state.withLock { ($0.target, $0.isStopping) }
                if isStopping { break }
                guard let target, target != reading else { continue }
                current?.stop()
                // Rows of the log before are stored before the next one is begun.
                while await group.next() != nil {}
                reading = target
                begin(target, &group)
            }
            current?.stop()
            await group.waitForAll()
        }
    }

    private func begin(_ target: Target, _ group: inout TaskGroup<Void>) {
        let (given, give) = AsyncStream.makeStream(of: [Int32].self)
        let configuration = LogMaterializer.Configuration(
            kafka: target.kafka, topic: target.topic, cell: cell, log: target.log, partitions: partitions, idWindow: idWindow)
        do {
            let materializer = try LogMaterializer(configuration, store: store, report: report) { give.yield($0) }
            state.withLock { $0.current = materializer }
            group.addTask { [ended = EndedLogs(store: store, quiet: quiet), logs] in
                await withTaskGroup(of: Void.self) { inner in
                    inner.addTask {
                        for await partitions in given { await ended.end(partitions, before: target.log, in: logs.chain) }
                    }
                    inner.addTask {
                        do { try await materializer.run() } catch { self.failed(error) }
                        give.finish()
                    }
                    // The reading decides when it is over.
                    _ = await inner.next()
                    inner.cancelAll()
                }
            }
        } catch {
            failed(error)
        }
    }

    private func failed(_ error: any Error) {
        state.withLock { $0.trouble = "\(error)" }
        report("the log cannot be read: \(error)")
    }

    /// What reads now; nil before there is a log.
    var current: LogMaterializer? { state.withLock { $0.current } }

    /// What hinders it, for people; empty: nothing.
    var trouble: String {
        let own = state.withLock { $0.trouble }
        return own.isEmpty ? current?.trouble ?? "" : own
    }
}
