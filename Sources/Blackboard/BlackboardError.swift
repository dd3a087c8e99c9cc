import Cell
import Redis

/// Redis is away, or the blackboard refuses a write.
public struct BlackboardError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable, Equatable {
        /// Redis cannot be reached, or refuses by itself (read-only, out of memory, no permission).
        case redis(RedisError)
        /// Another operator leads.
        case overtaken(by: Term, leader: String)
        /// Nobody leads: the election's lease ran out, or Redis forgot it. Campaign again.
        case lapsed
        /// The assignment in Redis is not the one that the change starts from (`none` when there is none).
        case epoch(found: Epoch, term: Term)
        /// The spec in Redis is another one (0: there is none).
        case generation(found: Int64)
        /// The cell runs, but Redis lost its spec.
        case forgotten
        /// The cell is being deleted: its spec cannot change any more.
        case beingDeleted
        /// A later incarnation of this server's name renews its lease.
        case superseded(by: Incarnation)
        /// Something in Redis is not what it should be; the key or place.
        case malformed(String)
    }

    public var code: Code
    public var problem: String
    /// What to do next.
    public var remedy: String

    init(_ code: Code, _ problem: String, remedy: String) {
        self.code = code
        self.problem = problem
        self.remedy = remedy
    }

    init(_ error: RedisError) {
        self.init(.redis(error), "\(error.address.map { "\($0): " } ?? "")\(error.problem)", remedy: error.remedy)
    }

    public var description: String { "\(problem). \(remedy)" }

    /// Whether Redis itself was in the way, so that the same call may succeed later.
    public var redis: RedisError? {
        if case .redis(let error) = code { error } else { nil }
    }
}
