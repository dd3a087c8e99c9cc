import CRdkafka
import Synchronization

/// Reads chosen partitions of one topic from given offsets, without a consumer group.
///
/// One thread reads, and calls back with everything at hand. While the callback runs nothing is read, which is how a consumer slows it down.
/// A topic or partition that does not exist yet is waited for. After a leader has moved a partition can stay silent while the others go on:
/// compare `positions` with `LogQueries.endOffsets` from time to time, and start again what stands still below its end.
///
/// Close it when done: its thread keeps it alive. Connections end when nobody keeps it any more.
public final class LogReader: Sendable {
    enum Command { case start(Int32, at: Int64), stop(Int32) }

    private struct Inbox {
        var commands: [Command] = []
        var closed = false
    }

    private let topic: TopicHandle
    private let queue: QueueHandle
    private let inbox = Mutex(Inbox())
    private let reading = Mutex(ReadingPositions())
    private let pendingErrors: PendingErrors

    /// How soon a record is handed over after the log took it.
    public enum Pace: Sendable {
        /// At once.
        case prompt
        /// With others of the last 50 ms, unless 64 KiB of them come before.
        case relaxed
    }

    /// - Parameter onEvents: never empty; called on the reader's own thread.
    /// - Throws: `.configuration`. A cluster that cannot be reached is no error here.
    public init(
        _ configuration: KafkaConfiguration, topic name: String, pace: Pace = .prompt,
        onLog: (@Sendable (LibraryLogLine) -> Void)? = nil,
        onEvents: @escaping @Sendable ([LogEvent]) -> Void
    ) throws(KafkaError) {
        let errors = PendingErrors()
        var callbacks = Callbacks()
        if let onLog { callbacks.onLog = onLog }
        callbacks.onError = { errors.add($0) }
        let client = try Handle(RD_KAFKA_CONSUMER, configuration, role: .reader(pace), callbacks: callbacks)
        pendingErrors = errors
        topic = try TopicHandle(client, name)
        queue = QueueHandle(new: client)
        // Errors of the whole client then come while the thread waits for records.
        let main = QueueHandle(main: client)
        rd_kafka_queue_forward(main.pointer, queue.pointer)
        startThread("kafka-reader") { [self] in run(onEvents) }
    }

    /// Begins reading each partition at its offset; one that is being read begins again there. Returns at once.
    public func start(_ partitions: [Int32: Int64]) {
        command(partitions.sorted { $0.key < $1.key }.map { .start($0.key, at: $0.value) })
    }

    /// Ends reading. Events that were under way may come until `.stopped` does.
    public func stop(_ partitions: [Int32]) { command(partitions.map { .stop($0) }) }

    /// The offset of the next record to hand over, for every partition that is read.
    public var positions: [Int32: Int64] { reading.withLock { $0.all } }

    /// Ends the reader; returns at once. Only a batch that is being handed over at this moment still comes.
    public func close() {
        inbox.withLock { $0.closed = true }
        queue.wake()
    }

    func command(_ commands: [Command]) {
        inbox.withLock { $0.commands += commands }
        queue.wake()
    }
}

// The reader's own thread.
extension LogReader {
    private static let batch = 10_000

    private func run(_ onEvents: ([LogEvent]) -> Void) {
        while true {
            let (commands, closed) = inbox.withLock { inbox in
                defer { inbox.commands = [] }
                return (inbox.commands, inbox.closed)
            }
            if closed { break }
            var events: [LogEvent] = []
            for command in commands { obey(command, &events) }
            // A batch call of this version waits for the batch to fill and can lose records around a stop: take one by one.
            var message = rd_kafka_consume_queue(queue.pointer, events.isEmpty ? 1000 : 0)
            while let next = message {
                take(next, &events)
                rd_kafka_message_destroy(next)
                message = events.count < Self.batch ? rd_kafka_consume_queue(queue.pointer, 0) : nil
            }
            events += pendingErrors.take().map { .error($0) }
            if !events.isEmpty, !inbox.withLock({ $0.closed }) { onEvents(events) }
        }
        for partition in reading.withLock({ $0.partitions }) { rd_kafka_consume_stop(topic.pointer, partition) }
    }

    private func obey(_ command: Command, _ events: inout [LogEvent]) {
        switch command {
        case .start(let partition, let offset):
            if isReading(partition) { rd_kafka_consume_stop(topic.pointer, partition) }
            begin(partition, at: offset, &events)
        case .stop(let partition):
            if isReading(partition) { end(partition) }
            events.append(.stopped(partition: partition))
        }
    }

