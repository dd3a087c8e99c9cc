import Cell
import Redis

extension CellBlackboard {
    /// What people ask of the cell beside its spec; nothing when nobody asked.
    public func wishes() async throws -> Wishes {
        let (revision, text) = try await revised(keys.wishes, "json")
        guard let text else { return Wishes() }
        guard var wishes = JSONText.decode(Wishes.self, from: text) else { throw malformed("the wishes", text, "wishes as JSON") }
        wishes.revision = revision
        return wishes
    }

    /// Replaces the wishes of `revision` by `wishes`, under the revision that follows; tells the spec's channel.
    ///
    /// - Returns: the new revision; nil when Redis holds another one than `revision`.
    /// - Throws: `generation` when there is no such cell, `redis`.
    public func put(_ wishes: Wishes, replacing revision: Int64) async throws -> Int64? {
        let verdict = try await run(Self.putWishes, keys: [keys.wishes, keys.spec], arguments: [revision, JSONText.encode(wishes)])
        switch verdict.word {
        case "ok": return verdict.number(0)
        case "absent": throw generationConflict(expected: 1, found: 0)
        default: return nil
        }
    }

    private static let putWishes = RedisScript(
        """
        local generation = redis.call('HGET', KEYS[2], 'generation')
        if not generation then return {'absent'} end
        local found = redis.call('HGET', KEYS[1], 'revision') or '0'
        if found ~= ARGV[1] then return {'other'} end
        \(Revision.next)
        redis.call('HSET', KEYS[1], 'revision', next, 'json', ARGV[2])
        redis.call('PUBLISH', KEYS[2], generation)
        return {'ok', next}
        """)

    /// Gives the wishes back to a Redis that forgot them, or that holds older ones.
    ///
    /// - Returns: whether they were written.
    @discardableResult
    public func restore(_ wishes: Wishes, as election: Election) async throws -> Bool {
        try await write(Self.restoreWishes, as: election, keys: [keys.wishes], arguments: [wishes.revision, JSONText.encode(wishes)]).word == "ok"
    }

    private static let restoreWishes = FencedScript(
        """
        if tonumber(redis.call('HGET', KEYS[2], 'revision') or '0') >= tonumber(ARGV[3]) then return {'newer'} end
        redis.call('HSET', KEYS[2], 'revision', ARGV[3], 'json', ARGV[4])
        return {'ok'}
        """)

    // MARK: The autoscaler's word

    /// How many messaging servers own partitions in an autoscaled cell; nil before it was ever decided.
    public func scale() async throws -> Int? { (try await command("HGET", keys.wishes, "scale").integer).map { Int($0) } }

    public func write(scale: Int, as election: Election) async throws {
        _ = try await write(Self.writeScale, as: election, keys: [keys.wishes], arguments: [scale])
    }

    private static let writeScale = FencedScript(
        """
        redis.call('HSET', KEYS[2], 'scale', ARGV[3])
        return {'ok'}
        """)
}
