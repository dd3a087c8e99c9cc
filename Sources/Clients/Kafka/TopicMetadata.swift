import CRdkafka

/// Who holds a topic's partitions.
public struct TopicMetadata: Sendable, Equatable {
    public struct Partition: Sendable, Equatable {
        public var number: Int32
        /// The broker that takes its records; nil while there is none.
        public var leader: Int32?
        public var replicas: [Int32]
        public var inSync: [Int32]
    }

    public struct Broker: Sendable, Equatable {
        public var number: Int32
        public var host: String
        public var port: Int32
    }

    public var topic: String
    /// In order, from 0.
    public var partitions: [Partition]
    public var brokers: [Broker]
}

extension TopicMetadata {
    /// Asks the cluster and blocks until it has answered.
    ///
    /// - Throws: `.unknownTopicOrPartition` when there is no such topic.
    static func ask(_ topic: TopicHandle, timeout_ms: Int32) throws(KafkaError) -> TopicMetadata {
        var answer: UnsafePointer<rd_kafka_metadata>?
        let result = rd_kafka_metadata(topic.client.pointer, 0, topic.pointer, &answer, timeout_ms)
        guard result == RD_KAFKA_RESP_ERR_NO_ERROR, let answer else { throw KafkaError(result, "metadata of \(topic.name)") }
        defer { rd_kafka_metadata_destroy(answer) }
        guard answer.pointee.topic_cnt > 0 else { throw KafkaError(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, "metadata of \(topic.name)") }
        let found = answer.pointee.topics[0]
        guard found.err == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(found.err, "metadata of \(topic.name)") }
        let partitions = UnsafeBufferPointer(start: found.partitions, count: Int(found.partition_cnt))
        let brokers = UnsafeBufferPointer(start: answer.pointee.brokers, count: Int(answer.pointee.broker_cnt))
        return TopicMetadata(
            topic: topic.name,
            partitions: partitions.map { Partition($0) }.sorted { $0.number < $1.number },
            brokers: brokers.map { Broker(number: $0.id, host: String(cString: $0.host), port: $0.port) }.sorted { $0.number < $1.number })
    }
}

extension TopicMetadata.Partition {
    init(_ partition: rd_kafka_metadata_partition) {
        self.init(
            number: partition.id, leader: partition.leader < 0 ? nil : partition.leader,
            replicas: Array(UnsafeBufferPointer(start: partition.replicas, count: Int(partition.replica_cnt))),
            inSync: Array(UnsafeBufferPointer(start: partition.isrs, count: Int(partition.isr_cnt))))
    }
}
