import Cell
import Redis

/// Something in Redis may have changed; a hint to read it.
public enum BlackboardChange: Sendable, Equatable {
    /// Listening (again) from now on: whatever changed before may have been missed, so read everything.
    case listening
    /// Listening to Redis stopped, and comes back by itself.
    case deaf(RedisError)
    /// A new assignment; the delta when there is one.
    case assignment(epoch: Epoch, term: Term, AssignmentDelta?)
    case settings(epoch: Int64)
    /// 0: the cell is gone.
    case spec(generation: Int64)
    /// A server arrived, left, or reports something that others wait for.
    case server(ServerID)
    /// The lead was taken or given up.
    case leader
    case status
    case events
}

/// Listens to a cell's channels.
public final class BlackboardListener: Sendable {
    public enum Topic: Sendable, CaseIterable { case assignment, settings, spec, servers, leader, status, events }

    /// For one reader. Ends with `close()` or the listener's last reference.
    public let changes: AsyncCompactMapSequence<AsyncStream<RedisSubscription.Event>, BlackboardChange>
    private let subscription: RedisSubscription

    /// - Parameters: as ``RedisSubscription``'s.
    /// - Throws: `redis` when the machine has no thread or descriptor left.
    public init(
        to topics: Set<Topic>, of board: CellBlackboard, patience: Duration = .milliseconds(1600), options: RedisOptions = RedisOptions()
    ) throws(BlackboardError) {
        let keys = board.keys
        do throws(RedisError) {
            subscription = try RedisSubscription(
                to: Set(topics.map { keys.channel(of: $0) }), at: board.redis.address, patience: patience, options: options)
        } catch {
            throw BlackboardError(error)
        }
        changes = subscription.events.compactMap { Self.change($0, keys) }
    }

    public func close() { subscription.close() }

    /// Nil for a message that is none of ours: the next renewal or reconnect tells the truth.
    static func change(_ event: RedisSubscription.Event, _ keys: RedisKeys) -> BlackboardChange? {
        switch event {
        case .subscribed: return .listening
        case .lost(let error): return .deaf(error)
        case .message(let channel, let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            guard let topic = Topic.allCases.first(where: { keys.channel(of: $0) == channel }) else { return nil }
            switch topic {
            case .assignment:
                if let delta = JSONText.decode(AssignmentDelta.self, from: text) { return .assignment(epoch: delta.epoch, term: delta.term, delta) }
                return JSONText.decode(AssignmentNotice.self, from: text).map { .assignment(epoch: $0.epoch, term: $0.term, nil) }
            case .settings: return Int64(text).map { .settings(epoch: $0) }
            case .spec: return .spec(generation: Int64(text) ?? 0)
            case .servers: return ServerID(text).map { .server($0) }
            case .leader: return .leader
            case .status: return .status
            case .events: return .events
            }
        }
    }
}

extension RedisKeys {
    func channel(of topic: BlackboardListener.Topic) -> String {
        switch topic {
        case .assignment: assignment
        case .settings: settings
        case .spec: spec
        case .servers: reports
        case .leader: leader
        case .status: status
        case .events: events
        }
    }
}

/// Listens to the set of cells, for an operator that serves all of them.
public final class CellsListener: Sendable {
    /// An element says: read the set again.
    public let changes: AsyncCompactMapSequence<AsyncStream<RedisSubscription.Event>, Void>
    private let subscription: RedisSubscription

    public init(at address: RedisAddress) throws(BlackboardError) {
        do throws(RedisError) {
            subscription = try RedisSubscription(to: [RedisKeys.cells], at: address)
        } catch {
            throw BlackboardError(error)
        }
        changes = subscription.events.compactMap { event in if case .lost = event { nil } else { () } }
    }

    public func close() { subscription.close() }
}
