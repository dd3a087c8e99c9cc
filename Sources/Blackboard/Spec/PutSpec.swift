import Cell
import Redis

extension CellBlackboard {
    /// Replaces the spec of `generation` by `json`; 0 makes the cell.
    ///
    /// - Parameter adopting: makes a cell that no operator leads although servers of that name live; they go on under this spec, whose generation is
    ///   above all that they have applied.
    /// - Returns: the new generation.
    /// - Throws: `generation` when Redis holds another one, `beingDeleted`, `redis`; `forgotten` when the cell is to be made although its servers or its
    ///   operator are there, because Redis lost the spec and the operator has not written it again yet.
    public func putSpec(_ json: String, replacing generation: Int64, adopting: Bool = false) async throws -> Int64 {
        let verdict = try await run(
            Self.putSpec, keys: [keys.spec, RedisKeys.cells, keys.leader, keys.leases, keys.reports, keys.pastSpecs],
            arguments: [generation, json, cell.description, adopting ? "adopts" : ""])
        switch verdict.word {
        case "ok": return verdict.number(0)
        case "forgotten": throw forgotten
        case "deleted": throw beingDeleted
        default: throw generationConflict(expected: generation, found: verdict.number(0))
        }
    }

    // A live server that has applied a spec, or an operator that leads, shows that there was one. A server that waits for its first spec does not.
    private static let putSpec = RedisScript(
        """
        local found = redis.call('HMGET', KEYS[1], 'generation', 'deleted')
        if found[2] == '1' then return {'deleted'} end
        if (found[1] or '0') ~= ARGV[1] then return {'generation', found[1] or '0'} end
        local time = redis.call('TIME')
        local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
        local last = tonumber(ARGV[1])
        if not found[1] then
            if redis.call('EXISTS', KEYS[3]) == 1 then return {'forgotten'} end
            if redis.call('ZCOUNT', KEYS[4], '(' .. now, '+inf') > 0 then
                for _, report in ipairs(redis.call('HVALS', KEYS[5])) do
                    local applied = tonumber(string.match(report, '"generation":(%d+)') or '0')
                    if applied > last and applied < 9007199254740992 then last = applied end
                end
            end
            if last > 0 and ARGV[4] ~= 'adopts' then return {'forgotten'} end
        end
        local generation = string.format('%.0f', last + 1)
        local before = redis.call('HGET', KEYS[1], 'json')
        redis.call('HSET', KEYS[1], 'generation', generation, 'json', ARGV[2])
        if before then
            redis.call('LPUSH', KEYS[6], before)
            redis.call('LTRIM', KEYS[6], 0, 9)
        end
        if not found[1] then redis.call('HSET', KEYS[1], 'created_ms', now) end
        if redis.call('SADD', KEYS[2], ARGV[3]) == 1 then redis.call('PUBLISH', KEYS[2], ARGV[3]) end
        redis.call('PUBLISH', KEYS[1], generation)
        return {'ok', generation}
        """)

    /// The specs before the present one as canonical JSON, newest first.
    public func pastSpecs() async throws -> [String] { (try await command("LRANGE", keys.pastSpecs, 0, -1).array ?? []).compactMap(\.string) }

    var beingDeleted: BlackboardError {
        BlackboardError(.beingDeleted, "cell \(cell) is being deleted", remedy: "Wait until it is gone (cellctl get cells), then make it anew.")
    }

    private var forgotten: BlackboardError {
        BlackboardError(
            .forgotten, "cell \(cell) runs, but its spec is not in this Redis any more",
            remedy: "Its operator writes it again in a moment: try again then, and start cell-operator if it does not run. "
                + "If every operator has lost its state folder, apply the cell's file with --adopt.")
    }

    func generationConflict(expected: Int64, found: Int64) -> BlackboardError {
        let problem =
            found == 0
            ? "there is no cell \(cell) in this Redis"
            : expected == 0
                ? "there is a cell \(cell) already, in generation \(found)"
                : "the spec of cell \(cell) was changed by somebody else: it is in generation \(found), not \(expected)"
        return BlackboardError(.generation(found: found), problem, remedy: "Read the spec again, and apply the change to that.")
    }
}
