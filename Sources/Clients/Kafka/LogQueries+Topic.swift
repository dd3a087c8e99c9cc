import CRdkafka

/// A topic to be made.
public struct NewTopic: Sendable, Equatable {
    public var partitions: Int32
    public var replicationFactor: Int32
    /// Kafka's names, such as `retention.ms`.
    public var configuration: [String: String]

    public init(partitions: Int32, replicationFactor: Int32, configuration: [String: String] = [:]) {
        self.partitions = partitions
        self.replicationFactor = replicationFactor
        self.configuration = configuration
    }
}

// The topic itself.
extension LogQueries {
    /// - Throws: `.unknownTopicOrPartition` when there is no such topic.
    public func metadata(timeout: Duration = .seconds(5)) async throws -> TopicMetadata {
        try await administer { [topic] () throws(KafkaError) in try TopicMetadata.ask(topic, timeout_ms: timeout.milliseconds) }
    }

    /// Makes the topic; for a moment afterwards brokers may still call it unknown. The embedded broker makes its topics itself and does not answer this.
    ///
    /// - Throws: `.topicExists`, `.invalidTopic`, `.invalidReplication` and what the cluster says.
    public func createTopic(_ new: NewTopic, timeout: Duration = .seconds(15)) async throws {
        try await administer { [topic] () throws(KafkaError) in try topic.create(new, timeout_ms: timeout.milliseconds) }
    }

    /// Every property of the topic with the value that is in force, by Kafka's names.
    public func topicConfiguration(timeout: Duration = .seconds(5)) async throws -> [String: String] {
        try await administer { [topic] () throws(KafkaError) in try topic.configuration(timeout_ms: timeout.milliseconds) }
    }

    /// Deletes the topic with all that is in it.
    ///
    /// - Throws: `.unknownTopicOrPartition` when there is no such topic.
    public func deleteTopic(timeout: Duration = .seconds(15)) async throws {
        try await administer { [topic] () throws(KafkaError) in try topic.delete(timeout_ms: timeout.milliseconds) }
    }
}

// Requests of administration; each blocks until it is answered.
extension TopicHandle {
    fileprivate func create(_ new: NewTopic, timeout_ms: Int32) throws(KafkaError) {
        var text = [CChar](repeating: 0, count: 512)
        guard let request = rd_kafka_NewTopic_new(name, new.partitions, new.replicationFactor, &text, text.count) else {
            throw KafkaError(.invalidTopic, "topic \(name): \(text.text)", remedy: KafkaError.Code.invalidTopic.remedy)
        }
        defer { rd_kafka_NewTopic_destroy(request) }
        for (key, value) in new.configuration.sorted(by: { $0.key < $1.key }) { rd_kafka_NewTopic_set_config(request, key, value) }
        let event = try answer(RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms) { options, queue in
            var requests: [OpaquePointer?] = [request]
            rd_kafka_CreateTopics(client.pointer, &requests, 1, options, queue)
        }
        defer { rd_kafka_event_destroy(event) }
        var count = 0
        let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
        try check(UnsafeBufferPointer(start: results, count: count))
    }

    fileprivate func delete(timeout_ms: Int32) throws(KafkaError) {
        guard let request = rd_kafka_DeleteTopic_new(name) else { throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, "topic \(name)") }
        defer { rd_kafka_DeleteTopic_destroy(request) }
        let event = try answer(RD_KAFKA_ADMIN_OP_DELETETOPICS, timeout_ms) { options, queue in
            var requests: [OpaquePointer?] = [request]
            rd_kafka_DeleteTopics(client.pointer, &requests, 1, options, queue)
        }
        defer { rd_kafka_event_destroy(event) }
        var count = 0
        let results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count)
        try check(UnsafeBufferPointer(start: results, count: count))
    }

    fileprivate func configuration(timeout_ms: Int32) throws(KafkaError) -> [String: String] {
        guard let request = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name) else {
            throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, "topic \(name)")
        }
        defer { rd_kafka_ConfigResource_destroy(request) }
        let event = try answer(RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms) { options, queue in
            var requests: [OpaquePointer?] = [request]
            rd_kafka_DescribeConfigs(client.pointer, &requests, 1, options, queue)
        }
        defer { rd_kafka_event_destroy(event) }
        var count = 0
        guard let found = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count), count > 0,
            let resource = found[0]
        else { throw KafkaError(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, "configuration of \(name)") }
        let number = rd_kafka_ConfigResource_error(resource)
        guard number == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(number, "configuration of \(name)") }
        let entries = UnsafeBufferPointer(start: rd_kafka_ConfigResource_configs(resource, &count), count: count)
        let pairs = entries.map { (String(cString: rd_kafka_ConfigEntry_name($0)), rd_kafka_ConfigEntry_value($0).map { String(cString: $0) } ?? "") }
        return Dictionary(pairs) { $1 }
    }

    /// Sends a request and waits for its event, which the caller destroys.
    private func answer(
        _ operation: rd_kafka_admin_op_t, _ timeout_ms: Int32, _ send: (_ options: OpaquePointer?, _ queue: OpaquePointer) -> Void
    ) throws(KafkaError) -> OpaquePointer {
        let options = rd_kafka_AdminOptions_new(client.pointer, operation)
        defer { rd_kafka_AdminOptions_destroy(options) }
        var text = [CChar](repeating: 0, count: 128)
        rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, &text, text.count)
        // Describing knows no time for the operation and refuses it, which changes nothing.
        rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, &text, text.count)
        let queue = QueueHandle(new: client)
        send(options, queue.pointer)
        guard let event = rd_kafka_queue_poll(queue.pointer, timeout_ms + 1000) else {
            throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, "topic \(name)")
        }
        let number = rd_kafka_event_error(event)
        guard number == RD_KAFKA_RESP_ERR_NO_ERROR else {
            defer { rd_kafka_event_destroy(event) }
            throw KafkaError(number, "topic \(name)", detail: rd_kafka_event_error_string(event).map { String(cString: $0) })
        }
        return event
    }

    private func check(_ results: UnsafeBufferPointer<OpaquePointer?>) throws(KafkaError) {
        for result in results {
            let number = rd_kafka_topic_result_error(result)
            guard number != RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
            throw KafkaError(number, "topic \(name)", detail: rd_kafka_topic_result_error_string(result).map { String(cString: $0) })
        }
    }
}
