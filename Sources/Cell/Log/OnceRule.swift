/// Which records of one partition count: decided by offsets and log times alone, so that owners, standbys and materializers, and one of
/// them twice, decide the same.
///
/// - *void*: the log time is more than W away from the id's own time, or the id is older than the log;
/// - *duplicate*: an earlier record that is not void has the same (sender, receiver, id).
///
/// Two records of one id that are not void lie within 2 W of each other, so an id is remembered until log time has passed its own time by W
/// and `margin`, and a reader that begins in the middle reads back 2 W + margin first (`readBack_ms`). Memory is never cut by size.
public struct OnceRule: Sendable {
    public enum Verdict: Equatable, Sendable { case first, duplicate, void }

    /// For the clocks of several brokers, milliseconds.
    public static let margin_ms: Int64 = 5_000

    public let window_ms: Int64
    private let logBegan_ms: Int64
    private var newest_ms: Int64 = .min
    private var generations: [Int64: Set<Key>] = [:]

    private struct Key: Hashable {
        let id: MessageID, sender: UserID, receiver: UserID
    }

    public init(idWindow: Duration, log: LogID) {
        window_ms = idWindow.milliseconds
        logBegan_ms = log.time_ms
    }

    /// How far before its first offset a reader must begin, in log time.
    public var readBack_ms: Int64 { 2 * window_ms + Self.margin_ms }

    /// Whether a record with this id and log time could count at all.
    public static func isVoid(_ id: MessageID, at log_ms: Int64, window_ms: Int64, logBegan_ms: Int64) -> Bool {
        abs(log_ms - id.time_ms) > window_ms || id.time_ms < logBegan_ms
    }

    public func isVoid(_ id: MessageID, at log_ms: Int64) -> Bool {
        Self.isVoid(id, at: log_ms, window_ms: window_ms, logBegan_ms: logBegan_ms)
    }

    /// The verdict on the partition's next record. Records must come in the order of their offsets.
    public mutating func judge(_ id: MessageID, from sender: UserID, to receiver: UserID, at log_ms: Int64) -> Verdict {
        observe(log_ms)
        guard !isVoid(id, at: log_ms) else { return .void }
        let key = Key(id: id, sender: sender, receiver: receiver)
        return generations[id.time_ms / window_ms, default: []].insert(key).inserted ? .first : .duplicate
    }

    /// Log time moves on, also by ticks.
    public mutating func observe(_ log_ms: Int64) {
        guard log_ms > newest_ms else { return }
        let before = newest_ms == .min ? .min : newest_ms / window_ms
        newest_ms = log_ms
        guard log_ms / window_ms != before else { return }
        // A generation holds the ids of one W; its last one is done with at the generation's end + W + margin.
        let oldest = (log_ms - 2 * window_ms - Self.margin_ms) / window_ms
        generations = generations.filter { $0.key >= oldest }
    }

    /// The ids remembered.
    public var count: Int { generations.values.reduce(0) { $0 + $1.count } }
}

extension Duration {
    public var milliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}
