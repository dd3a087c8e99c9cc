import Blackboard
import Cell
import FoundationEssentials

/// What a Cell object tells of its cell. Pure.
///
/// Every condition carries the generation of the *object* that it judges: one of an older spec says so.
struct CellObjectStatus: Equatable, Sendable {
    /// The condition that only objects have: whether their spec holds.
    static let accepted = "SpecAccepted"

    let json: JSON

    /// - Parameters:
    ///   - stored: the spec in Redis; nil before it was written.
    ///   - told: what the cell's operator told last; nil when it told nothing yet.
    init(_ object: CellObject, _ plan: CellObjectPlan, stored: StoredSpec?, told: CellStatus?, now_ms: Int64) {
        let before = object.toldStatus
        // What the operator told of this object's spec, not of one before it.
        let isCurrent = plan.isApplied && told.map { $0.observedGeneration >= stored?.generation ?? .max } ?? false
        let seen = isCurrent ? object.generation : min(before[path: "observedGeneration"]?.number ?? 0, object.generation)
        var conditions = (told?.conditions ?? []).map { condition in
            Self.condition(
                condition.type.rawValue, condition.status.rawValue, condition.reason, condition.message, seen, time_ms: condition.lastTransition_ms)
        }
        if let problem = plan.problem {
            conditions.removeAll { $0[path: "type"] == .text("Ready") }
            conditions.append(Self.kept("Ready", "False", "SpecInvalid", "the spec does not hold, the one before does: \(problem)", object, before, now_ms))
            conditions.append(Self.kept(Self.accepted, "False", "SpecInvalid", problem, object, before, now_ms))
        } else if plan.isApplied {
            conditions.append(Self.kept(Self.accepted, "True", "Applied", "the spec is the cell's", object, before, now_ms))
        }
        var members: [String: JSON] = [
            "observedGeneration": .integer(Int(plan.problem == nil ? seen : object.generation)), "selector": .text(Self.selector(object)),
        ]
        if !conditions.isEmpty { members["conditions"] = .list(conditions) }
        if let told {
            let messaging = told.servers.filter { $0.kind == .messaging }
            members["messaging"] = .object([
                "replicas": .integer(messaging.count { $0.role == "owner" }), "ready": .integer(messaging.count { $0.state == .ready }),
            ])
            members["epoch"] = .integer(Int(told.epoch.value))
            members["operator"] = .text(told.leader)
            members["log"] = told.log.map { .text("\($0)") }
        }
        json = .object(members)
    }

    /// For `kubectl scale` and whoever looks for the pods.
    static func selector(_ object: CellObject) -> String { "\(ServerLabels.cellKey)=\(object.name),\(ServerLabels.kindKey)=messaging" }

    private static func condition(_ type: String, _ status: String, _ reason: String, _ message: String, _ generation: Int64, time_ms: Int64) -> JSON {
        .object([
            "type": .text(type), "status": .text(status), "reason": .text(reason), "message": .text(message), "observedGeneration": .integer(Int(generation)),
            "lastTransitionTime": .text(Date(timeIntervalSince1970: Double(time_ms / 1_000)).formatted(.iso8601)),
        ])
    }

    /// One of ours: its time stays while its status does.
    private static func kept(_ type: String, _ status: String, _ reason: String, _ message: String, _ object: CellObject, _ before: JSON, _ now_ms: Int64)
        -> JSON
    {
        var fresh = condition(type, status, reason, message, object.generation, time_ms: now_ms)
        guard case .list(let conditions)? = before[path: "conditions"], let old = conditions.first(where: { $0[path: "type"] == .text(type) }),
            old[path: "status"] == .text(status), let time = old[path: "lastTransitionTime"], case .object(var members) = fresh
        else { return fresh }
        members["lastTransitionTime"] = time
        fresh = .object(members)
        return fresh
    }

    /// Whether the object says all this already.
    func isTold(by object: CellObject) -> Bool {
        guard case .object(let wanted) = json, case .object(let found) = object.toldStatus else { return false }
        return wanted.allSatisfy { found[$0.key] == $0.value }
    }
}

extension JSON {
    fileprivate var number: Int64? { if case .integer(let number) = self { Int64(number) } else { nil } }
}
