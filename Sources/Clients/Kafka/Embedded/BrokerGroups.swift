import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The consumer groups of the embedded broker, and the waiting in them.
final class BrokerGroups: Sendable {
    private let groups = Mutex<[String: BrokerGroup]>([:])
    private let isClosed = Atomic(false)
    /// How often somebody who waits for other members looks.
    private static let look_us: UInt32 = 5_000

    func close() { isClosed.store(true, ordering: .releasing) }

    func with<Answer>(_ name: String, _ work: (inout BrokerGroup) throws(WireError) -> Answer) throws(WireError) -> Answer {
        try groups.withLock { groups throws(WireError) in try work(&groups[name, default: BrokerGroup()]) }
    }

    func join(
        _ group: String, _ member: String, session_ms: Int64, _ protocols: [(name: String, metadata: ArraySlice<UInt8>)]
    ) throws(WireError) -> (name: String, BrokerGroup.Joined) {
        let name = try with(group) { group throws(WireError) in try group.join(member, session_ms: session_ms, protocols, at: monotonic_ms()) }
        let joined = try wait(group) { group throws(WireError) in try group.joined(name, at: monotonic_ms()) }
        return (name, joined)
    }

    func sync(
        _ group: String, _ member: String, generation: Int32, _ shares: [(member: String, share: ArraySlice<UInt8>)]
    ) throws(WireError) -> ArraySlice<UInt8> {
        try with(group) { group throws(WireError) in try group.share(shares, by: member, generation: generation, at: monotonic_ms()) }
        return try wait(group) { group throws(WireError) in try group.share(of: member, generation: generation, at: monotonic_ms()) }
    }

    /// Members come and go some times a day: looking again and again is simple, and cheap enough.
    private func wait<Answer>(_ group: String, for answer: (inout BrokerGroup) throws(WireError) -> Answer?) throws(WireError) -> Answer {
        while !isClosed.load(ordering: .acquiring) {
            if let answer = try with(group, answer) { return answer }
            usleep(Self.look_us)
        }
        throw .rebalanceInProgress
    }
}
