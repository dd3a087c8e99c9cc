import CRdkafka
import Synchronization

/// Produces to one topic, idempotently: what it took is never given up, never overtaken in its partition, and always reported.
///
/// Reports come in batches on threads of its own, those of one partition always on the same, in order. A message stays queued while brokers are
/// away; how long to wait for a report is the caller's decision. After a fatal error, which is told once, close it and make another.
///
/// Idempotence allows five requests under way to each broker, and a request of this library carries messages of one partition: with many
/// partitions that would be the limit. So it is several producers of the library, each for its share of the partitions.
///
/// Close it when done: its threads keep it alive. Connections end when nobody keeps it any more.
public final class Producer: Sendable {
    /// Messages that were taken and not yet reported.
    public struct Queued: Sendable, Equatable {
        public var messages: Int
        public var bytes: Int
    }

    private let shards: [ProducerShard]
    private let end: FirstError

    /// - Parameters:
    ///   - shards: how many producers of the library; more than 1 only raises what can be under way. Nil: 4, and 8 where one broker has all partitions.
    ///   - onReports: never empty; called on the producer's own threads, each of which waits for it.
    ///   - onFatal: called at most once, on one of those threads.
    /// - Throws: `.configuration`. A cluster that cannot be reached is no error here.
    public init(
        _ configuration: KafkaConfiguration, topic: String, shards: Int? = nil,
        onLog: (@Sendable (LibraryLogLine) -> Void)? = nil,
        onReports: @escaping @Sendable ([DeliveryReport]) -> Void,
        onFatal: @escaping @Sendable (KafkaError) -> Void
    ) throws(KafkaError) {
        let end = FirstError()
        var made: [ProducerShard] = []
        for _ in 0..<max(1, shards ?? (configuration.brokers.count == 1 ? 8 : 4)) { made.append(try ProducerShard(configuration, topic: topic, onLog: onLog)) }
        self.shards = made
        self.end = end
        for shard in made { shard.run(onReports: onReports, onFatal: { error in if end.set(error) { onFatal(error) } }) }
    }

    /// Enqueues a message and never blocks.
    ///
    /// - Parameters:
    ///   - token: comes back in its report; need not be unique.
    ///   - time_ms: the record's own time; nil is now. A topic with LogAppendTime replaces it.
    /// - Throws: `.queueFull`, `.messageTooLarge`, `.unknownTopicOrPartition`, `.fatal` or `.closed`; then there is no report.
    public func produce(_ value: [UInt8], to partition: Int32, token: UInt64, time_ms: Int64? = nil) throws(KafkaError) {
        // One share that cannot go on is the end of all: whoever replaces them replaces them together.
        if let fatal = end.error { throw fatal }
        try shards[Int(partition.magnitude) % shards.count].produce(value, to: partition, token: token, time_ms: time_ms)
    }

    /// Waits until the cluster has told who leads each partition, so that the first message finds its way at once. Writes nothing.
    ///
    /// - Returns: what the cluster has, whose number of partitions is worth a look.
    /// - Throws: `.unknownTopicOrPartition` when there is no such topic, `.timedOut` and `.unreachable`.
    public func warmUp(timeout: Duration = .seconds(5)) async throws -> TopicMetadata {
        try await withCheckedThrowingContinuation { continuation in
            startThread("kafka-warm-up") { [shards] in
                let until_ms = monotonic_ms() + Int64(timeout.milliseconds)
                continuation.resume(with: Result { try shards.map { try $0.metadata(until_ms: until_ms) }[0] })
            }
        }
    }

    public var queued: Queued {
        shards.reduce(into: Queued(messages: 0, bytes: 0)) { sum, shard in
            sum.messages += shard.queued.messages
            sum.bytes += shard.queued.bytes
        }
    }

    /// Takes nothing more. Returns at once; the library's threads end in the background.
    ///
    /// - Parameter discarding: true throws away what is queued and in flight (some of it may still reach the log), and reports nothing more:
    ///   only batches that are being handed over at this moment still come. False goes on until everything is reported, 30 s at most.
    public func close(discarding: Bool) {
        for shard in shards { shard.close(discarding: discarding) }
    }
}

/// The first of several errors.
private final class FirstError: Sendable {
    // Looked at for each message, so without the lock.
    private let isSet = Atomic(false)
    private let first = Mutex<KafkaError?>(nil)

    var error: KafkaError? { isSet.load(ordering: .acquiring) ? first.withLock { $0 } : nil }

    /// Whether this one is the first.
    func set(_ error: KafkaError) -> Bool {
        first.withLock { first in
            guard first == nil else { return false }
            first = error
            isSet.store(true, ordering: .releasing)
            return true
        }
    }
}
