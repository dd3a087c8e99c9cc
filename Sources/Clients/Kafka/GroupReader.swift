import CRdkafka
import Synchronization

/// What a member of a group does when it is given partitions, loses them, and reads. All are called on the reader's own thread.
public struct GroupHandlers: Sendable {
    /// These partitions, all that this member has now, were committed up to there. Answers where each begins; one left out begins at the
    /// oldest record.
    public var onAssigned: @Sendable ([CommittedPosition]) -> [Int32: Int64]
    /// All partitions are taken away. What is stored before this returns is committed, unless they are `lost` to another member already.
    public var onRevoked: @Sendable (_ partitions: [Int32], _ lost: Bool) -> Void
    /// Never empty. While it runs nothing is read; after a minute of that the group gives the partitions to another.
    public var onEvents: @Sendable ([LogEvent]) -> Void

    public init(
        onAssigned: @escaping @Sendable ([CommittedPosition]) -> [Int32: Int64],
        onRevoked: @escaping @Sendable (_ partitions: [Int32], _ lost: Bool) -> Void,
        onEvents: @escaping @Sendable ([LogEvent]) -> Void
    ) {
        self.onAssigned = onAssigned
        self.onRevoked = onRevoked
        self.onEvents = onEvents
    }
}

/// A member of a consumer group over one topic, which shares the partitions out by range.
///
/// It commits only what `store` was told, never what it has merely handed over.
public final class GroupReader: Sendable {
    struct Inbox {
        var restarts: [Int32: Int64] = [:]
        var pause: Bool?
        /// The last order that was carried out.
        var isPaused = false
        var closed = false
    }

    let topicName: String
    let client: Handle
    let queue: QueueHandle
    /// Nil once the member has ended, so that who it calls need not live as long as it is kept.
    let handlers: Mutex<GroupHandlers?>
    let commitEvery_ms: Int64
    let inbox = Mutex(Inbox())
    let reading = Mutex(ReadingPositions())
    let ledger: Mutex<CommitLedger>
    let relay: GroupRelay

    /// - Parameter commitEvery: how old something stored may get before it is committed.
    /// - Throws: `.configuration`. A cluster that cannot be reached is no error here.
    public init(
        _ configuration: KafkaConfiguration, group: String, topic: String, commitEvery: Duration = .seconds(1),
        onLog: (@Sendable (LibraryLogLine) -> Void)? = nil, handlers: GroupHandlers
    ) throws(KafkaError) {
        let relay = GroupRelay()
        var callbacks = Callbacks()
        if let onLog { callbacks.onLog = onLog }
        callbacks.onError = { relay.errors.add($0) }
        callbacks.onRebalance = { relay.member.withLock { $0 }?.rebalance($0, $1) }
        callbacks.onCommit = { relay.member.withLock { $0 }?.committed($0, $1) }
        client = try Handle(RD_KAFKA_CONSUMER, configuration, role: .member(group: group), callbacks: callbacks)
        rd_kafka_poll_set_consumer(client.pointer)
        guard let queue = QueueHandle(consumer: client) else {
            throw KafkaError(.configuration, "consumer group \"\(group)\"", remedy: "Give the group a name")
        }
        self.queue = queue
        self.relay = relay
        self.handlers = Mutex(handlers)
        topicName = topic
        commitEvery_ms = Int64(commitEvery.milliseconds)
        ledger = Mutex(CommitLedger())
        let list = PartitionList(topic, [(RD_KAFKA_PARTITION_UA, Int64(RD_KAFKA_OFFSET_INVALID))])
        let result = rd_kafka_subscribe(client.pointer, list.pointer)
        guard result == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(result, "subscription to \(topic)") }
        relay.member.withLock { $0 = self }
        startThread("kafka-group") { [self] in run() }
    }

    /// Everything below each `next` is finished: it is committed within `commitEvery`, and before the partitions are given up.
    /// Positions of partitions that are not assigned, and those above what was handed over, are ignored.
    public func store(_ positions: [StoredPosition]) {
        let handedOver = reading.withLock { $0.all }
        let sound = positions.filter { $0.next <= handedOver[$0.partition] ?? -1 }
        ledger.withLock { ledger in for position in sound { ledger.store(position) } }
    }

    /// Goes on at another offset in a partition that is assigned, as after `.failed`.
    public func restart(_ partition: Int32, at offset: Int64) {
        inbox.withLock { $0.restarts[partition] = offset }
        queue.wake()
    }

    /// Stops reading, and stays a member, also of what is assigned later; returns at once.
    public func pause() { setPaused(true) }
    public func resume() { setPaused(false) }
    /// Whether the last ``pause()`` or ``resume()`` that was carried out was a pause: then nothing is handed over any more.
    var isPaused: Bool { inbox.withLock { $0.isPaused } }

    /// The offset of the next record to hand over, for every assigned partition whose place is known.
    public var positions: [Int32: Int64] { reading.withLock { $0.all } }

    /// How many records each assigned partition is behind its log's end, as the last answer of the brokers had it.
    public var lag: [Int32: Int64] {
        positions.reduce(into: [:]) { lag, position in
            var low: Int64 = 0
            var high: Int64 = 0
            let result = rd_kafka_get_watermark_offsets(client.pointer, topicName, position.key, &low, &high)
            if result == RD_KAFKA_RESP_ERR_NO_ERROR, high >= 0 { lag[position.key] = max(0, high - position.value) }
        }
    }

    /// Gives the partitions up, commits what is stored, and leaves the group; returns at once.
    public func close() {
        inbox.withLock { $0.closed = true }
        queue.wake()
    }

    var calls: GroupHandlers? { handlers.withLock { $0 } }

    private func setPaused(_ paused: Bool) {
        inbox.withLock { $0.pause = paused }
        queue.wake()
    }
}

/// What the library's callbacks reach the member by; emptied when the member ends.
final class GroupRelay: Sendable {
    let member = Mutex<GroupReader?>(nil)
    let errors = PendingErrors()
}
