import CRdkafka

/// A place in a log that has to be looked up.
enum LogPoint: Hashable, Sendable {
    case start, end
    case time_ms(Int64)

    /// As a request for offsets by time names it.
    var timestamp: Int64 {
        switch self {
        case .start: Int64(RD_KAFKA_OFFSET_BEGINNING)
        case .end: Int64(RD_KAFKA_OFFSET_END)
        case .time_ms(let time): max(0, time)
        }
    }

    /// Below this no answer can be.
    var lowest: Int64 {
        switch self {
        case .start, .end: 0
        case .time_ms: -1
        }
    }
}

/// A question for offsets and whom to answer.
struct OffsetQuestion: Refusable {
    var point: LogPoint
    var partitions: [Int32]
    var until_ms: Int64
    var answer: @Sendable (Result<PartitionOffsets, any Error>) -> Void

    init(point: LogPoint, partitions: [Int32], until_ms: Int64, answer: @escaping @Sendable (Result<PartitionOffsets, any Error>) -> Void) {
        self.point = point
        self.partitions = partitions
        self.until_ms = until_ms
        self.answer = answer
    }

    func fail(_ error: KafkaError) { answer(.failure(error)) }

    /// Answers questions that waited at the same time: one lookup for each point, of all their partitions.
    static func answer(_ questions: [OffsetQuestion], _ topic: TopicHandle) {
        let lookup = OffsetLookup(topic: topic)
        for (point, group) in Dictionary(grouping: questions, by: \.point) {
            let partitions = Set(group.flatMap(\.partitions)).sorted()
            let found = lookup.offsets(point, partitions, until_ms: group.map(\.until_ms).max() ?? 0)
            for question in group { question.answer(.success(found.only(question.partitions))) }
        }
    }
}

extension PartitionOffsets {
    func only(_ partitions: [Int32]) -> PartitionOffsets {
        var some = PartitionOffsets()
        for partition in partitions {
            some.offsets[partition] = offsets[partition]
            some.errors[partition] = errors[partition]
        }
        return some
    }
}
