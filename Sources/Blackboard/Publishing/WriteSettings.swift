import Cell
import Redis

extension CellBlackboard {
    /// Writes `settings` unless Redis holds newer ones, and tells the channel.
    /// - Returns: whether they were written.
    @discardableResult
    public func write(_ settings: Settings, as election: Election) async throws -> Bool {
        let arguments: [any RedisArgument] = [settings.epoch, JSONText.encode(settings)]
        return try await write(Self.writeSettings, as: election, keys: [keys.settings], arguments: arguments).word == "ok"
    }

    private static let writeSettings = FencedScript(
        """
        local found = tonumber(redis.call('HGET', KEYS[2], 'epoch') or '0')
        if found >= tonumber(ARGV[3]) then return {'older'} end
        redis.call('HSET', KEYS[2], 'epoch', ARGV[3], 'json', ARGV[4])
        redis.call('PUBLISH', KEYS[2], ARGV[3])
        return {'ok'}
        """)

    /// The settings in Redis; nil when there are none.
    public func settings() async throws -> Settings? {
        guard let text = try await command("HGET", keys.settings, "json").string else { return nil }
        guard let settings = JSONText.decode(Settings.self, from: text), settings.isUsable else { throw malformed("the settings", text, "settings as JSON") }
        return settings
    }
}
