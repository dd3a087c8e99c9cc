import Redis

/// How often people changed what the operator may have to give back to a Redis that forgot it.
enum Revision {
    /// Lua: `next` is what follows the revision `found`.
    ///
    /// Redis's clock in milliseconds, or one more: a Redis that came back empty gives no revision out again that some operator remembers for something else.
    static let next = """
        local time = redis.call('TIME')
        local next = string.format('%.0f', math.max(tonumber(found) + 1, time[1] * 1000 + math.floor(time[2] / 1000)))
        """
}

extension CellBlackboard {
    /// What `field` of the hash `key` holds, and under which revision; no text when nobody ever wrote it.
    func revised(_ key: String, _ field: String) async throws -> (revision: Int64, text: String?) {
        let found = try await command("HMGET", key, "revision", field).array ?? []
        return (found.first?.integer ?? 0, found.last?.string)
    }
}
