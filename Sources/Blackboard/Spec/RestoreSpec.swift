import Cell
import Redis

extension CellBlackboard {
    /// Gives the spec back to a Redis that forgot it, or that holds an older one.
    ///
    /// - Returns: whether it was written.
    @discardableResult
    public func restore(_ spec: StoredSpec, as election: Election) async throws -> Bool {
        let arguments: [any RedisArgument] = [spec.generation, spec.created_ms, spec.json, spec.isDeleted ? 1 : 0, cell.description]
        return try await write(Self.restoreSpec, as: election, keys: [keys.spec, RedisKeys.cells], arguments: arguments).word == "ok"
    }

    private static let restoreSpec = FencedScript(
        """
        local found = redis.call('HMGET', KEYS[2], 'generation', 'created_ms')
        local generation, created = tonumber(found[1] or '0'), tonumber(found[2] or '0')
        if created > tonumber(ARGV[4]) or (created == tonumber(ARGV[4]) and generation >= tonumber(ARGV[3])) then return {'newer'} end
        redis.call('HSET', KEYS[2], 'generation', ARGV[3], 'created_ms', ARGV[4], 'json', ARGV[5], 'deleted', ARGV[6])
        if redis.call('SADD', KEYS[3], ARGV[7]) == 1 then redis.call('PUBLISH', KEYS[3], ARGV[7]) end
        redis.call('PUBLISH', KEYS[2], ARGV[3])
        return {'ok'}
        """)
}
