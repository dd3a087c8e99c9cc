import Cell
import Redis

extension CellBlackboard {
    /// About how many events a cell keeps.
    public static let keptEvents = 10_000

    public func add(_ events: [CellEvent], as election: Election) async throws {
        guard !events.isEmpty else { return }
        var arguments: [any RedisArgument] = [Self.keptEvents]
        for event in events {
            arguments += [event.time_ms, event.kind, event.server?.description ?? "", event.text, JSONText.encode(event)] as [any RedisArgument]
        }
        _ = try await write(Self.addEvents, as: election, keys: [keys.events], arguments: arguments)
    }

    private static let addEvents = FencedScript(
        """
        for at = 4, #ARGV, 5 do
            redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'time_ms', ARGV[at], 'kind', ARGV[at + 1],
                'server', ARGV[at + 2], 'text', ARGV[at + 3], 'json', ARGV[at + 4])
        end
        redis.call('PUBLISH', KEYS[2], '')
        return {'ok'}
        """)

    /// An event with its place in the stream, to go on from there.
    public struct StoredEvent: Sendable, Equatable {
        public let id: String
        public let event: CellEvent
    }

    /// The last `limit` events, oldest first; malformed ones are left out.
    public func latestEvents(_ limit: Int) async throws -> [StoredEvent] {
        Self.events(in: try await command("XREVRANGE", keys.events, "+", "-", "COUNT", limit)).reversed()
    }

    /// The first `limit` events after the place `id`, oldest first.
    public func events(after id: String, limit: Int) async throws -> [StoredEvent] {
        Self.events(in: try await command("XRANGE", keys.events, "(" + id, "+", "COUNT", limit))
    }

    private static func events(in answer: RedisValue) -> [StoredEvent] {
        (answer.array ?? []).compactMap { entry in
            guard let parts = entry.array, parts.count == 2, let id = parts[0].string,
                let json = parts[1].pairs?.first(where: { $0.key == "json" })?.value.string,
                let event = JSONText.decode(CellEvent.self, from: json)
            else { return nil }
            return StoredEvent(id: id, event: event)
        }
    }
}
