import Cell
import Redis

extension CellBlackboard {
    /// Keeps the lead for another `lease`.
    /// - Throws: `overtaken`, or `lapsed` when the lease ran out or Redis forgot it: then campaign again, for a higher term.
    public func renew(_ election: Election, lease: Duration) async throws {
        _ = try await write(Self.renewLead, as: election, keys: [], arguments: [lease.milliseconds])
    }

    private static let renewLead = FencedScript(
        """
        redis.call('PEXPIRE', KEYS[1], ARGV[3])
        return {'ok'}
        """)

    /// Lets go of the lead, so that another operator need not wait for the lease. One that does not lead (any more) changes nothing.
    public func resign(_ election: Election) async throws {
        do {
            _ = try await write(Self.resign, as: election, keys: [])
        } catch let error as BlackboardError where error.redis == nil {}
    }

    private static let resign = FencedScript(
        """
        redis.call('DEL', KEYS[1])
        redis.call('PUBLISH', KEYS[1], '')
        return {'ok'}
        """)
}
