import CRdkafka

extension KafkaError {
    /// The library's error as one of ours; `context` says what was being done, such as "topic eu-1-messages".
    init(_ number: rd_kafka_resp_err_t, _ context: String, detail: String? = nil) {
        let code = Code(number)
        let text = detail ?? String(cString: rd_kafka_err2str(number))
        self.init(code, "\(context): \(text)", remedy: code.remedy, number: number.rawValue)
    }
}

extension KafkaError.Code {
    init(_ number: rd_kafka_resp_err_t) {
        self =
            switch number {
            case RD_KAFKA_RESP_ERR__QUEUE_FULL: .queueFull
            case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: .messageTooLarge
            case RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
                RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
                .timedOut
            case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__RESOLVE, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__WAIT_COORD,
                RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
                RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
                .unreachable
            case RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__SSL, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
                RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
                .authentication
            case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
                RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
                .authorization
            case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
                .unknownTopicOrPartition
            case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: .topicExists
            case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, RD_KAFKA_RESP_ERR_INVALID_CONFIG,
                RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
                .invalidTopic
            case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT: .invalidReplication
            case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR__NO_OFFSET: .offsetOutOfRange
            case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
                RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
                RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
                .notLeader
            case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, RD_KAFKA_RESP_ERR__ISR_INSUFF:
                .notEnoughReplicas
            case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
                RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
                .groupChanged
            case RD_KAFKA_RESP_ERR__PURGE_QUEUE, RD_KAFKA_RESP_ERR__PURGE_INFLIGHT: .purged
            case RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR__FENCED:
                .fatal
            case RD_KAFKA_RESP_ERR__DESTROY: .closed
            case RD_KAFKA_RESP_ERR__INVALID_ARG: .configuration
            default: .other
            }
    }

    /// What to do next, for errors that come from the cluster.
    var remedy: String {
        switch self {
        case .configuration: "Correct the property in spec.backplane.kafka"
        case .queueFull: "Send less, or wait for delivery reports"
        case .messageTooLarge: "Keep limits.bodyBytes below the topic's max.message.bytes"
        case .timedOut, .unreachable: "Check that the brokers run and that their advertised addresses can be reached from here; it is tried again"
        case .authentication: "Check security.protocol, sasl.* and ssl.* in spec.backplane.kafka"
        case .authorization: "Grant this user the right on the topic and on the consumer group"
        case .unknownTopicOrPartition: "It is used as soon as it exists; the operator creates it"
        case .topicExists: "Use it as it is, or choose another name"
        case .invalidTopic: "Correct partitions, retention or name in spec.backplane.kafka"
        case .invalidReplication: "Set replicationFactor to at most the number of brokers"
        case .offsetOutOfRange: "Ask for the log's start and end, and begin there"
        case .offsetJump: "Check that the topic is neither compacted nor written by transactions"
        case .notLeader: "The leader is looked up and it is tried again"
        case .notEnoughReplicas: "Bring brokers back until min.insync.replicas are in sync"
        case .groupChanged: "The group assigns the partitions again"
        case .purged: "Send it again; a duplicate is skipped"
        case .fatal: "Replace the producer, and send again what it had not reported"
        case .closed: "Nothing: it was closed here"
        case .portTaken: "Stop what listens there, or choose another port"
        case .other: "Look the error up in Kafka's protocol guide"
        }
    }
}
