import Cell
import Redis

extension CellBlackboard {
    public func write(_ status: CellStatus, as election: Election) async throws {
        _ = try await write(Self.writeStatus, as: election, keys: [keys.status], arguments: [JSONText.encode(status)])
    }

    private static let writeStatus = FencedScript(
        """
        redis.call('HSET', KEYS[2], 'json', ARGV[3])
        redis.call('PUBLISH', KEYS[2], '')
        return {'ok'}
        """)

    /// What the operator last told; nil when it told nothing yet.
    public func status() async throws -> CellStatus? {
        guard let text = try await command("HGET", keys.status, "json").string else { return nil }
        guard let status = JSONText.decode(CellStatus.self, from: text) else { throw malformed("the status", text, "a status as JSON") }
        return status
    }
}
