import Cell
import Dispatch
import Kafka
import Streams
import Synchronization

/// Streams, core and log on their loop, and the threads and tasks around it. `run` must run for as long as it lives.
final class MessagingEngine: Sendable {
    let configuration: MessagingConfiguration
    private let loop: EventLoop
    private let service: MessagingService
    private let server: StreamServer
    private let questions = Questions()
    private let queries = Mutex<LogQueries?>(nil)
    private let looks = Mutex(Looks())

    /// Who waits for a snapshot. What is sent to a loop that has stopped never runs, so they are kept here too.
    private struct Looks {
        var waiting: [Int: CheckedContinuation<MessagingSnapshot, Never>] = [:]
        var lastNumber = 0
        /// The last snapshot, once the loop has stopped.
        var final: MessagingSnapshot?
        var isStopping = false
    }

    /// - Throws: `StreamError` when there are no descriptors left.
    init(_ configuration: MessagingConfiguration) throws {
        self.configuration = configuration
        loop = try EventLoop(name: "messaging")
        let made = MessagingService(configuration, loop: loop, questions: questions)
        service = made
        var streams = ServerConfiguration()
        streams.messageLimit = max(1 << 20, configuration.settings.limits.bodyBytes) + (64 << 10)
        // The core's own bound comes first; it may change while the server runs.
        streams.backlog = 16 << 20
        streams.tls = configuration.tls
        server = StreamServer(configuration: streams, loops: [loop]) { _ in made }
    }

    /// Listens.
    /// - Returns: the port.
    func start() throws -> UInt16 {
        loop.start()
        return try server.start(host: configuration.host, port: configuration.port)
    }

    /// Uses the log at `kafka` from now on.
    /// - Throws: `KafkaError` for a property that is not allowed.
    func connect(to kafka: KafkaConfiguration) throws {
        let new = try LogQueries(kafka, topic: configuration.topic)
        queries.withLock { queries in
            queries?.close()
            queries = new
        }
        loop.execute { [service] in service.log.connect(to: kafka) }
    }

