/// Two readers of one topic that look like one, so that each partition is read promptly or at ease, as its taker says from time to time.
///
/// For one thread. Events of both come on threads of their own; they are to be handed to ``sift(_:from:)`` there, in their order.
public struct PacedReader {
    private let prompt: LogReader
    private let relaxed: LogReader
    private var readings = PacedReadings()

    /// - Parameter onEvents: called on the readers' own threads, perhaps both at once.
    /// - Throws: `.configuration`. A cluster that cannot be reached is no error here.
    public init(
        _ configuration: KafkaConfiguration, topic: String, onEvents: @escaping @Sendable (LogReader.Pace, [LogEvent]) -> Void
    ) throws(KafkaError) {
        prompt = try LogReader(configuration, topic: topic) { onEvents(.prompt, $0) }
        do throws(KafkaError) {
            relaxed = try LogReader(configuration, topic: topic, pace: .relaxed) { onEvents(.relaxed, $0) }
        } catch {
            prompt.close()
            throw error
        }
    }

    /// Begins reading each partition at its offset; one that is being read begins again there.
    public mutating func start(_ partitions: [Int32: (offset: Int64, pace: LogReader.Pace)]) {
        obey(partitions.sorted { $0.key < $1.key }.flatMap { readings.start($0.key, at: $0.value.offset, $0.value.pace) })
    }

    /// Reads it at this pace from now on, without a break: from `position` on, which is what is expected of it next, records may come twice for a while.
    public mutating func change(_ partition: Int32, to pace: LogReader.Pace, from position: Int64) {
        obey(readings.change(partition, to: pace, from: position))
    }

    /// Ends reading. Events that were under way may come until `.stopped` does.
    public mutating func stop(_ partition: Int32) { obey(readings.stop(partition)) }

    /// What of a reader's events is to be taken; those that only concern the two readers are done with.
    public mutating func sift(_ events: [LogEvent], from pace: LogReader.Pace) -> [LogEvent] {
        let (passed, orders) = readings.sift(events, from: pace)
        obey(orders)
        return passed
    }

    /// Ends both; returns at once. Only a batch that is being handed over at this moment still comes.
    public func close() {
        prompt.close()
        relaxed.close()
    }

    private func obey(_ orders: [PacedReadings.Order]) {
        for (pace, reader) in [(LogReader.Pace.prompt, prompt), (.relaxed, relaxed)] { reader.obey(orders.filter { $0.pace == pace }) }
    }
}

extension LogReader {
    fileprivate func obey(_ orders: [PacedReadings.Order]) {
        guard !orders.isEmpty else { return }
        command(orders.map { order in order.offset.map { .start(order.partition, at: $0) } ?? .stop(order.partition) })
    }
}
