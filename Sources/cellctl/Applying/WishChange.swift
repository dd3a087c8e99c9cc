import Blackboard
import Cell
import Operator

extension Session {
    /// Changes what people ask of a cell's servers, unless somebody else's change keeps coming in between.
    ///
    /// - Parameter change: looks at where the cell stands, and throws what it refuses.
    /// - Returns: whether anything is asked that was not asked before.
    @discardableResult
    func wish(in cell: CellName, _ change: (inout Wishes, CellSpec, [CellStatus.ServerStatus]) throws -> Void) async throws -> Bool {
        for _ in 1...5 {
            let snapshot = try await snapshot(cell)
            guard let stored = snapshot.spec else { throw Failure(.failed, "there is no cell \(cell) any more", remedy: "cellctl get cells lists them") }
            guard !stored.isDeleted else { throw Failure(.failed, "cell \(cell) is being deleted", remedy: "Nothing is to be done") }
            let spec = try CellSpec.read(json: stored.json, source: "the spec in Redis")
            let servers = ServerItems(snapshot).all
            let before = try await board(cell).wishes()
            var wishes = before
            do { try change(&wishes, spec, servers) } catch let refusal as Refusal { throw Failure(.failed, refusal.problem, remedy: refusal.remedy) }
            if wishes == before { return false }
            if !servers.isEmpty { wishes.forget(allBut: Set(servers.map(\.name))) }
            if try await board(cell).put(wishes, replacing: before.revision) != nil { return true }
        }
        throw Failure(.failed, "what is asked of cell \(cell) keeps changing", remedy: "Find out who else asks, and ask again")
    }
}

/// Servers by name or zone, as `drain` and `uncordon` take them.
struct Chosen {
    let servers: [ServerID]
    let zones: [String]

    init(_ call: Call) throws(Failure) {
        var servers: [ServerID] = []
        for word in call.words {
            guard let id = ServerID(word) else {
                throw .usage("\"\(word)\" is no server's name", remedy: "Write it like messaging-2; cellctl get servers lists them")
            }
            servers.append(id)
        }
        self.servers = servers
        zones = call.values(.zone)
        guard !servers.isEmpty || !zones.isEmpty else {
            throw .usage("\(call.verb.name) needs a server or a zone", remedy: "Write: cellctl \(call.verb.usage[0])")
        }
    }

    func expect(among spec: CellSpec, _ known: [CellStatus.ServerStatus]) throws(Failure) {
        let names = known.filter { $0.state != .dead }.map(\.name.description)
        for id in servers where !names.contains(id.description) {
            throw Failure(
                .failed, "there is no server \"\(id)\"",
                remedy: nearest(to: id.description, among: names).map { "Did you mean \($0)?" } ?? "cellctl get servers lists them")
        }
        let zoneNames = Set(spec.zones + known.map(\.zone)).filter { !$0.isEmpty }.sorted()
        for zone in zones where !zoneNames.contains(zone) {
            throw Failure(
                .failed, "there is no zone \"\(zone)\"", remedy: zoneNames.isEmpty ? "The cell has none" : "Name one of \(zoneNames.joined(separator: ", "))")
        }
    }
}

extension Option {
    static let zone = Option(name: "zone", value: .required("ZONE"), about: "Every server of this zone, also those to come. May be given several times.")
}
