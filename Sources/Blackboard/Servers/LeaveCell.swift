import Cell
import Redis

extension CellBlackboard {
    /// Takes back lease and report of a server that ends; those of another incarnation stay. Tells the operator at once.
    public func leave(_ server: ServerID, _ incarnation: Incarnation) async throws {
        _ = try await run(
            Self.leave, keys: [keys.leases, keys.reports, keys.arrivals], arguments: [server.description, incarnation.description])
    }

    /// The same for servers that will not do it themselves any more, by the leading operator.
    public func forget(_ servers: [(id: ServerID, incarnation: Incarnation)], as election: Election) async throws {
        guard !servers.isEmpty else { return }
        let arguments = servers.flatMap { [$0.id.description, $0.incarnation.description] as [any RedisArgument] }
        _ = try await write(Self.forget, as: election, keys: [keys.leases, keys.reports, keys.arrivals], arguments: arguments)
    }

    private static let leaving = """
        local function leave(server, incarnation, leases, reports, arrivals)
            redis.call('ZREM', leases, server .. '/' .. incarnation)
            local present = string.match(redis.call('HGET', arrivals, server) or '', '^(%S+)')
            if present and present ~= incarnation then return end
            redis.call('HDEL', reports, server)
            redis.call('HDEL', arrivals, server)
            redis.call('PUBLISH', reports, server)
        end

        """

    private static let leave = RedisScript(
        leaving + """
            leave(ARGV[1], ARGV[2], KEYS[1], KEYS[2], KEYS[3])
            return {'ok'}
            """)

    private static let forget = FencedScript(
        leaving + """
            for at = 3, #ARGV, 2 do leave(ARGV[at], ARGV[at + 1], KEYS[2], KEYS[3], KEYS[4]) end
            return {'ok'}
            """)
}
