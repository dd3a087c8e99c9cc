import CRdkafka
import Synchronization

/// One idempotent producer of the library, for the partitions of its share.
final class ProducerShard: Sendable {
    private enum Life: Equatable { case open, flushing, discarding }

    private let embedded: Bool
    private let topic: TopicHandle
    private let queue: QueueHandle
    private let life = Mutex(Life.open)
    private let messages = Atomic(0)
    private let bytes = Atomic(0)

    init(_ configuration: KafkaConfiguration, topic name: String, onLog: (@Sendable (LibraryLogLine) -> Void)?) throws(KafkaError) {
        var callbacks = Callbacks()
        if let onLog { callbacks.onLog = onLog }
        let client = try Handle(
            RD_KAFKA_PRODUCER, configuration, role: .producer, callbacks: callbacks, events: RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR)
        embedded = configuration.embedded
        topic = try TopicHandle(client, name)
        queue = QueueHandle(main: client)
    }

    /// Starts the thread that reports; called once.
    func run(onReports: @escaping @Sendable ([DeliveryReport]) -> Void, onFatal: @escaping @Sendable (KafkaError) -> Void) {
        startThread("kafka-producer") { [self] in report(onReports, onFatal) }
    }

    func produce(_ value: [UInt8], to partition: Int32, token: UInt64, time_ms: Int64?) throws(KafkaError) {
        guard life.withLock({ $0 == .open }) else { throw KafkaError(.closed, "producer of \(topic.name)", remedy: KafkaError.Code.closed.remedy) }
        // Counted first: the report may come before the call returns.
        messages.add(1, ordering: .relaxed)
        bytes.add(value.count, ordering: .relaxed)
        let result = value.withUnsafeBytes {
            cell_kafka_produce(topic.client.pointer, topic.pointer, partition, $0.baseAddress, $0.count, time_ms ?? 0, token)
        }
        guard result != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        forget(value.count)
        if result == RD_KAFKA_RESP_ERR__FATAL, let fatal = topic.client.fatalError { throw fatal }
        throw KafkaError(result, "message of \(value.count) bytes to \(topic.name) [\(partition)]")
    }

    func metadata(until_ms: Int64) throws(KafkaError) -> TopicMetadata {
        try TopicMetadata.ask(topic, timeout_ms: Int32(clamping: max(1, until_ms - monotonic_ms())))
    }

    var queued: Producer.Queued { Producer.Queued(messages: messages.load(ordering: .relaxed), bytes: bytes.load(ordering: .relaxed)) }

    func close(discarding: Bool) {
        life.withLock { if $0 != .discarding { $0 = discarding ? .discarding : .flushing } }
        if discarding {
            rd_kafka_purge(topic.client.pointer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING)
        }
        queue.wake()
    }
}

// Its own thread.
extension ProducerShard {
    private static let flush_ms: Int64 = 30_000

    private func report(_ onReports: ([DeliveryReport]) -> Void, _ onFatal: (KafkaError) -> Void) {
        var fatalTold = false
        var flushUntil_ms: Int64?
        while true {
            let wait: Int32 = flushUntil_ms == nil ? 1000 : 20
            if let event = rd_kafka_queue_poll(queue.pointer, wait) {
                defer { rd_kafka_event_destroy(event) }
                switch life.withLock({ $0 }) {
                case .discarding: return
                case .open, .flushing: handle(event, &fatalTold, onReports, onFatal)
                }
            }
            switch life.withLock({ $0 }) {
            case .open: continue
            case .discarding: return
            case .flushing:
                let now = monotonic_ms()
                let end = flushUntil_ms ?? now + Self.flush_ms
                flushUntil_ms = end
                if messages.load(ordering: .relaxed) == 0 || now >= end { return }
            }
        }
    }

    private func handle(
        _ event: OpaquePointer, _ fatalTold: inout Bool, _ onReports: ([DeliveryReport]) -> Void, _ onFatal: (KafkaError) -> Void
    ) {
        switch rd_kafka_event_type(event) {
        case RD_KAFKA_EVENT_DR:
            let reports = reports(in: event)
            if !reports.isEmpty { onReports(reports) }
        case RD_KAFKA_EVENT_ERROR where rd_kafka_event_error_is_fatal(event) != 0 && !fatalTold:
            fatalTold = true
            onFatal(topic.client.fatalError ?? KafkaError(.fatal, "producer of \(topic.name)", remedy: KafkaError.Code.fatal.remedy))
        default:
            // Brokers that go and come: the library tries again, and says so in its log.
            break
        }
    }

    private func reports(in event: OpaquePointer) -> [DeliveryReport] {
        let count = rd_kafka_event_message_count(event)
        let messages = [UnsafePointer<rd_kafka_message_t>?](unsafeUninitializedCapacity: count) { buffer, used in
            used = rd_kafka_event_message_array(event, buffer.baseAddress, count)
        }
        return messages.compactMap { message in message.map { report($0) } }
    }

    private func report(_ message: UnsafePointer<rd_kafka_message_t>) -> DeliveryReport {
        forget(message.pointee.len)
        var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let time_ms = rd_kafka_message_timestamp(message, &kind)
        let failed = message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR
        return DeliveryReport(
            token: UInt64(UInt(bitPattern: message.pointee._private)), partition: message.pointee.partition,
            offset: failed || message.pointee.offset < 0 ? nil : message.pointee.offset,
            time_ms: !failed && !embedded && kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME && time_ms > 0 ? time_ms : nil,
            error: failed ? KafkaError(message.pointee.err, "message to \(topic.name) [\(message.pointee.partition)]") : nil)
    }

    private func forget(_ size: Int) {
        messages.subtract(1, ordering: .relaxed)
        bytes.subtract(size, ordering: .relaxed)
    }
}
