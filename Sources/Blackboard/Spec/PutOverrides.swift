import Cell
import Redis

extension CellBlackboard {
    /// The settings that were set by hand; none when there never were any.
    public func overrides() async throws -> SettingsOverrides {
        let (revision, text) = try await revised(keys.settings, "overrides")
        guard let text else { return SettingsOverrides() }
        guard var overrides = JSONText.decode(SettingsOverrides.self, from: text) else {
            throw malformed("the settings set by hand", text, "a revision and values as JSON")
        }
        overrides.revision = revision
        return overrides
    }

    /// Replaces the overrides of `overrides.revision` by these, and tells the operator.
    ///
    /// - Returns: the new revision.
    /// - Throws: `generation` when there is no cell, or somebody else was quicker: then `found` is the revision in Redis; `beingDeleted`, `redis`.
    public func put(_ overrides: SettingsOverrides) async throws -> Int64 {
        let arguments: [any RedisArgument] = [overrides.revision, JSONText.encode(overrides)]
        let verdict = try await run(Self.putOverrides, keys: [keys.spec, keys.settings], arguments: arguments)
        switch verdict.word {
        case "ok": return verdict.number(0)
        case "deleted": throw beingDeleted
        case "none": throw generationConflict(expected: 1, found: 0)
        default:
            throw BlackboardError(
                .generation(found: verdict.number(0)), "the settings of cell \(cell) were changed by somebody else", remedy: "Read them again, and set it then."
            )
        }
    }

    // The spec's channel wakes the operator; its generation is the same, so nobody else does anything about it.
    private static let putOverrides = RedisScript(
        """
        local spec = redis.call('HMGET', KEYS[1], 'generation', 'deleted')
        if not spec[1] then return {'none'} end
        if spec[2] == '1' then return {'deleted'} end
        local found = redis.call('HGET', KEYS[2], 'revision') or '0'
        if found ~= ARGV[1] then return {'revision', found} end
        \(Revision.next)
        redis.call('HSET', KEYS[2], 'revision', next, 'overrides', ARGV[2])
        redis.call('PUBLISH', KEYS[1], spec[1])
        return {'ok', next}
        """)

    /// Gives the overrides back to a Redis that forgot them, or that holds older ones.
    public func restore(_ overrides: SettingsOverrides, as election: Election) async throws {
        let arguments: [any RedisArgument] = [overrides.revision, JSONText.encode(overrides)]
        _ = try await write(Self.restoreOverrides, as: election, keys: [keys.settings], arguments: arguments)
    }

    private static let restoreOverrides = FencedScript(
        """
        if tonumber(redis.call('HGET', KEYS[2], 'revision') or '0') >= tonumber(ARGV[3]) then return {'newer'} end
        redis.call('HSET', KEYS[2], 'revision', ARGV[3], 'overrides', ARGV[4])
        return {'ok'}
        """)
}
