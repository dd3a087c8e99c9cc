import Cell
import History
import Kafka
import Synchronization

/// Brings one log into the store, as a member of the log's consumer group.
///
/// `run()` stores what the reader's thread has taken; a store that fails is asked again, with growing waits, while reading pauses: lag grows,
/// and nothing is lost.
final class LogMaterializer: Sendable {
    struct Configuration: Sendable {
        var kafka: KafkaConfiguration
        var topic: String
        var cell: CellName
        var log: LogID
        var partitions: Int
        var idWindow: Duration
        /// Partitions whose rows are on their way at once.
        var parallel = 32

        /// A log's own group: on a new log nothing is committed, so it is read from its first record.
        var group: String { "\(cell)-materialize-\(log)" }
    }

    private struct State {
        var lanes = MaterializerLanes()
        var isPaused = false
        var isStopping = false
        var trouble = ""
    }

    let configuration: Configuration
    private let store: any HistoryStore
    private let report: @Sendable (String) -> Void
    private let assigned: @Sendable ([Int32]) -> Void
    private let state = Mutex(State())
    private let reader = Mutex<GroupReader?>(nil)
    private let bell: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private let queries: LogQueries

    /// - Parameters:
    ///   - report: gets what people should know, in words.
    ///   - assigned: told the partitions that this member has now.
    /// - Throws: `KafkaError` for a property that is not allowed.
    init(
        _ configuration: Configuration, store: any HistoryStore, report: @escaping @Sendable (String) -> Void,
        assigned: @escaping @Sendable ([Int32]) -> Void = { _ in }
    ) throws {
        self.configuration = configuration
        self.store = store
        self.report = report
        self.assigned = assigned
        (bell, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        queries = try LogQueries(configuration.kafka, topic: configuration.topic)
    }

    /// Reads and stores until `stop`, or until the task is cancelled. Throws `KafkaError` when the reader cannot be made.
    func run() async throws {
        let reader = try GroupReader(
            configuration.kafka, group: configuration.group, topic: configuration.topic,
            handlers: GroupHandlers(
                onAssigned: { [weak self] in self?.begin($0) ?? [:] },
                onRevoked: { [weak self] _, _ in self?.revoked() },
                onEvents: { [weak self] in self?.take($0) }))
        self.reader.withLock { $0 = reader }
        await withDiscardingTaskGroup { group in
            for await _ in bell {
                if state.withLock({ $0.isStopping && $0.lanes.isIdle }) { break }
                for job in state.withLock({ $0.lanes.jobs(limit: configuration.parallel) }) { group.addTask { await self.store(job) } }
                for partition in failedPartitions() { group.addTask { await self.recover(partition) } }
                keepRoom()
            }
            group.cancelAll()
        }
        reader.close()
        queries.close()
        self.reader.withLock { $0 = nil }
    }

    /// Stores what was taken, commits it, and ends `run`. Reading stops at once.
    func stop() {
        state.withLock { $0.isStopping = true }
        reader.withLock { $0 }?.pause()
        ring.yield()
    }

    // MARK: On the reader's thread

    private func begin(_ committed: [CommittedPosition]) -> [Int32: Int64] {
        let materializers = committed.map { position in
            let stored = position.next ?? 0
            // Without a note, or on a log whose times nobody can look up, the whole log is read back.
            let readBack = configuration.kafka.embedded ? 0 : CommitNote.readBack(position.note, committed: stored) ?? 0
            return PartitionMaterializer(
                log: configuration.log, partition: Partition(position.partition), of: configuration.partitions,
                idWindow: configuration.idWindow, readBack: readBack, stored: stored)
        }
        state.withLock { $0.lanes.assign(materializers) }
        assigned(committed.map(\.partition))
        return materializers.reduce(into: [:]) { $0[$1.partition.number] = $1.next }
    }

    private func revoked() { state.withLock { $0.lanes.revokeAll() } }

    private func take(_ events: [LogEvent]) {
        state.withLock { state in
            guard !state.isStopping else { return }
            for event in events {
                switch event {
                case .record(let record):
                    let log_ms = configuration.kafka.embedded ? nil : record.time_ms
                    state.lanes.take(record.partition, offset: record.offset, log_ms: log_ms, record.value)
                    state.trouble = ""
                case .caughtUp: state.trouble = ""
                case .failed(let partition, let error):
                    state.lanes.failed(partition)
                    state.trouble = "\(error)"
                case .stopped: break
                case .error(let error): state.trouble = "\(error)"
                }
            }
        }
        for case .failed(_, let error) in events { report("\(error)") }
        ring.yield()
    }

    // MARK: In `run`

    private func store(_ job: MaterializerLanes.Job) async {
        var wait = Duration.milliseconds(100)
        while !Task.isCancelled, state.withLock({ $0.lanes.isOurs(job) }) {
            do {
                try await store.write(job.step.batch)
                try await store.advance(configuration.log, job.step.batch.partition, to: job.step.progress)
                // Only now is it kept by a quorum.
                reader.withLock { $0 }?.store([
                    StoredPosition(
                        partition: job.partition, next: job.step.progress.through, note: CommitNote.text(readBack: job.step.readBack))
                ])
                state.withLock { $0.trouble = "" }
                break
            } catch {
                if wait == .milliseconds(100) { report("partition \(job.partition) is not stored: \(error)") }
                state.withLock { $0.trouble = "\(error)" }
                try? await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(5))
            }
        }
        state.withLock { $0.lanes.done(job) }
        ring.yield()
    }

    /// A failed partition is begun again where it was; when the log does not reach back so far, at the oldest record it has.
    private func recover(_ partition: Int32) async {
        do {
            let start = try await queries.startOffsets(of: [partition]).complete()[partition] ?? 0
            try await Task.sleep(for: .seconds(1))
            guard let next = state.withLock({ $0.lanes.resume(partition, notBefore: start) }) else { return }
            if next == start, start > 0 { report("partition \(partition) begins at \(start): what was before it has left the log") }
            reader.withLock { $0 }?.restart(partition, at: next)
        } catch {
            report("partition \(partition) cannot be begun again yet: \(error)")
            try? await Task.sleep(for: .seconds(1))
            state.withLock { $0.lanes.failed(partition) }
            ring.yield()
        }
    }

    private func failedPartitions() -> [Int32] { state.withLock { $0.lanes.takeFailed() } }

    private func keepRoom() {
        let change = state.withLock { state -> Bool? in
            let waiting = state.lanes.waiting
            if !state.isPaused, waiting > MaterializerLanes.full {
                state.isPaused = true
            } else if state.isPaused, waiting < MaterializerLanes.roomy {
                state.isPaused = false
            } else {
                return nil
            }
            return state.isPaused
        }
        guard let change, let reader = reader.withLock({ $0 }) else { return }
        if change { reader.pause() } else { reader.resume() }
    }

    // MARK: What others ask

    /// Records between what was read and the log's end, by partition.
    var lag: [Int32: Int64] { reader.withLock { $0 }?.lag ?? [:] }
    var counts: PartitionMaterializer.Counts { state.withLock { $0.lanes.counts } }
    var waiting: Int { state.withLock { $0.lanes.waiting } }
    var positions: [Int32: Int64] { reader.withLock { $0 }?.positions ?? [:] }
    /// What hinders it at the moment, for people; empty: nothing.
    var trouble: String { state.withLock { $0.trouble } }
}
