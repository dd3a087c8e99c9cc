/// Where each partition is to be read next, and what a record's offset means for it.
///
/// The log has no transactions and is not compacted, so offsets are consecutive. A jump is read once again, then it is real.
/// Pure.
struct ReadingPositions: Equatable {
    enum Step: Equatable {
        case deliver
        /// Below what was already handed over, or of a partition that is not read.
        case skip
        /// The first sight of a jump: read again from here.
        case reread(from: Int64)
        /// The same jump again.
        case jump(expected: Int64)
    }

    private struct Place: Equatable {
        /// Nil until the first record, when reading began at whatever is oldest.
        var next: Int64?
        var rereadFrom: Int64?
    }
    private var places: [Int32: Place] = [:]

    mutating func start(_ partition: Int32, at offset: Int64?) { places[partition] = Place(next: offset) }
    mutating func stop(_ partition: Int32) { places[partition] = nil }
    mutating func removeAll() { places = [:] }

    func isReading(_ partition: Int32) -> Bool { places[partition] != nil }

    /// The offset of the record that is to come; nil when it is not read or not known yet.
    func next(of partition: Int32) -> Int64? { places[partition]?.next }

    /// Every partition that is read and whose place is known.
    var all: [Int32: Int64] { places.compactMapValues(\.next) }

    /// The partitions that are read, in order.
    var partitions: [Int32] { places.keys.sorted() }

    /// A record has come.
    mutating func record(_ partition: Int32, offset: Int64) -> Step {
        let step = arrival(partition, at: offset)
        if step == .deliver { places[partition] = Place(next: offset + 1) }
        return step
    }

    /// The log's end has been reported as `offset`. `.deliver` means that everything below it was handed over.
    mutating func end(_ partition: Int32, offset: Int64) -> Step {
        let step = arrival(partition, at: offset)
        if step == .deliver { places[partition] = Place(next: offset) }
        return step
    }

    private mutating func arrival(_ partition: Int32, at offset: Int64) -> Step {
        guard let place = places[partition] else { return .skip }
        guard let next = place.next, offset != next else { return .deliver }
        if offset < next { return .skip }
        if place.rereadFrom == next { return .jump(expected: next) }
        places[partition]?.rereadFrom = next
        return .reread(from: next)
    }
}
