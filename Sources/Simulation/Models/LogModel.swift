import Cell

/// The cell's log: how far each partition has been written. Only probes are, since nothing else depends on what lies in it.
struct LogModel {
    private(set) var ends: [Int64]
    /// One more with each write.
    private(set) var version = 0
    /// As reports name them.
    let names: [String]

    init(partitions: Int) {
        ends = Array(repeating: 0, count: partitions)
        names = (0..<partitions).map { "\($0)" }
    }

    /// - Returns: the record's offset.
    mutating func append(to partition: Partition) -> Int64 {
        let number = Int(partition.number)
        version += 1
        ends[number] += 1
        return ends[number] - 1
    }
}
