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

        var cost_bytes: Int { frame.count + RecentWindow.overhead_bytes + (second == nil ? 1 : 2) * RecentWindow.place_bytes }
    }

    /// An entry's own memory, and its frame's header.
    static let overhead_bytes = 96
    /// A place in a user's line.
    static let place_bytes = 64
    private static let blockSize = 64

    /// Every record from this offset on is kept.
    private(set) var start: Int64
    private(set) var bytes = 0
    /// In blocks that are as long as each other: one array for all would be as long as the busiest minute made it.
    private var blocks: [[Entry]] = []
    /// The number of `blocks[0][0]`; numbers count what was ever appended.
    private var base = 0
    /// Entries of `blocks[0]` before `head` are gone.
    private var head = 0
    private var end = 0
    private var lines: [UserID: Line] = [:]

    /// The numbers of one user's entries: the first, and of the others those from `rest[head]` on. Most users have one.
    private struct Line {
        var first: Int
        var rest: [Int] = []
        var head = 0

        /// Nil when nothing is left.
        func shorter() -> Line? {
            guard head < rest.count else { return nil }
            guard (head + 1) * 2 >= rest.count else { return Line(first: rest[head], rest: rest, head: head + 1) }
            return Line(first: rest[head], rest: Array(rest[(head + 1)...]))
        }
    }

    init(start: Int64) { self.start = start }

    var count: Int { end - base - head }
    var oldest_ms: Int64? { count > 0 ? blocks[0][head].time_ms : nil }

    private func entry(_ number: Int) -> Entry { blocks[(number - base) / Self.blockSize][(number - base) % Self.blockSize] }

    mutating func append(_ frame: [UInt8], at offset: Int64, time_ms: Int64, for first: UserID, and second: UserID?) -> Entry {
        let entry = Entry(offset: offset, time_ms: time_ms, first: first, second: second, frame: frame)
        if end - base == blocks.count * Self.blockSize {
            blocks.append([])
            blocks[blocks.count - 1].reserveCapacity(Self.blockSize)
        }
        blocks[blocks.count - 1].append(entry)
        bytes += entry.cost_bytes
        line(up: first)
        if let second { line(up: second) }
        end += 1
        return entry
    }

    private mutating func line(up user: UserID) {
        if lines[user]?.rest.append(end) == nil { lines[user] = Line(first: end) }
    }

    /// The first record of `user` at or above `offset`.
    func next(for user: UserID, from offset: Int64) -> Entry? {
        guard let line = lines[user] else { return nil }
        if entry(line.first).offset >= offset { return entry(line.first) }
        var low = line.head
        var high = line.rest.count
        while low < high {
            let middle = (low + high) / 2
            if entry(line.rest[middle]).offset < offset { low = middle + 1 } else { high = middle }
        }
        return low < line.rest.count ? entry(line.rest[low]) : nil
    }

    /// Forgets what is older than `limit_ms` of log time.
    mutating func trim(olderThan limit_ms: Int64) {
        while let oldest = oldest_ms, oldest < limit_ms { dropFirst() }
    }

    /// Forgets the oldest until at least `count` bytes are free, or nothing is left.
    mutating func give(_ count: Int) {
        let goal = bytes - count
        while bytes > goal, self.count > 0 { dropFirst() }
    }

    private mutating func dropFirst() {
        let entry = blocks[0][head]
        start = entry.offset + 1
        bytes -= entry.cost_bytes
        blocks[0][head].frame = []
        head += 1
        shorten(entry.first)
        if let second = entry.second { shorten(second) }
        guard head == Self.blockSize else { return }
        blocks.removeFirst()
        base += head
        head = 0
    }

    private mutating func shorten(_ user: UserID) {
        lines[user] = lines[user]?.shorter()
        // A dictionary stays as large as it ever was.
        guard lines.capacity > 3 * lines.count + 256 else { return }
        var smaller: [UserID: Line] = [:]
        smaller.reserveCapacity(lines.count)
        for (user, line) in lines { smaller[user] = line }
        lines = smaller
    }
}
