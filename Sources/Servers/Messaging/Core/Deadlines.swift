/// What is due when: a binary heap. What has become pointless is not taken out; whoever gets it finds that out.
struct Deadlines<Alarm> {
    private var heap: [(due_ms: Int64, alarm: Alarm)] = []

    var next_ms: Int64? { heap.first?.due_ms }
    var count: Int { heap.count }

    mutating func add(_ alarm: Alarm, at due_ms: Int64) {
        heap.append((due_ms, alarm))
        var child = heap.count - 1
        while child > 0, heap[child].due_ms < heap[(child - 1) / 2].due_ms {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// The earliest alarm that is due at `now_ms`.
    mutating func popDue(_ now_ms: Int64) -> Alarm? {
        guard let first = heap.first, first.due_ms <= now_ms else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        return first.alarm
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].due_ms < heap[least].due_ms { least = child }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
