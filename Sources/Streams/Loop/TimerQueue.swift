/// Names a timer of one loop.
public struct TimerID: Hashable, Sendable {
    let number: UInt64
}

/// Work that is due later. Time is an argument; equal moments fire in the order they were scheduled.
struct TimerQueue {
    private struct Entry {
        var due: Moment
        var id: TimerID
        func isBefore(_ other: Entry) -> Bool { due == other.due ? id.number < other.id.number : due < other.due }
    }

    /// A binary heap, smallest first. Cancelled entries stay until they surface or outnumber the living.
    private var heap: [Entry] = []
    private var work: [TimerID: () -> Void] = [:]
    private var last: UInt64 = 0

    var count: Int { work.count }

    mutating func schedule(at due: Moment, _ work: @escaping () -> Void) -> TimerID {
        last += 1
        let id = TimerID(number: last)
        self.work[id] = work
        heap.append(Entry(due: due, id: id))
        siftUp(heap.count - 1)
        return id
    }

    mutating func cancel(_ id: TimerID) {
        guard work.removeValue(forKey: id) != nil, heap.count > 64, heap.count > 2 * work.count else { return }
        heap = heap.filter { work[$0.id] != nil }.sorted { $0.isBefore($1) }
    }

    /// When the next timer is due; nil with none.
    mutating func next() -> Moment? {
        while let top = heap.first, work[top.id] == nil { removeTop() }
        return heap.first?.due
    }

    /// Takes one timer that is due at `now` out of the queue.
    mutating func popDue(_ now: Moment) -> (() -> Void)? {
        guard let due = next(), due <= now, let top = heap.first else { return nil }
        removeTop()
        return work.removeValue(forKey: top.id)
    }

    private mutating func removeTop() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        siftDown(0)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0, heap[child].isBefore(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].isBefore(heap[least]) { least = child }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
