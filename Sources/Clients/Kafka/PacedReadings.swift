/// Which of two readers of one log, a prompt and a relaxed one, reads each partition.
///
/// A partition goes from one to the other without a break: the new one begins, and the old one is stopped once the new one has told something. Until
/// then both hand over what they read, each in order and without a hole: whoever takes it skips what is below its position.
/// Pure.
struct PacedReadings {
    /// For one of the readers.
    struct Order: Equatable {
        var pace: LogReader.Pace
        var partition: Int32
        /// Where to start; nil: stop.
        var offset: Int64?
    }

    private struct Part {
        /// Who reads it; nil: it is being stopped.
        var reader: LogReader.Pace?
        /// Who goes on until `reader` has told something.
        var predecessor: LogReader.Pace?
        /// Stops that were ordered and not confirmed.
        var stops = 0
    }
    private var parts: [Int32: Part] = [:]

    /// Begins to read; a partition that is being read begins again there.
    mutating func start(_ partition: Int32, at offset: Int64, _ pace: LogReader.Pace) -> [Order] {
        var part = parts[partition] ?? Part()
        var orders: [Order] = []
        if let reader = part.reader, reader != pace {
            orders.append(Order(pace: reader, partition: partition))
            part.stops += 1
        }
        if part.predecessor == pace { part.predecessor = nil }
        part.reader = pace
        parts[partition] = part
        return orders + [Order(pace: pace, partition: partition, offset: offset)]
    }

    /// Lets it be read at this pace from `position` on, which is what its taker expects next. One that is not read is nothing.
    mutating func change(_ partition: Int32, to pace: LogReader.Pace, from position: Int64) -> [Order] {
        guard var part = parts[partition], let reader = part.reader, reader != pace else { return [] }
        defer { parts[partition] = part }
        part.reader = pace
        guard part.predecessor == pace else {
            part.predecessor = reader
            return [Order(pace: pace, partition: partition, offset: position)]
        }
        // It still reads: only its successor has to go.
        part.predecessor = nil
        part.stops += 1
        return [Order(pace: reader, partition: partition)]
    }

    /// Ends it; `.stopped` comes once, when no reader has anything left to tell.
    mutating func stop(_ partition: Int32) -> [Order] {
        guard var part = parts[partition], let reader = part.reader else { return [] }
        let readers = [reader, part.predecessor].compactMap { $0 }
        part.stops += readers.count
        (part.reader, part.predecessor) = (nil, nil)
        parts[partition] = part
        return readers.map { Order(pace: $0, partition: partition) }
    }

    /// - Returns: what a reader told, less what is its own affair; and the orders that follow from it.
    mutating func sift(_ events: [LogEvent], from pace: LogReader.Pace) -> (events: [LogEvent], orders: [Order]) {
        var orders: [Order] = []
        let passed = events.filter { event in
            switch event {
            case .record(let record): arrived(record.partition, from: pace, &orders)
            case .caughtUp(let partition, _): arrived(partition, from: pace, &orders)
            case .failed(let partition, _): failed(partition, from: pace, &orders)
            case .stopped(let partition): stopped(partition)
            case .error: true
            }
        }
        return (passed, orders)
    }

    private mutating func arrived(_ partition: Int32, from pace: LogReader.Pace, _ orders: inout [Order]) -> Bool {
        guard let part = parts[partition], part.reader != nil else { return false }
        // Also of a reader that is being stopped: it may be wanted again before it obeys, and what follows must follow what it told here.
        if part.reader == pace { dismissPredecessor(partition, &orders) }
        return true
    }

    private mutating func failed(_ partition: Int32, from pace: LogReader.Pace, _ orders: inout [Order]) -> Bool {
        guard parts[partition]?.reader != pace else { return true }
        // It may have been started again since it told so.
        if parts[partition]?.predecessor == pace { dismissPredecessor(partition, &orders) }
        return false
    }

    private mutating func dismissPredecessor(_ partition: Int32, _ orders: inout [Order]) {
        guard let predecessor = parts[partition]?.predecessor else { return }
        orders.append(Order(pace: predecessor, partition: partition))
        parts[partition]?.predecessor = nil
        parts[partition]?.stops += 1
    }

    private mutating func stopped(_ partition: Int32) -> Bool {
        guard var part = parts[partition], part.stops > 0 else { return false }
        part.stops -= 1
        let isOver = part.reader == nil && part.stops == 0
        parts[partition] = isOver ? nil : part
        return isOver
    }
}
