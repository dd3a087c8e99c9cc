/// One consumer group, as the embedded broker's members see it. Pure; times are monotonic milliseconds.
///
///     stable ──a member comes or goes──▶ joining ──all are here──▶ syncing ──the leader has shared out──▶ stable
struct BrokerGroup {
    enum Stage: Equatable { case stable, joining(until_ms: Int64), syncing }

    private struct Member {
        var session_ms: Int64
        var seen_ms: Int64
        var protocols: [(name: String, metadata: ArraySlice<UInt8>)]
        var hasJoined: Bool
        var share: ArraySlice<UInt8> = []
    }

    struct Joined: Equatable {
        var generation: Int32
        var `protocol`: String
        var leader: String
        /// For the leader alone: who there is, and what they told of themselves.
        var members: [(id: String, metadata: ArraySlice<UInt8>)]

        static func == (a: Joined, b: Joined) -> Bool { a.generation == b.generation && a.leader == b.leader && a.members.map(\.id) == b.members.map(\.id) }
    }

    private(set) var stage = Stage.stable
    private var generation: Int32 = 0
    private var members: [String: Member] = [:]
    private var lastMember = 0
    private var leader = ""
    private var chosen = ""
    private var committed: [Int32: (offset: Int64, note: String?)] = [:]

    /// A member comes, or comes again for the next generation.
    /// - Returns: its name.
    mutating func join(
        _ name: String, session_ms: Int64, _ protocols: [(name: String, metadata: ArraySlice<UInt8>)], at now_ms: Int64
    ) throws(WireError) -> String {
        expire(at: now_ms)
        guard name.isEmpty || members[name] != nil else { throw .unknownMember }
        guard !protocols.isEmpty else { throw .inconsistentGroupProtocol }
        lastMember += 1
        let name = name.isEmpty ? "member-\(lastMember)" : name
        if case .joining = stage {} else { beginJoining(session_ms: session_ms, at: now_ms) }
        members[name] = Member(session_ms: session_ms, seen_ms: now_ms, protocols: protocols, hasJoined: true)
        finishJoining(at: now_ms)
        return name
    }

    /// What a member that joined waits for; nil: not yet.
    mutating func joined(_ name: String, at now_ms: Int64) throws(WireError) -> Joined? {
        finishJoining(at: now_ms)
        guard let member = members[name] else { throw .unknownMember }
        if case .joining = stage { return nil }
        guard member.hasJoined else { throw .rebalanceInProgress }
        let all = name == leader ? members.sorted { $0.key < $1.key }.map { ($0.key, metadata(of: $0.value)) } : []
        return Joined(generation: generation, protocol: chosen, leader: leader, members: all.map { (id: $0.0, metadata: $0.1) })
    }

    /// The leader shares out.
    mutating func share(_ shares: [(member: String, share: ArraySlice<UInt8>)], by name: String, generation: Int32, at now_ms: Int64) throws(WireError) {
        try check(name, generation, at: now_ms)
        guard name == leader, stage == .syncing else { return }
        for (member, share) in shares { members[member]?.share = share }
        stage = .stable
    }

    /// A member's share; nil: not yet.
    mutating func share(of name: String, generation: Int32, at now_ms: Int64) throws(WireError) -> ArraySlice<UInt8>? {
        try check(name, generation, at: now_ms)
        if case .joining = stage { throw .rebalanceInProgress }
        return stage == .stable ? members[name]?.share : nil
    }

    mutating func heartbeat(_ name: String, generation: Int32, at now_ms: Int64) throws(WireError) {
        try check(name, generation, at: now_ms)
        expire(at: now_ms)
        if case .joining = stage { throw .rebalanceInProgress }
    }

    mutating func leave(_ name: String, at now_ms: Int64) {
        guard members.removeValue(forKey: name) != nil else { return }
        if members.isEmpty {
            stage = .stable
        } else if case .joining = stage {
            finishJoining(at: now_ms)
        } else {
            beginJoining(at: now_ms)
        }
    }

    // MARK: positions

    mutating func commit(_ partition: Int32, _ offset: Int64, note: String?) { committed[partition] = (offset, note) }
    func position(of partition: Int32) -> (offset: Int64, note: String?)? { committed[partition] }

    /// Whether a member may commit. Somebody without a group, as a tool, has no name and generation -1.
    mutating func mayCommit(_ name: String, generation: Int32, at now_ms: Int64) throws(WireError) {
        if name.isEmpty, generation < 0 { return }
        try check(name, generation, at: now_ms)
    }

    // MARK: generations

    private mutating func check(_ name: String, _ generation: Int32, at now_ms: Int64) throws(WireError) {
        guard members[name] != nil else { throw .unknownMember }
        guard generation == self.generation else { throw .illegalGeneration }
        members[name]?.seen_ms = now_ms
    }

    /// Everybody is to come again.
    private mutating func beginJoining(session_ms: Int64 = 0, at now_ms: Int64) {
        for name in members.keys { members[name]?.hasJoined = false }
        stage = .joining(until_ms: now_ms + members.values.map(\.session_ms).reduce(session_ms, max))
    }

    /// The next generation begins when everybody is here; who does not come in time is gone.
    private mutating func finishJoining(at now_ms: Int64) {
        guard case .joining(let until_ms) = stage else { return }
        if now_ms >= until_ms { members = members.filter { $0.value.hasJoined } }
        guard !members.isEmpty, members.values.allSatisfy(\.hasJoined) else { return }
        generation += 1
        stage = .syncing
        leader = members[leader] == nil ? members.keys.min() ?? "" : leader
        chosen = members[leader]?.protocols.first { one in members.values.allSatisfy { $0.protocols.contains { $0.name == one.name } } }?.name ?? ""
        for name in members.keys {
            members[name]?.seen_ms = now_ms
            members[name]?.share = []
        }
    }

    private mutating func expire(at now_ms: Int64) {
        guard stage == .stable || stage == .syncing else { return }
        let gone = members.filter { $0.value.seen_ms + $0.value.session_ms < now_ms }.keys
        for name in gone { leave(name, at: now_ms) }
    }

    private func metadata(of member: Member) -> ArraySlice<UInt8> { member.protocols.first { $0.name == chosen }?.metadata ?? [] }
}
