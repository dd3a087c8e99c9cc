import Cell
import Redis

extension CellBlackboard {
    /// The most logs that a cell remembers.
    public static let rememberedLogs = 1_000

    /// Adds those of `logs` that Redis does not know yet; oldest first, the last 1,000 stay.
    public func add(_ logs: [LogID], as election: Election) async throws {
        let arguments: [any RedisArgument] = [Self.rememberedLogs] + logs.sorted().map { $0.description as any RedisArgument }
        _ = try await write(Self.addLogs, as: election, keys: [keys.logs], arguments: arguments)
    }

    // UUIDv7s sort by time as text too, so the union sorts itself.
    private static let addLogs = FencedScript(
        """
        local all = redis.call('LRANGE', KEYS[2], 0, -1)
        local known, before = {}, #all
        for _, log in ipairs(all) do known[log] = true end
        for at = 4, #ARGV do
            if not known[ARGV[at]] then
                known[ARGV[at]] = true
                all[#all + 1] = ARGV[at]
            end
        end
        if #all == before then return {'ok'} end
        table.sort(all)
        for _, log in ipairs(all) do redis.call('RPUSH', KEYS[2], log) end
        if before > 0 then redis.call('LTRIM', KEYS[2], before, -1) end
        redis.call('LTRIM', KEYS[2], -ARGV[3], -1)
        return {'ok'}
        """)

    /// Every log that the cell had, oldest first.
    public func logs() async throws -> [LogID] {
        let values = try await command("LRANGE", keys.logs, 0, -1).array ?? []
        var result: [LogID] = []
        for value in values {
            guard let log = LogID(value.string ?? "") else { throw malformed("one of the logs", value.string ?? "", "a UUIDv7") }
            result.append(log)
        }
        return result
    }
}
