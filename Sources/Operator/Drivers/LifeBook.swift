import Cell

/// What a driver knows of the servers that something else runs for it: those that it starts, those that are there, and those that go. What that something
/// says of them, and in which words, is told by a book around this one.
///
/// Pure. An end is final, and everything may be told twice, in whatever order.
struct LifeBook<Details: Equatable & Sendable>: Sendable {
    struct Entry: Equatable, Sendable {
        var seen: RunningServer
        /// What it is called where it runs: a container's id, a pod's name.
        let handle: String
        /// What only the substrate's own book asks for.
        var details: Details
        /// Its container or pod is still there, whether or not anything runs in it.
        fileprivate(set) var isThere = true
        /// It is gone, and nobody has said yet how.
        fileprivate(set) var isUnexplained = false
        /// Greater than what a list was begun with that cannot know it.
        fileprivate let number: Int

        /// Whether there is anything left to learn of it.
        var isOpen: Bool { !seen.isGone || isUnexplained }
    }

    private(set) var entries: [ServerLife: Entry] = [:]
    /// Being started by us.
    private(set) var pending: Set<ServerLife> = []
    /// Starts that failed halfway, or were not wanted any more: whatever comes of them goes.
    private(set) var abandoned: [ServerLife: Moment] = [:]
    /// Handles of what is being removed: it counts as gone, however long that takes.
    private(set) var leaving: Set<String> = []
    private var count = 0

    var servers: [RunningServer] { entries.values.map(\.seen).sorted { $0.life < $1.life } }

    subscript(life: ServerLife) -> Entry? { entries[life] }

    /// Nothing is on its way: what there is runs or has ended.
    var isAtRest: Bool {
        pending.isEmpty && abandoned.isEmpty && leaving.isEmpty && entries.values.allSatisfy { $0.seen.state != .stopping && !$0.isUnexplained }
    }

    // MARK: The driver's own calls

    /// - Returns: whether it is new; otherwise there is nothing to start.
    mutating func begin(_ life: ServerLife) -> Bool {
        entries[life] == nil && abandoned[life] == nil && pending.insert(life).inserted
    }

    /// - Returns: whether it is news; what is told of a start may have been quicker than its answer, and so may its end.
    mutating func started(_ life: ServerLife) -> Bool {
        pending.remove(life)
        return entries[life] == nil
    }

    /// Whatever there is of it, or will be, goes.
    mutating func abandon(_ life: ServerLife, now: Moment) {
        pending.remove(life)
        if entries[life] == nil { abandoned[life] = now }
    }

    /// - Returns: the server to ask; nil when it is gone or was never there.
    mutating func ask(_ life: ServerLife) -> Entry? {
        guard var entry = entries[life], !entry.seen.isGone else { return nil }
        entry.seen.state = .stopping
        entry.seen.asked = true
        entries[life] = entry
        return entry
    }

    /// It could not be asked.
    mutating func unask(_ life: ServerLife) {
        guard entries[life]?.seen.state == .stopping else { return }
        entries[life]?.seen.state = .running
        entries[life]?.seen.asked = false
    }

    /// - Returns: what is forgotten, to be removed if it is still there; nil for one that lives.
    mutating func forget(_ life: ServerLife) -> Entry? {
        guard let entry = entries[life], entry.seen.isGone else { return nil }
        entries[life] = nil
        if entry.isThere { leaving.insert(entry.handle) }
        return entry
    }

    mutating func removed(_ handle: String) { leaving.remove(handle) }

    // MARK: What it is told

    mutating func add(_ seen: RunningServer, handle: String, _ details: Details) {
        count += 1
        entries[seen.life] = Entry(seen: seen, handle: handle, details: details, number: count)
    }

    mutating func change(_ life: ServerLife, _ body: (inout Entry) -> Void) {
        guard var entry = entries[life] else { return }
        body(&entry)
        entries[life] = entry
    }

    /// There is nothing left of it.
    mutating func vanished(_ life: ServerLife) { entries[life]?.isThere = false }

    /// The end is final: nil when it was known.
    ///
    /// - Parameter explained: otherwise a reason may follow.
    mutating func finish(_ life: ServerLife, at: Moment, _ reason: String, explained: Bool = true) -> RunningServer? {
        guard var entry = entries[life] else { return nil }
        if case .exited(let first, _) = entry.seen.state {
            guard entry.isUnexplained, explained else { return nil }
            entry.seen.state = .exited(at: first, reason: reason)
        } else {
            entry.seen.state = .exited(at: at, reason: reason)
        }
        entry.isUnexplained = !explained
        entry.seen.waitsFor = ""
        entries[life] = entry
        return entry.seen
    }

    // MARK: Lists

    /// Before a list is asked for: what comes later is not in it.
    func mark() -> Int { count }

    /// After everything on a list is taken: what is not on it is gone.
    ///
    /// - Parameters:
    ///   - listed: handles.
    ///   - reason: why it is gone, as far as one can know.
    /// - Returns: those whose end is news.
    mutating func close(_ listed: Set<String>, since mark: Int, now: Moment, _ reason: String) -> [RunningServer] {
        var ended: [RunningServer] = []
        for entry in entries.values.sorted(by: { $0.number < $1.number }) where !listed.contains(entry.handle) && entry.number <= mark {
            vanished(entry.seen.life)
            if let seen = finish(entry.seen.life, at: now, reason) { ended.append(seen) }
            // Another operator has forgotten it, or will not ask any more.
            if case .exited(let at, _) = entry.seen.state, at + LifeBookTimes.remembered < now { entries[entry.seen.life] = nil }
        }
        leaving.formIntersection(listed)
        abandoned = abandoned.filter { $0.value + LifeBookTimes.abandoned > now }
        return ended
    }
}

/// How long a book keeps what nobody asks for; outside of it, since what is generic has no constants of its own.
enum LifeBookTimes {
    /// A server of which there is nothing left; others are remembered until they are forgotten.
    static let remembered = Duration.seconds(60)
    /// Longer than any call lasts.
    static let abandoned = Duration.seconds(600)
}
