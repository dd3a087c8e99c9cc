import Dispatch
import Synchronization

/// All partitions of the embedded broker's topic, and who waits for records of them.
final class BrokerLog: Sendable {
    struct Wanted {
        var partition: Int32
        var offset: Int64
        var limit_bytes: Int
    }

    struct Found {
        var partition: Int32
        var error = WireError.none
        var end: Int64 = -1
        var batches: [[UInt8]] = []
    }

    private struct State {
        var partitions: [PartitionBatches]
        var waiters: [Int: Waiter] = [:]
        var lastWaiter = 0
        var isClosed = false
        var nextProduceIsRefused = false
    }

    /// Somebody who waits for as many bytes as are left, of these partitions.
    private struct Waiter {
        let partitions: Set<Int32>
        var left_bytes: Int
        let bell: DispatchSemaphore
    }

    let count: Int
    private let state: Mutex<State>
    /// What is kept of each partition.
    static let partition_bytes = 5 << 20

    init(partitions: Int) {
        count = partitions
        state = Mutex(State(partitions: Array(repeating: PartitionBatches(limit_bytes: Self.partition_bytes), count: partitions)))
    }

    func append(_ batch: ArraySlice<UInt8>, to partition: Int32) throws(WireError) -> Int64 {
        try state.withLock { state throws(WireError) in
            guard state.partitions.indices.contains(Int(partition)) else { throw .unknownTopicOrPartition }
            if state.nextProduceIsRefused {
                state.nextProduceIsRefused = false
                throw .outOfOrderSequence
            }
            let first = try state.partitions[Int(partition)].append(batch)
            for (number, waiter) in state.waiters where waiter.partitions.contains(partition) {
                state.waiters[number]?.left_bytes -= batch.count
                if waiter.left_bytes <= batch.count { state.waiters.removeValue(forKey: number)?.bell.signal() }
            }
            return first
        }
    }

    /// What there is from each place on, as soon as it is `atLeast` bytes, or something cannot be read, or after `wait`.
    func read(_ wanted: [Wanted], atLeast: Int, wait: Duration) -> [Found] {
        let bell = DispatchSemaphore(value: 0)
        let number: Int? = state.withLock { state in
            var left = atLeast
            for one in wanted {
                guard let partition = state.partitions.at(one.partition), (partition.start...partition.end).contains(one.offset) else { return nil }
                left -= partition.waiting(from: one.offset, enough: left)
                if left <= 0 { return nil }
            }
            guard wait > .zero, !state.isClosed else { return nil }
            state.lastWaiter += 1
            state.waiters[state.lastWaiter] = Waiter(partitions: Set(wanted.map(\.partition)), left_bytes: left, bell: bell)
            return state.lastWaiter
        }
        if number != nil { _ = bell.wait(timeout: .now() + .milliseconds(Int(wait.milliseconds))) }
        return state.withLock { state in
            if let number { state.waiters[number] = nil }
            return wanted.map { state.partitions.found($0) }
        }
    }

    /// The first offset and the end of a partition.
    func bounds(of partition: Int32) -> (start: Int64, end: Int64)? {
        state.withLock { $0.partitions.at(partition).map { ($0.start, $0.end) } }
    }

    func refuseNextProduce() { state.withLock { $0.nextProduceIsRefused = true } }

    /// Nobody waits any more.
    func close() {
        state.withLock { state in
            state.isClosed = true
            for waiter in state.waiters.values { waiter.bell.signal() }
            state.waiters = [:]
        }
    }
}

extension [PartitionBatches] {
    fileprivate func at(_ partition: Int32) -> PartitionBatches? { indices.contains(Int(partition)) ? self[Int(partition)] : nil }

    fileprivate func found(_ wanted: BrokerLog.Wanted) -> BrokerLog.Found {
        guard let partition = at(wanted.partition) else { return .init(partition: wanted.partition, error: .unknownTopicOrPartition) }
        guard let batches = partition.read(from: wanted.offset, limit_bytes: wanted.limit_bytes) else {
            return .init(partition: wanted.partition, error: .offsetOutOfRange, end: partition.end)
        }
        return .init(partition: wanted.partition, end: partition.end, batches: batches)
    }
}
