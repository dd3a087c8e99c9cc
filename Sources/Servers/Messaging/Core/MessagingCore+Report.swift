import Cell

/// What the operator is to know.
extension MessagingCore {
    /// Partitions that this server could own at once.
    var warm: PartitionSet { PartitionSet(partitions.values.filter { $0.isWarm && $0.role != .none }.map(\.partition)) }

    /// Partitions that it leaves, and that no stream is left of.
    var left: PartitionSet { PartitionSet(partitions.values.filter { $0.role == .leaves && $0.listeners.isEmpty }.map(\.partition)) }

    /// The next offset that it will read, by partition number.
    var positions: [String: Int64] {
        Dictionary(uniqueKeysWithValues: partitions.values.compactMap { partition in partition.position.map { (partition.partition.description, $0) } })
    }

    /// Of each partition its streams, and its messages since its reading began.
    var tallies: [PartitionLoads.Load] {
        partitions.values.filter { $0.streams > 0 || $0.messages > 0 }.map { .init($0.partition, streams: $0.streams, messages: $0.messages) }
    }

    /// Why this server is not ready; empty when it is.
    var waitsFor: String { canProduce ? "" : "the log takes no records from this server yet" }
}
