import Cell
import Redis

/// How a campaign ended.
public enum CampaignResult: Sendable, Equatable {
    /// `knownEpoch` is the highest that Redis's assignment, the servers' reports or Redis's clock in milliseconds name: the first epoch of this term is above
    /// it (and above what the operator itself has seen).
    case leads(Election, knownEpoch: Epoch)
    case follows(Leader)
}

extension CellBlackboard {
    /// Takes the lead when nobody has it. The term is above `atLeast`, above every term in Redis and in servers' reports, and above Redis's clock.
    ///
    /// - Parameters:
    ///   - token: random, new for each campaign.
    ///   - atLeast: the highest term that the operator's state folder knows.
    public func campaign(as name: String, token: String, lease: Duration, atLeast: Term) async throws -> CampaignResult {
        let verdict = try await run(
            Self.campaign, keys: [keys.leader, keys.assignment, keys.reports], arguments: [name, token, lease.milliseconds, atLeast.value])
        switch verdict.word {
        case "ok": return .leads(Election(term: Term(verdict.number(0)), token: token, leader: name), knownEpoch: Epoch(verdict.number(1)))
        case "led":
            return .follows(Leader(term: Term(verdict.number(0)), name: verdict.text(1), remaining: .milliseconds(max(0, verdict.number(2)))))
        default: throw malformed("the campaign's answer", verdict.word, "ok or led")
        }
    }

    // Reports are searched, not parsed: one that is malformed must not stop an election. Numbers above 2^53 are no terms of ours.
    private static let campaign = RedisScript(
        """
        local leader = redis.call('HMGET', KEYS[1], 'term', 'operator', 'token')
        local left = redis.call('PTTL', KEYS[1])
        -- Nobody asks for ten minutes: Redis's clock was ahead when that was written, and whoever lives renews it.
        if leader[1] and leader[3] ~= ARGV[2] and left <= 600000 then return {'led', leader[1], leader[2] or '', left} end
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local function above(known, text)
            local number = tonumber(text or '')
            if number and number > known and number < 9007199254740992 then return number end
            return known
        end
        local found = redis.call('HMGET', KEYS[2], 'epoch', 'term')
        local epoch = above(now, found[1])
        local term = above(above(above(now, ARGV[4]), leader[1]), found[2])
        for _, report in ipairs(redis.call('HVALS', KEYS[3])) do
            for number in string.gmatch(report, '"term":(%d+)') do term = above(term, number) end
            for number in string.gmatch(report, '"epoch":(%d+)') do epoch = above(epoch, number) end
        end
        term = string.format('%.0f', term + 1)
        redis.call('HSET', KEYS[1], 'term', term, 'token', ARGV[2], 'operator', ARGV[1])
        redis.call('PEXPIRE', KEYS[1], ARGV[3])
        redis.call('PUBLISH', KEYS[1], term)
        return {'ok', term, string.format('%.0f', epoch)}
        """)
}
