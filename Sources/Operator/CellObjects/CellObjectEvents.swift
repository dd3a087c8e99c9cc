import Blackboard
import Cell
import FoundationEssentials

/// What happened to a cell, as Kubernetes' events on its object. Pure.
///
/// Their names come from what they tell, so that two operators, or one twice, make one.
enum CellObjectEvents {
    /// So many at once; what is over is counted in one more.
    static let most = 20

    static func bodies(_ events: [CellBlackboard.StoredEvent], of object: CellObject, by name: String) -> [JSON] {
        var bodies = events.prefix(most).map { stored in
            body(
                stored.event.kind, stored.event.text, suffix: stored.id, time_ms: stored.event.time_ms, isWarning: warnings.contains(stored.event.kind), object,
                by: name)
        }
        if let last = events.last, events.count > most {
            let words = "\(events.count - most) more events are in cellctl get events --cell \(object.name)"
            bodies.append(body("EventsLeftOut", words, suffix: "more-\(last.id)", time_ms: last.event.time_ms, isWarning: false, object, by: name))
        }
        return bodies
    }

    /// A spec that does not hold.
    static func refusal(_ problem: String, of object: CellObject, by name: String, now_ms: Int64) -> JSON {
        body("SpecInvalid", problem, suffix: "spec-\(object.generation)", time_ms: now_ms, isWarning: true, object, by: name)
    }

    private static let warnings: Set = [
        "ServerLost", "ServerExited", "ServerKilled", "ServerExplained", "RedisLostData", "SettingsIgnored", "RolloutStopped", "CutOff", "TopicDiffers",
    ]

    private static func body(
        _ kind: String, _ text: String, suffix: String, time_ms: Int64, isWarning: Bool, _ object: CellObject, by name: String
    ) -> JSON {
        let time: JSON = .text(Date(timeIntervalSince1970: Double(time_ms / 1_000)).formatted(.iso8601))
        let about: [String: JSON] = [
            "apiVersion": .text(CellSchema.apiVersion), "kind": .text(CellSchema.kind), "name": .text(object.name), "namespace": .text(object.namespace),
            "uid": .text(object.metadata.uid ?? ""),
        ]
        return .object([
            "apiVersion": .text("v1"), "kind": .text("Event"),
            "metadata": .object(["name": .text("\(object.name).\(suffix)"), "namespace": .text(object.namespace)]),
            "involvedObject": .object(about), "type": .text(isWarning ? "Warning" : "Normal"), "reason": .text(kind),
            // Kubernetes takes 1,024 bytes.
            "message": .text(String(decoding: text.utf8.prefix(1_000), as: UTF8.self)), "firstTimestamp": time, "lastTimestamp": time, "count": .integer(1),
            "source": .object(["component": .text("cell-operator"), "host": .text(name)]),
        ])
    }
}
