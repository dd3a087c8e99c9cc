import Cell

/// Reads pages out of a store: exact in order and bounds, and quick however many rows there are.
public struct HistoryReader: Sendable {
    public struct Page: Equatable, Sendable {
        /// Newest first.
        public var rows: [HistoryRow]
        /// Whether there are older ones in the range; then `rows` is not empty.
        public var more: Bool
        /// Read before the rows.
        public var through: Int64
    }

    /// Bytes of bodies on a page; a longer one ends early with `more`, so that it fits gRPC's 4 MiB with room to spare.
    static let pageBytes = 3 << 20

    private let store: any HistoryStore
    private let partitions: Int
    /// Log times of one partition may go back by so much.
    private let margin_ms = OnceRule.margin_ms

    public init(_ store: any HistoryStore, partitions: Int) {
        self.store = store
        self.partitions = partitions
    }

    /// The newest `limit` rows of `key` in `offsets` with a log time below `before_ms`.
    public func page(_ key: HistoryKey, _ log: LogID, in offsets: Range<Int64>, before_ms: Int64? = nil, limit: Int) async throws -> Page {
        let through = try await store.progress(log, key.owner.partition(of: partitions)).through
        var found: [HistoryRow] = []
        var rest = offsets
        if let before_ms { rest = try await narrowed(offsets, key, log, before_ms: before_ms) }
        var searched = before_ms == nil
        while !rest.isEmpty, found.count <= limit {
            let wanted = limit + 1 - found.count
            let rows = try await store.rows(key, log, in: rest, limit: wanted)
            let fitting = rows.filter { $0.time_ms < before_ms ?? .max }
            found += fitting
            guard rows.count == wanted, let last = rows.last else { break }
            rest = rest.lowerBound..<max(rest.lowerBound, last.offset)
            if fitting.isEmpty, !searched, let before_ms {
                searched = true
                rest = try await bisected(rest, key, log, before_ms: before_ms)
            }
        }
        return cut(found, limit, through)
    }

    private func cut(_ found: [HistoryRow], _ limit: Int, _ through: Int64) -> Page {
        var bytes = 0
        let fitting = found.prefix(limit).prefix { row in
            bytes += row.body.count
            return bytes <= Self.pageBytes
        }
        let rows = Array(fitting.isEmpty ? found.prefix(min(limit, 1)) : fitting)
        return Page(rows: rows, more: rows.count < found.count, through: through)
    }

    /// `offsets` without what certainly is as late as `before_ms`, by the marks of hours.
    private func narrowed(_ offsets: Range<Int64>, _ key: HistoryKey, _ log: LogID, before_ms: Int64) async throws -> Range<Int64> {
        // From a mark on, log times may still go back by the margin.
        let (sum, overflow) = before_ms.addingReportingOverflow(margin_ms + Hour.length_ms - 1)
        guard !overflow else { return offsets }
        let mark = try await store.mark(log, key.owner.partition(of: partitions), notBefore: Hour(of: sum))
        return clamped(offsets, to: mark?.first)
    }

    /// The same, by halving: for a user with more rows in an hour than a page has.
    private func bisected(_ offsets: Range<Int64>, _ key: HistoryKey, _ log: LogID, before_ms: Int64) async throws -> Range<Int64> {
        var low = offsets.lowerBound
        if let mark = try await store.mark(log, key.owner.partition(of: partitions), notAfter: Hour(of: before_ms)) {
            low = max(low, min(mark.first, offsets.upperBound))
        }
        var high = offsets.upperBound
        while high - low > 256 {
            let middle = low + (high - low) / 2
            guard let row = try await store.rows(key, log, in: low..<middle, limit: 1).first else { break }
            // What follows a row is at most the margin older than it.
            if row.time_ms >= before_ms + margin_ms { high = row.offset } else { low = middle }
        }
        return clamped(offsets, to: high)
    }

    private func clamped(_ offsets: Range<Int64>, to end: Int64?) -> Range<Int64> {
        offsets.lowerBound..<max(offsets.lowerBound, min(offsets.upperBound, end ?? .max))
    }

    /// How the search for one message ended.
    public enum Search: Equatable, Sendable {
        case accepted
        /// The log is not read past the id's window; milliseconds of log time are missing.
        case notYet(missing_ms: Int64)
        case absent
    }

    /// Whether `receiver` has the message `id` of `sender` in `log`.
    ///
    /// It stands in the dialog within a window of the id's own time, so that few rows are looked at.
    public func find(_ id: MessageID, from sender: UserID, to receiver: UserID, in log: LogID, window_ms: Int64) async throws -> Search {
        let partition = receiver.partition(of: partitions)
        // Before the rows: what is stored meanwhile may be missed by the rows, never by the answer.
        let progress = try await store.progress(log, partition)
        let begin = try await store.mark(log, partition, notAfter: Hour(of: id.time_ms - window_ms - margin_ms))?.first ?? 0
        let key = HistoryKey.dialog(receiver, with: sender)
        var rest = begin..<Int64.max
        scan: while !rest.isEmpty {
            let page = try await page(key, log, in: rest, before_ms: id.time_ms + window_ms + 1, limit: 100)
            for row in page.rows {
                if row.id == id, row.sender == sender { return .accepted }
                if row.time_ms < id.time_ms - window_ms - margin_ms { break scan }
            }
            guard page.more, let last = page.rows.last else { break }
            rest = begin..<max(begin, last.offset)
        }
        let end = id.time_ms + window_ms + margin_ms
        return progress.time_ms > end ? .absent : .notYet(missing_ms: end - progress.time_ms)
    }
}
