/// What Kafka or its client refused: where, what, and what to do next.
public struct KafkaError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable, CaseIterable {
        /// A property is not one of those allowed, or its value is refused by the library.
        case configuration
        /// The producer's own queue is full; nothing was enqueued.
        case queueFull
        case messageTooLarge
        case timedOut
        /// No broker, or not the one that is needed, can be reached at the moment.
        case unreachable
        case authentication
        case authorization
        case unknownTopicOrPartition
        case topicExists
        case invalidTopic
        case invalidReplication
        /// The log does not hold that offset: it was truncated, made again, or has aged past it.
        case offsetOutOfRange
        /// Offsets are consecutive by design, and still jumped after a second read.
        case offsetJump
        case notLeader
        case notEnoughReplicas
        /// The consumer group has moved on without this member.
        case groupChanged
        /// Thrown away by `close(discarding: true)`; whether it is in the log is unknown.
        case purged
        /// The idempotent producer cannot keep its promise any more: replace it.
        case fatal
        case closed
        case portTaken
        case other
    }

    public let code: Code
    /// What happened, with the value and the limit it broke.
    public let what: String
    public let remedy: String
    /// librdkafka's or Kafka's number; nil when the error is this module's own.
    public let number: Int32?

    public init(_ code: Code, _ what: String, remedy: String, number: Int32? = nil) {
        self.code = code
        self.what = what
        self.remedy = remedy
        self.number = number
    }

    public var isFatal: Bool { code == .fatal }

    /// Whether the same call may succeed later with nothing changed but the cluster's state.
    public var isRetriable: Bool {
        switch code {
        case .queueFull, .timedOut, .unreachable, .unknownTopicOrPartition, .notLeader, .notEnoughReplicas, .groupChanged: true
        case .configuration, .messageTooLarge, .authentication, .authorization, .topicExists, .invalidTopic, .invalidReplication,
            .offsetOutOfRange, .offsetJump, .purged, .fatal, .closed, .portTaken, .other:
            false
        }
    }

    public var description: String { "Kafka: \(what). \(remedy)" }
}
