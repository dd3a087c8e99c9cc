/// How many Opens are answered at once. After a loss everybody comes in the same second, and each is to be given what it missed: all in one turn would
/// stop the server for everyone and take its memory, so it is done in slices, resumes before newcomers.
///
///     Open that could be answered ─┬─ there is room in this slice ─▶ Opened, replay
///                                  └─ resumes │ newcomers ─▶ the next slices
struct Admission {
    /// Whose turn it is.
    enum Kind: Equatable, CaseIterable { case resume, newcomer }

    static let slice_ms: Int64 = 10
    /// Opens answered in one slice. Answering one costs less than 50 µs: the slice is not longer than its time.
    static let opensInSlice = 200
    /// Clients that are given what they missed and have not taken it yet; each has 64 KiB of it waiting at most. This memory is set aside for them.
    static let replaysAtOnce = 512
    /// A client that takes longer is a slow one, and does not keep the others waiting; one that has taken nothing for so long is not waited for.
    static let replay_ms: Int64 = 5_000
    /// Slow clients that are given what they missed, in little slices: no more at once, and the others come back later.
    static let slowReplaysAtOnce = 2_048

    /// How much a client is given at once: little at first, twice as much each time that it took it, and little for good once it is slow.
    static func slice_bytes(afterDrains drains: Int, isSlow: Bool) -> Int { isSlow ? 8 << 10 : min(MessagingCore.slice_bytes, 16_384 << min(drains, 2)) }

    private var began_ms = Int64.min
    private var answered = 0
    /// Clients that are being given what they missed.
    private(set) var replays: Set<StreamID> = []
    /// Clients that are given what they missed, and are slow to take it.
    private(set) var slowReplays: Set<StreamID> = []
    private var lines: [Kind: Line] = [:]

    fileprivate struct Line {
        var waiting: [StreamID] = []
        var head = 0
    }

    /// Whether one more may be answered now, which is then counted.
    mutating func admits(_ kind: Kind, at now_ms: Int64) -> Bool {
        guard hasRoom(for: kind, at: now_ms) else { return false }
        answered += 1
        return true
    }

    /// Newcomers have nothing to be given, so only the slice bounds them.
    private mutating func hasRoom(for kind: Kind, at now_ms: Int64) -> Bool {
        if now_ms >= began_ms &+ Self.slice_ms || began_ms == .min {
            began_ms = now_ms
            answered = 0
        }
        return answered < Self.opensInSlice && (kind == .newcomer || replays.count < Self.replaysAtOnce)
    }

    mutating func wait(_ id: StreamID, _ kind: Kind) { lines[kind, default: Line()].waiting.append(id) }

    /// The next that waits and has room now; those that have gone meanwhile are the caller's to skip.
    mutating func next(at now_ms: Int64) -> StreamID? {
        for kind in Kind.allCases where lines[kind] != nil {
            guard hasRoom(for: kind, at: now_ms), let id = lines[kind]?.pop() else { continue }
            if lines[kind]?.isEmpty == true { lines[kind] = nil }
            return id
        }
        return nil
    }

    var waiting: Int { lines.values.reduce(0) { $0 + $1.count } }

    mutating func replayBegins(_ id: StreamID) { replays.insert(id) }

    mutating func replayEnds(_ id: StreamID) {
        replays.remove(id)
        slowReplays.remove(id)
    }

    /// The client's place among the others is free from now on.
    /// - Returns: whether there is one for it among the slow.
    mutating func replayIsSlow(_ id: StreamID) -> Bool {
        replays.remove(id)
        guard slowReplays.count < Self.slowReplaysAtOnce || slowReplays.contains(id) else { return false }
        slowReplays.insert(id)
        return true
    }
}

extension Admission.Line {
    var count: Int { waiting.count - head }
    var isEmpty: Bool { count == 0 }

    mutating func pop() -> StreamID? {
        guard head < waiting.count else { return nil }
        head += 1
        return waiting[head - 1]
    }
}
