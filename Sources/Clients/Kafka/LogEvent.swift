/// One record of a partition's log.
public struct LogRecord: Sendable, Equatable {
    public var partition: Int32
    public var offset: Int64
    /// Milliseconds since 1970. See `timeIsLogAppend`.
    public var time_ms: Int64
    /// True when the broker set the time as it appended; false when the producer wrote it, as on the embedded broker.
    public var timeIsLogAppend: Bool
    public var value: [UInt8]

    public init(partition: Int32, offset: Int64, time_ms: Int64, timeIsLogAppend: Bool, value: [UInt8]) {
        self.partition = partition
        self.offset = offset
        self.time_ms = time_ms
        self.timeIsLogAppend = timeIsLogAppend
        self.value = value
    }
}

/// What a reader has to tell, in order for each partition.
public enum LogEvent: Sendable, Equatable {
    case record(LogRecord)
    /// The reader has handed over everything below `next`, which is the log's end at this moment. Told each time the end is reached.
    case caughtUp(partition: Int32, next: Int64)
    /// The partition is not read any more: its log does not hold what was asked for, or its offsets jump. Start it again where it makes sense.
    case failed(partition: Int32, KafkaError)
    /// `stop` has been obeyed: nothing of this partition follows until it is started again.
    case stopped(partition: Int32)
    /// Something hinders the reader for the moment; it goes on by itself.
    case error(KafkaError)
}
