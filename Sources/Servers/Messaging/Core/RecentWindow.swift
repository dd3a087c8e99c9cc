import Cell

/// The latest records of one partition that count, each as the frame that its users get: what a resuming client is given without the history.
///
///              start                                     position
///     ── gone ──┼──────── kept, and complete ────────────┼── not read yet
struct RecentWindow {
    struct Entry {
        let offset: Int64
        /// Log time.
        let time_ms: Int64
        /// Those of the message's users that live in this partition.
        let first: UserID
        let second: UserID?
        fileprivate(set) var frame: [UInt8]

        var cost_bytes: Int { frame.count + RecentWindow.overhead_bytes }
    }

    /// An entry's own memory, its frame's header, and its places in its users' lines.
    static let overhead_bytes = 128

    /// Every record from this offset on is kept.
    private(set) var start: Int64
    private(set) var bytes = 0
    /// Entries before `head` are gone; the number of `entries[0]` is `base`.
    private var entries: [Entry] = []
    private var head = 0
    private var base = 0
    private var lines: [UserID: Line] = [:]

    /// The numbers of one user's entries.
    private struct Line {
        var numbers: [Int] = []
        var head = 0
    }

    init(start: Int64) { self.start = start }

    var count: Int { entries.count - head }
    var oldest_ms: Int64? { head < entries.count ? entries[head].time_ms : nil }

    mutating func append(_ frame: [UInt8], at offset: Int64, time_ms: Int64, for first: UserID, and second: UserID?) -> Entry {
        let entry = Entry(offset: offset, time_ms: time_ms, first: first, second: second, frame: frame)
        let number = base + entries.count
        entries.append(entry)
        bytes += entry.cost_bytes
        lines[first, default: Line()].numbers.append(number)
        if let second { lines[second, default: Line()].numbers.append(number) }
        return entry
    }

    /// The first record of `user` at or above `offset`.
    func next(for user: UserID, from offset: Int64) -> Entry? {
        guard let line = lines[user] else { return nil }
        var low = line.head
        var high = line.numbers.count
        while low < high {
            let middle = (low + high) / 2
            if entries[line.numbers[middle] - base].offset < offset { low = middle + 1 } else { high = middle }
        }
        return low < line.numbers.count ? entries[line.numbers[low] - base] : nil
    }

    /// Forgets what is older than `limit_ms` of log time.
    mutating func trim(olderThan limit_ms: Int64) {
        while let oldest = oldest_ms, oldest < limit_ms { dropFirst() }
    }

    /// Forgets the oldest until at least `count` bytes are free, or nothing is left.
    mutating func give(_ count: Int) {
        let goal = bytes - count
        while bytes > goal, head < entries.count { dropFirst() }
    }

    private mutating func dropFirst() {
        let entry = entries[head]
        start = entry.offset + 1
        bytes -= entry.cost_bytes
        entries[head].frame = []
        head += 1
        shorten(entry.first)
        if let second = entry.second { shorten(second) }
        guard head > 64, head * 2 > entries.count else { return }
        entries.removeFirst(head)
        base += head
        head = 0
    }

    private mutating func shorten(_ user: UserID) {
        guard var line = lines.removeValue(forKey: user) else { return }
        line.head += 1
        guard line.head < line.numbers.count else { return }
        if line.head > 16, line.head * 2 > line.numbers.count {
            line.numbers.removeFirst(line.head)
            line.head = 0
        }
        lines[user] = line
    }
}
