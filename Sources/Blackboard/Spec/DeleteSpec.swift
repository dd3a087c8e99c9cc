import Cell
import Redis

extension CellBlackboard {
    /// Says that the cell is to go; its operator stops the servers and then removes what is in Redis. Doing it again changes nothing.
    ///
    /// - Returns: the generation that says so.
    /// - Throws: `generation` when there is no such cell.
    @discardableResult
    public func markDeleted() async throws -> Int64 {
        let verdict = try await run(Self.markDeleted, keys: [keys.spec], arguments: [])
        guard verdict.word == "ok" else { throw generationConflict(expected: 1, found: 0) }
        return verdict.number(0)
    }

    private static let markDeleted = RedisScript(
        """
        local found = redis.call('HMGET', KEYS[1], 'generation', 'deleted')
        if not found[1] then return {'absent'} end
        if found[2] == '1' then return {'ok', found[1]} end
        local generation = string.format('%.0f', tonumber(found[1]) + 1)
        redis.call('HSET', KEYS[1], 'generation', generation, 'deleted', '1')
        redis.call('PUBLISH', KEYS[1], generation)
        return {'ok', generation}
        """)

    /// Removes everything of a cell that is marked as deleted, the lead included.
    /// - Throws: `generation` when the cell is not marked (any more), `overtaken`, `lapsed`, `redis`.
    public func removeCell(as election: Election) async throws {
        let all = [
            keys.spec, RedisKeys.cells, keys.assignment, keys.settings, keys.leases, keys.arrivals, keys.reports, keys.logs, keys.status, keys.events,
            keys.wishes, keys.pastSpecs,
        ]
        let verdict = try await write(Self.removeCell, as: election, keys: all, arguments: [cell.description])
        guard verdict.word == "ok" else { throw generationConflict(expected: 0, found: verdict.number(0)) }
    }

    private static let removeCell = FencedScript(
        """
        local found = redis.call('HMGET', KEYS[2], 'generation', 'deleted')
        if found[1] and found[2] ~= '1' then return {'alive', found[1]} end
        for at, key in ipairs(KEYS) do
            if at ~= 3 then redis.call('DEL', key) end
        end
        redis.call('SREM', KEYS[3], ARGV[3])
        redis.call('PUBLISH', KEYS[3], ARGV[3])
        redis.call('PUBLISH', KEYS[2], '')
        redis.call('PUBLISH', KEYS[1], '')
        return {'ok'}
        """)
}
