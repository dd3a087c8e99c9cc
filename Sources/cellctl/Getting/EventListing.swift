import Blackboard
import Cell

extension Listing {
    static func events(_ events: [CellBlackboard.StoredEvent]) -> Listing {
        Listing(columns: ["TIME", "KIND", "SERVER", "TEXT"], items: events.map(item))
    }

    private static func item(_ stored: CellBlackboard.StoredEvent) -> Item {
        let event = stored.event
        var members: [String: JSON] = [
            "id": .text(stored.id), "kind": .text(event.kind), "time": .text(timestamp(event.time_ms)), "time_ms": .integer(Int(event.time_ms)),
            "text": .text(event.text),
        ]
        members["server"] = event.server.map { .text($0.description) }
        members["incarnation"] = event.incarnation.map { .text($0.description) }
        members["epoch"] = event.epoch.map { .integer(Int($0.value)) }
        return Item(
            name: "event/\(stored.id)", cells: [timestamp(event.time_ms), event.kind, event.server?.description ?? "", event.text],
            json: JSON.object(members).description)
    }
}

extension Listing {
    /// What servers may change while they run, by the names of cell.yaml.
    static func settings(_ settings: Settings, _ overrides: SettingsOverrides) -> Listing {
        let limits = settings.limits
        let values: [(String, JSON)] = [
            ("failover.heartbeat", .text(Quantity.text(.milliseconds(settings.heartbeat_ms)))),
            ("failover.lease", .text(Quantity.text(.milliseconds(settings.lease_ms)))),
            ("messaging.alive", .text(Quantity.text(.milliseconds(settings.alive_ms)))),
            ("messaging.limits.backlog", .text(Quantity.text(bytes: limits.backlog))),
            ("messaging.limits.bodyBytes", .text(Quantity.text(bytes: limits.bodyBytes))),
            ("messaging.limits.partitionRate", .integer(limits.partitionRate)),
            ("messaging.limits.streamsPerUser", .integer(limits.streamsPerUser)),
            ("messaging.limits.unacknowledged", .integer(limits.unacknowledged)),
            ("messaging.limits.userRate", .integer(limits.userRate)),
            ("messaging.maxConnections", .integer(settings.maxConnections)),
            ("messaging.window.age", .text(Quantity.text(.milliseconds(settings.windowAge_ms)))),
            ("messaging.window.bytes", .text(Quantity.text(bytes: settings.windowBytes))),
            ("moves.clientsPerSecond", .integer(settings.movedPerSecond)),
            ("moves.grace", .text(Quantity.text(.milliseconds(settings.moveGrace_ms)))),
        ]
        return Listing(
            columns: ["NAME", "VALUE", "EPOCH", "GENERATION", "FROM"],
            items: values.map { name, value in
                let origin = overrides.values[name] == nil ? "spec" : "set"
                let json = JSON.object([
                    "name": .text(name), "value": value, "epoch": .integer(Int(settings.epoch)), "generation": .integer(Int(settings.generation)),
                    "from": .text(origin),
                ])
                let text = if case .text(let text) = value { text } else { value.description }
                return Item(name: "setting/\(name)", cells: [name, text, "\(settings.epoch)", "\(settings.generation)", origin], json: json.description)
            })
    }
}
