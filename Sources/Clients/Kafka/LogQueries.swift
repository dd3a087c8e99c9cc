import CRdkafka
import Synchronization

/// Questions about one topic and its log. Each is asked on threads of its own, so no caller's thread waits.
///
/// Questions for offsets that wait at the same time are asked together, in one request to each leader.
public final class LogQueries: Sendable {
    let topic: TopicHandle
    /// Offsets do not wait behind administration.
    private let offsets = JobQueue<OffsetQuestion>("kafka-offsets")
    private let administration = JobQueue<Job>("kafka-admin")

    /// - Throws: `.configuration`. A cluster that cannot be reached is no error here.
    public init(
        _ configuration: KafkaConfiguration, topic name: String, onLog: (@Sendable (LibraryLogLine) -> Void)? = nil
    ) throws(KafkaError) {
        var callbacks = Callbacks()
        if let onLog { callbacks.onLog = onLog }
        topic = try TopicHandle(Handle(RD_KAFKA_CONSUMER, configuration, role: .queries, callbacks: callbacks), name)
        offsets.run { [topic] questions in OffsetQuestion.answer(questions, topic) }
        administration.run { jobs in for job in jobs { job.body() } }
    }

    /// The offset that the next record of each partition will get, asked after this call began.
    public func endOffsets(of partitions: [Int32], timeout: Duration = .seconds(5)) async throws -> PartitionOffsets {
        try await ask(.end, partitions, timeout)
    }

    /// The offset of the oldest record that each partition still holds; its end when it holds none.
    public func startOffsets(of partitions: [Int32], timeout: Duration = .seconds(5)) async throws -> PartitionOffsets {
        try await ask(.start, partitions, timeout)
    }

    /// The offset of the first record whose log time is `time_ms` or later; where there is none, an end that was asked for before,
    /// so that no such record can be below it. The embedded broker knows no times and answers its start.
    public func offsets(at time_ms: Int64, of partitions: [Int32], timeout: Duration = .seconds(5)) async throws -> PartitionOffsets {
        try await ask(.time_ms(time_ms), partitions, timeout)
    }

    /// Ends the threads; questions that wait fail with `.closed`.
    public func close() {
        offsets.close()
        administration.close()
    }

    private func ask(_ point: LogPoint, _ partitions: [Int32], _ timeout: Duration) async throws -> PartitionOffsets {
        if partitions.isEmpty { return PartitionOffsets() }
        return try await withCheckedThrowingContinuation { continuation in
            let until_ms = monotonic_ms() + Int64(timeout.milliseconds)
            offsets.add(OffsetQuestion(point: point, partitions: partitions, until_ms: until_ms) { continuation.resume(with: $0) })
        }
    }

    /// Runs `body` on the thread for administration.
    func administer<Answer: Sendable>(_ body: @escaping @Sendable () throws(KafkaError) -> Answer) async throws -> Answer {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Answer, Error>) in
            administration.add(
                Job(
                    body: {
                        do throws(KafkaError) { continuation.resume(returning: try body()) } catch { continuation.resume(throwing: error) }
                    }, refuse: { continuation.resume(throwing: $0) }))
        }
    }
}

/// What was found for some partitions, and what went wrong for the others.
public struct PartitionOffsets: Sendable, Equatable {
    public var offsets: [Int32: Int64]
    public var errors: [Int32: KafkaError]

    public init(offsets: [Int32: Int64] = [:], errors: [Int32: KafkaError] = [:]) {
        self.offsets = offsets
        self.errors = errors
    }

    public subscript(partition: Int32) -> Int64? { offsets[partition] }

    /// All of them.
    /// - Throws: the error of the lowest partition that has one.
    public func complete() throws(KafkaError) -> [Int32: Int64] {
        if let first = errors.min(by: { $0.key < $1.key }) { throw first.value }
        return offsets
    }
}

struct Job: Sendable, Refusable {
    var body: @Sendable () -> Void
    var refuse: @Sendable (KafkaError) -> Void
    func fail(_ error: KafkaError) { refuse(error) }
}
