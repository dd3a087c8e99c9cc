import CRdkafka

#if canImport(Glibc)
    import Glibc
#endif

/// Owns an `rd_kafka_topic_t`; keeps the client alive, which the library demands.
final class TopicHandle: Sendable {
    // May be used from every thread.
    nonisolated(unsafe) let pointer: OpaquePointer
    let client: Handle
    let name: String

    init(_ client: Handle, _ name: String) throws(KafkaError) {
        guard let pointer = rd_kafka_topic_new(client.pointer, name, nil) else {
            throw KafkaError(rd_kafka_last_error(), "topic \(name)")
        }
        self.pointer = pointer
        self.client = client
        self.name = name
    }

    deinit { rd_kafka_topic_destroy(pointer) }
}

/// Owns an `rd_kafka_queue_t`; keeps the client alive, which the library demands.
final class QueueHandle: Sendable {
    // May be used from every thread.
    nonisolated(unsafe) let pointer: OpaquePointer
    let client: Handle

    /// The client's own queue, of reports and errors.
    init(main client: Handle) {
        pointer = rd_kafka_queue_get_main(client.pointer)
        self.client = client
    }

    /// Nil when the client is no member of a group.
    init?(consumer client: Handle) {
        guard let pointer = rd_kafka_queue_get_consumer(client.pointer) else { return nil }
        self.pointer = pointer
        self.client = client
    }

    init(new client: Handle) {
        pointer = rd_kafka_queue_new(client.pointer)
        self.client = client
    }

    /// Makes whoever waits on the queue look up.
    func wake() { rd_kafka_queue_yield(pointer) }

    deinit { rd_kafka_queue_destroy(pointer) }
}

/// An `rd_kafka_topic_partition_list_t`, owned or borrowed for the length of a callback.
final class PartitionList {
    let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>
    private let owned: Bool

    init(_ topic: String, _ partitions: some Sequence<(partition: Int32, offset: Int64)>) {
        pointer = rd_kafka_topic_partition_list_new(0)
        owned = true
        for (partition, offset) in partitions { rd_kafka_topic_partition_list_add(pointer, topic, partition).pointee.offset = offset }
    }

    init(borrowing pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) {
        self.pointer = pointer
        owned = false
    }

    var elements: UnsafeMutableBufferPointer<rd_kafka_topic_partition_t> {
        UnsafeMutableBufferPointer(start: pointer.pointee.elems, count: Int(pointer.pointee.cnt))
    }

    var partitions: [Int32] { elements.map(\.partition) }

    deinit { if owned { rd_kafka_topic_partition_list_destroy(pointer) } }
}

extension rd_kafka_topic_partition_t {
    /// The metadata of a committed offset.
    var note: String {
        guard let metadata, metadata_size > 0 else { return "" }
        return String(decoding: UnsafeRawBufferPointer(start: metadata, count: metadata_size), as: UTF8.self)
    }
    /// The list frees it with malloc's own free.
    mutating func setNote(_ note: String) {
        free(metadata)
        metadata = UnsafeMutableRawPointer(strdup(note))
        metadata_size = note.utf8.count
    }
}
