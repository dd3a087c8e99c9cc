import Cell
import Redis

/// What a server learns with each renewal of its lease.
public struct Renewal: Sendable, Equatable {
    /// Of the assignment in Redis; `none` when there is none.
    public let epoch: Epoch
    public let term: Term
    /// 0 when there are none.
    public let settingsEpoch: Int64
    /// 0 when there is no spec.
    public let generation: Int64
    /// Redis's clock, Unix milliseconds.
    public let time_ms: Int64
}

extension CellBlackboard {
    /// Renews a server's lease, and replaces its report when there is a new one.
    ///
    /// - Parameters:
    ///   - arrived_ms: Redis's clock when this incarnation first reached it (`time()`). Of two incarnations of one name the later one counts.
    ///   - report: nil when nothing changed since the last.
    ///   - urgent: tells the operator at once, for what moves and promotions wait for.
    /// - Throws: `superseded` when a later incarnation of the name holds a lease: this one is to stop.
    public func renewLease(
        of server: ServerID, _ incarnation: Incarnation, arrived_ms: Int64, lease: Duration, report: Report?, urgent: Bool
    ) async throws -> Renewal {
        let arguments: [any RedisArgument] = [
            server.description, incarnation.description, lease.milliseconds, arrived_ms, report.map { JSONText.encode($0) } ?? "", urgent ? "urgent" : "",
        ]
        let all = [keys.leases, keys.reports, keys.assignment, keys.settings, keys.spec, keys.arrivals]
        let verdict = try await run(Self.renewLease, keys: all, arguments: arguments)
        guard verdict.word == "ok" else { throw superseded(server, incarnation, by: verdict.text(0)) }
        return Renewal(
            epoch: Epoch(verdict.number(0)), term: Term(verdict.number(1)), settingsEpoch: verdict.number(2), generation: verdict.number(3),
            time_ms: verdict.number(4))
    }

    // A lease that ends later than ten of ours from now was written by another clock, before Redis moved to another machine: it proves nothing.
    // Without a spec the cell may be gone, and this renewal its last word that came late: nobody is left to remove it, so it goes by itself.
    private static let renewLease = RedisScript(
        """
        local server, incarnation, lease, arrived = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local other, since = string.match(redis.call('HGET', KEYS[6], server) or '', '^(%S+) (%d+)$')
        if other and other ~= incarnation then
            local expiry = tonumber(redis.call('ZSCORE', KEYS[1], server .. '/' .. other) or '0')
            if tonumber(since) >= arrived and expiry > now and expiry <= now + 10 * lease then return {'superseded', other} end
        end
        local isNew = redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), server .. '/' .. incarnation) == 1
        if other ~= incarnation then redis.call('HSET', KEYS[6], server, incarnation .. ' ' .. ARGV[4]) end
        if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], server, ARGV[5]) end
        if isNew or ARGV[6] == 'urgent' then redis.call('PUBLISH', KEYS[2], server) end
        local generation = redis.call('HGET', KEYS[5], 'generation')
        for _, key in ipairs({KEYS[1], KEYS[2], KEYS[6]}) do
            if generation then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, 5 * lease) end
        end
        local assignment = redis.call('HMGET', KEYS[3], 'epoch', 'term')
        return {'ok', assignment[1] or '0', assignment[2] or '0', redis.call('HGET', KEYS[4], 'epoch') or '0',
            generation or '0', string.format('%.0f', now)}
        """)

    private func superseded(_ server: ServerID, _ incarnation: Incarnation, by other: String) -> BlackboardError {
        guard let later = Incarnation(other) else { return malformed("the incarnation of \(server)", other, "hex digits") }
        return BlackboardError(
            .superseded(by: later), "\(server) of cell \(cell) runs as incarnation \(later) by now, which came after \(incarnation)",
            remedy: "Stop this one.")
    }
}