    /// Answers what the loop asks; ends after `stop`, or when cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await question in questions.asked { group.addTask { await self.answer(question) } }
        }
    }

    func assign(_ assignment: Assignment) {
        loop.execute { [service] in service.core.assigned(assignment, at: SystemClock.now) }
    }

    func configure(_ settings: Settings) {
        loop.execute { [service] in service.core.configured(settings, at: SystemClock.now) }
    }

    /// As of now, from the loop: while it hangs there is no answer. After `stop`: as it was at the end.
    func snapshot() async -> MessagingSnapshot {
        await withCheckedContinuation { continuation in
            let (number, final) = looks.withLock { looks in
                guard looks.final == nil else { return (0, looks.final) }
                looks.lastNumber += 1
                looks.waiting[looks.lastNumber] = continuation
                return (looks.lastNumber, nil)
            }
            if let final { return continuation.resume(returning: final) }
            loop.execute { [self] in
                let now = MessagingSnapshot(service, server.counters)
                looks.withLock { $0.waiting.removeValue(forKey: number) }?.resume(returning: now)
            }
        }
    }

    /// Takes no more Opens, and waits until the clients have been told to go elsewhere and have gone: `patience` for the operator to say where, then
    /// `grace` for them to go. Then ends what is left, and closes the log.
    func stop(patience: Duration, grace: Duration) async {
        guard
            looks.withLock({ looks in
                defer { looks.isStopping = true }
                return !looks.isStopping
            })
        else { return }
        loop.execute { [service] in service.core.stop(at: SystemClock.now) }
        let clock = ContinuousClock()
        let begin = clock.now
        var now = await snapshot()
        while now.opened > 0, clock.now < begin + (now.isNeeded ? patience : grace) {
            try? await Task.sleep(for: .milliseconds(20))
            now = await snapshot()
        }
        loop.execute { [service] in service.core.endAll(at: SystemClock.now) }
        await withCheckedContinuation { continuation in
            server.drain(grace: .milliseconds(500)) { continuation.resume() }
        }
        await closeLoop()
    }

    private func closeLoop() async {
        questions.close()
        queries.withLock { $0?.close() }
        await withCheckedContinuation { continuation in
            // Stopping waits for the loop's thread, so it has a thread of its own.
            DispatchQueue.global().async { [self] in
                let closed = DispatchSemaphore(value: 0)
                let end = Mutex<MessagingSnapshot?>(nil)
                loop.execute { [service, server] in
                    service.log.close()
                    let last = MessagingSnapshot(service, server.counters)
                    end.withLock { $0 = last }
                    closed.signal()
                }
                closed.wait()
                loop.stop()
                if let final = end.withLock({ $0 }) { answerLooks(final) }
                continuation.resume()
            }
        }
    }

    private func answerLooks(_ final: MessagingSnapshot) {
        let waiting = looks.withLock { looks in
            looks.final = final
            defer { looks.waiting = [:] }
            return looks.waiting
        }
        for continuation in waiting.values { continuation.resume(returning: final) }
    }

    // MARK: answers

    private func asking() throws -> LogQueries {
        guard let queries = queries.withLock({ $0 }) else { throw StartProblem("the log's address is not known yet", remedy: "It is asked again") }
        return queries
    }

    private func answer(_ question: Questions.Question) async {
        switch question {
        case .assignment: await answerAssignment()
        case .health(let incarnation, let http): await answerHealth(incarnation, http)
        case .ends(let wanted): await answerEnds(wanted)
        case .starts(let wanted, let from_ms): await answerStarts(wanted, from_ms)
        case .watch(let partitions):
            guard let ends = try? await asking().endOffsets(of: partitions).offsets else { return }
            loop.execute { [service] in service.log.readings.watchAnswered(ends) }
        case .bounds(let partition, let position): await answerBounds(partition, position)
        }
    }

    private func answerAssignment() async {
        let read = await withTaskGroup(of: Assignment?.self) { group in
            group.addTask { await self.configuration.readAssignment() }
            group.addTask {
                try? await Task.sleep(for: .seconds(2))
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        loop.execute { [service] in
            if let read { service.core.assigned(read, at: SystemClock.now) }
            service.core.assignmentWasRead(at: SystemClock.now)
        }
    }

    private func answerHealth(_ incarnation: Incarnation, _ http: String) async {
        let isHealthy = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: HealthProbe.isHealthy(http, timeout_ms: 300)) }
        }
        loop.execute { [service] in service.core.probed(incarnation, isHealthy: isHealthy, at: SystemClock.now) }
    }

    private func answerEnds(_ wanted: [Int32: UInt64]) async {
        let ends = (try? await asking().endOffsets(of: wanted.keys.sorted()))?.offsets ?? [:]
        loop.execute { [service] in
            for (partition, query) in wanted.sorted(by: { $0.key < $1.key }) {
                service.core.endAnswered(Partition(partition), query: query, end: ends[partition], at: SystemClock.now)
            }
        }
    }

    private func answerStarts(_ wanted: [Int32: UInt64], _ from_ms: Int64?) async {
        let partitions = wanted.keys.sorted()
        var bounds: [Int32: (start: Int64, end: Int64)] = [:]
        // The end first: what is above the start is then surely read.
        if let ends = try? await asking().endOffsets(of: partitions).offsets, let starts = try? await starts(of: partitions, from_ms) {
            for partition in partitions {
                if let start = starts[partition], let end = ends[partition] { bounds[partition] = (start, end) }
            }
        }
        loop.execute { [service, bounds] in service.log.readings.startsAnswered(wanted, from_ms: from_ms, bounds) }
    }

    private func starts(of partitions: [Int32], _ from_ms: Int64?) async throws -> [Int32: Int64] {
        guard let from_ms else { return try await asking().startOffsets(of: partitions).offsets }
        return try await asking().offsets(at: from_ms, of: partitions).offsets
    }

    private func answerBounds(_ partition: Int32, _ position: Int64) async {
        var bounds: (start: Int64, end: Int64)?
        if let start = try? await asking().startOffsets(of: [partition])[partition], let end = try? await asking().endOffsets(of: [partition])[partition] {
            bounds = (start, end)
        }
        loop.execute { [service, bounds] in service.log.readings.boundsAnswered(partition, position: position, bounds) }
    }
}
