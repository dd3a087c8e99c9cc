import Blackboard
import Cell
import FoundationEssentials
import YAML

extension Listing {
    /// Pure: cells as `get cells` shows them. JSON is the document that can be applied again, and its status.
    static func cells(_ snapshots: [Snapshot], now_ms: Int64) -> Listing {
        Listing(
            columns: ["NAME", "READY", "SERVERS", "STANDBYS", "PARTITIONS", "CONNECTIONS", "GENERATION", "EPOCH", "AGE"],
            wideColumns: ["LEADER", "BACKPLANE", "STORE", "RUN", "REASON"],
            items: snapshots.compactMap { item($0, now_ms) },
            mood: { ["True": .green, "False": .red, "Unknown": .yellow][$0] })
    }

    private static func item(_ snapshot: Snapshot, _ now_ms: Int64) -> Item? {
        guard let stored = snapshot.spec else { return nil }
        let spec = try? CellSpec.read(json: stored.json, source: "Redis")
        let ready = Readiness(snapshot)
        let messaging = ServerItems(snapshot).all.filter { $0.kind == .messaging && $0.state == .ready }
        let owners = messaging.filter { $0.role == "owner" }.count
        let counts = [
            "\(owners)/\(spec.map { "\($0.messaging.servers)" } ?? "?")",
            "\(messaging.filter { $0.role == "standby" }.count)/\(spec.map { "\($0.messaging.standbys)" } ?? "?")",
        ]
        let cells =
            [snapshot.cell.description, ready.word] + counts + [
                spec.map { "\($0.partitions)" } ?? "?", "\(messaging.reduce(0) { $0 + $1.connections })", "\(stored.generation)",
                "\(snapshot.assignment.epoch)",
                stored.created_ms > 0 ? age(since: stored.created_ms, now_ms: now_ms) : "",
            ]
        let wide = [snapshot.leader?.name ?? "none"] + ["backplane", "store", "run"].map { spec?.json[path: "spec.\($0)"]?.onlyKey ?? "?" } + [ready.reason]
        return Item(name: "cell/\(snapshot.cell)", cells: cells, wide: wide, json: document(snapshot, stored, ready))
    }

    /// A cell as it can be applied again; nil when its spec cannot be read.
    static func appliable(_ snapshot: Snapshot) -> String? {
        snapshot.spec.flatMap { try? CellSpec.read(json: $0.json, source: "Redis").canonicalJSON }
    }

    private static func document(_ snapshot: Snapshot, _ stored: StoredSpec, _ ready: Readiness) -> String {
        var members: [String: JSON] = ["name": .text(snapshot.cell.description), "generation": .integer(Int(stored.generation)), "ready": .text(ready.word)]
        if let spec = try? CellSpec.read(json: stored.json, source: "Redis"), case .object(let document) = spec.json {
            members.merge(document) { $1 }
        }
        if stored.isDeleted { members["deleted"] = .flag(true) }
        if let leader = snapshot.leader { members["leader"] = .text(leader.name) }
        if let status = snapshot.status { members["status"] = .canonical(compactJSON(status)) }
        return JSON.object(members).description
    }
}

/// Whether a cell is ready, by the generation that its spec has now.
struct Readiness: Equatable {
    /// True, False or Unknown.
    var word: String
    var reason: String
    var message: String

    init(_ snapshot: Snapshot) {
        let generation = snapshot.spec?.generation ?? 0
        if snapshot.spec?.isDeleted == true {
            self.init("False", "Deleting", "the cell is being deleted")
        } else if let obstacle = obstacle(to: generation, in: snapshot) {
            let ready = snapshot.status?.condition(.ready)
            let isJudged = ready.map { $0.observedGeneration >= generation } ?? false
            self.init(isJudged ? (ready?.status == .unknown ? "Unknown" : "False") : "Unknown", isJudged ? ready?.reason ?? "" : "NotObserved", obstacle)
        } else {
            self.init("True", snapshot.status?.condition(.ready)?.reason ?? "", snapshot.status?.condition(.ready)?.message ?? "")
        }
    }

    private init(_ word: String, _ reason: String, _ message: String) {
        self.word = word
        self.reason = reason
        self.message = message
    }
}

extension JSON {
    /// The only key of an object that has one.
    var onlyKey: String? { if case .object(let members) = self, members.count == 1 { members.keys.first } else { nil } }
}

/// `value` as JSON in one line, keys sorted.
func compactJSON(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Our values have no number that JSON cannot write.
    return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
}