    private func isReading(_ partition: Int32) -> Bool { reading.withLock { $0.isReading(partition) } }

    private func begin(_ partition: Int32, at offset: Int64, _ events: inout [LogEvent]) {
        // Negative offsets have meanings to the library that this reader does not offer.
        guard partition >= 0, offset >= 0, rd_kafka_consume_start_queue(topic.pointer, partition, offset, queue.pointer) == 0 else {
            reading.withLock { $0.stop(partition) }
            let number = partition >= 0 && offset >= 0 ? rd_kafka_last_error() : RD_KAFKA_RESP_ERR__INVALID_ARG
            return events.append(.failed(partition: partition, KafkaError(number, "\(topic.name) [\(partition)] at \(offset)")))
        }
        reading.withLock { $0.start(partition, at: offset) }
    }

    private func end(_ partition: Int32) {
        rd_kafka_consume_stop(topic.pointer, partition)
        reading.withLock { $0.stop(partition) }
    }

    private func take(_ message: UnsafeMutablePointer<rd_kafka_message_t>, _ events: inout [LogEvent]) {
        let partition = message.pointee.partition
        switch message.pointee.err {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            let step = reading.withLock { $0.record(partition, offset: message.pointee.offset) }
            act(step, partition, found: message.pointee.offset, .record(LogRecord(message)), &events)
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
            let next = message.pointee.offset
            let step = reading.withLock { $0.end(partition, offset: next) }
            act(step, partition, found: next, .caughtUp(partition: partition, next: next), &events)
        default:
            fail(message, &events)
        }
    }

    private func act(_ step: ReadingPositions.Step, _ partition: Int32, found: Int64, _ event: LogEvent, _ events: inout [LogEvent]) {
        switch step {
        case .deliver: events.append(event)
        case .skip: break
        case .reread(let offset):
            rd_kafka_consume_stop(topic.pointer, partition)
            if rd_kafka_consume_start_queue(topic.pointer, partition, offset, queue.pointer) != 0 {
                end(partition)
                events.append(.failed(partition: partition, KafkaError(rd_kafka_last_error(), "\(topic.name) [\(partition)] at \(offset)")))
            }
        case .jump(let expected):
            end(partition)
            events.append(.failed(partition: partition, .jump(topic.name, partition, expected: expected, found: found)))
        }
    }

    private func fail(_ message: UnsafeMutablePointer<rd_kafka_message_t>, _ events: inout [LogEvent]) {
        let partition = message.pointee.partition
        let error = KafkaError(message, topic.name)
        guard error.code == .offsetOutOfRange, isReading(partition) else { return events.append(.error(error)) }
        end(partition)
        events.append(.failed(partition: partition, error))
    }
}

extension KafkaError {
    /// The error that the library hands over in a record's place.
    init(_ message: UnsafeMutablePointer<rd_kafka_message_t>, _ topic: String) {
        let text = message.pointee.payload.map { String(decoding: UnsafeRawBufferPointer(start: $0, count: message.pointee.len), as: UTF8.self) }
        let place = message.pointee.partition < 0 ? topic : "\(topic) [\(message.pointee.partition)]"
        self.init(message.pointee.err, place, detail: text)
    }

    static func jump(_ topic: String, _ partition: Int32, expected: Int64, found: Int64) -> KafkaError {
        KafkaError(
            .offsetJump, "\(topic) [\(partition)]: offset \(found) follows \(expected - 1), read twice", remedy: Code.offsetJump.remedy)
    }
}

extension LogRecord {
    init(_ message: UnsafeMutablePointer<rd_kafka_message_t>) {
        var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let time_ms = rd_kafka_message_timestamp(message, &kind)
        self.init(
            partition: message.pointee.partition, offset: message.pointee.offset, time_ms: time_ms,
            timeIsLogAppend: kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME,
            value: message.pointee.payload.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: message.pointee.len)) } ?? [])
    }
}

/// Errors that the library reports between records, until the reader's thread hands them on.
final class PendingErrors: Sendable {
    private let errors = Mutex<[KafkaError]>([])
    func add(_ error: KafkaError) { errors.withLock { if $0.count < 100 { $0.append(error) } } }
    func take() -> [KafkaError] {
        errors.withLock { errors in
            defer { errors = [] }
            return errors
        }
    }
}
