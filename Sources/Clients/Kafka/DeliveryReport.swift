/// What became of one message.
public struct DeliveryReport: Sendable, Equatable {
    /// What `produce` was given.
    public var token: UInt64
    public var partition: Int32
    /// Nil when the library does not know it, as when a broker called a retry a repetition. Mostly it is one; a leader that is new may have heard of later
    /// messages of this producer first, and then this one is lost. So whoever promises anything sends it again.
    public var offset: Int64?
    /// The broker's LogAppendTime in milliseconds; nil when the library only has the producer's own time, and on the embedded broker.
    public var time_ms: Int64?
    /// Nil when the message is in the log on every replica in sync, as far as its offset is known.
    public var error: KafkaError?

    public init(token: UInt64, partition: Int32, offset: Int64?, time_ms: Int64?, error: KafkaError? = nil) {
        self.token = token
        self.partition = partition
        self.offset = offset
        self.time_ms = time_ms
        self.error = error
    }
}
