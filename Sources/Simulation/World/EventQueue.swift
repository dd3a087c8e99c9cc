/// What is to happen, by time; of equal times what was put in first comes first.
struct EventQueue<Event> {
    private struct Entry {
        var time_us: Int64
        var number: UInt64
        var event: Event
    }

    private var heap: [Entry] = []
    /// What came in the order of time: most are heartbeats, each put in as long before it is due as the others.
    private var line: [Entry] = []
    /// Of `line`, how many are gone.
    private var gone = 0
    private var number: UInt64 = 0

    var nextTime_us: Int64? {
        guard gone < line.count else { return heap.first?.time_us }
        return heap.first.map { min($0.time_us, line[gone].time_us) } ?? line[gone].time_us
    }

    /// - Parameter isLast: whether it is likely to come after everything that was put in so before.
    mutating func put(_ event: Event, at time_us: Int64, isLast: Bool = false) {
        number += 1
        let entry = Entry(time_us: time_us, number: number, event: event)
        guard isLast, gone == line.count || line[line.count - 1].time_us <= time_us else { return putInHeap(entry) }
        if gone == line.count || gone > 4_096 {
            line.removeFirst(gone)
            gone = 0
        }
        line.append(entry)
    }

    private mutating func putInHeap(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard Self.isBefore(entry, heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    mutating func takeNext() -> (time_us: Int64, event: Event)? {
        guard gone < line.count, heap.isEmpty || Self.isBefore(line[gone], heap[0]) else { return takeFromHeap() }
        gone += 1
        return (line[gone - 1].time_us, line[gone - 1].event)
    }

    private mutating func takeFromHeap() -> (time_us: Int64, event: Event)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return (first.time_us, first.event) }
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, Self.isBefore(heap[child + 1], heap[child]) { child += 1 }
            guard Self.isBefore(heap[child], last) else { break }
            heap[hole] = heap[child]
            hole = child
        }
        heap[hole] = last
        return (first.time_us, first.event)
    }

    /// Puts everything off.
    mutating func putOff(by delay_us: Int64) {
        for index in heap.indices { heap[index].time_us += delay_us }
        for index in line.indices { line[index].time_us += delay_us }
    }

    private static func isBefore(_ a: Entry, _ b: Entry) -> Bool { a.time_us == b.time_us ? a.number < b.number : a.time_us < b.time_us }
}
