import Blackboard
import Cell

/// The servers of a cell as people see them. Pure.
///
/// The operator's status says what there is; role, partitions, connections and epoch are taken from where they change first, the assignment
/// and the servers' own reports, as long as those speak of the same incarnation.
struct ServerItems {
    let all: [CellStatus.ServerStatus]

    init(_ snapshot: Snapshot) {
        var items = snapshot.status?.servers ?? []
        let known = Set(items.map(\.name))
        items += snapshot.servers.reports.keys.filter { !known.contains($0) }.compactMap { Self.unlisted($0, snapshot.servers) }
        all = items.map { Self.refreshed($0, snapshot) }.sorted { $0.name < $1.name }
    }

    /// A server that reports, and that no operator has written about yet.
    private static func unlisted(_ id: ServerID, _ servers: ServersInRedis) -> CellStatus.ServerStatus? {
        guard let report = servers.reports[id], let lease = servers.leases.first(where: { $0.server == id && $0.incarnation == report.incarnation }),
            servers.isLive(lease)
        else { return nil }
        let state: CellStatus.ServerStatus.State =
            switch report.state {
            case .starting: .starting
            case .ready: .ready
            case .stopping: .stopping
            }
        var item = CellStatus.ServerStatus(id, report.incarnation, state: state)
        item.address = report.address
        item.http = report.http
        item.zone = report.zone
        item.pid = report.pid
        item.build = report.build
        item.waitsFor = report.waitsFor
        return item
    }

    private static func refreshed(_ item: CellStatus.ServerStatus, _ snapshot: Snapshot) -> CellStatus.ServerStatus {
        var item = item
        if item.kind == .messaging, let member = snapshot.assignment.members[item.name], member.incarnation == item.incarnation {
            item.role = member.role == .service ? "" : member.role.rawValue
            item.partitions = member.owns.texts
        }
        if let report = snapshot.servers.reports[item.name], report.incarnation == item.incarnation {
            item.connections = report.connections
            item.epoch = report.epoch
            item.build = report.build
        }
        return item
    }
}

extension Listing {
    static func servers(_ snapshot: Snapshot) -> Listing {
        Listing(
            columns: ["NAME", "ROLE", "STATE", "PARTITIONS", "CONNECTIONS", "ADDRESS"],
            wideColumns: ["HTTP", "ZONE", "INCARNATION", "RUNS-AS", "EPOCH", "BUILD", "WAITS-FOR"],
            items: ServerItems(snapshot).all.map(item), mood: { ["dead": .red, "cutOff": .red, "starting": .yellow, "stopping": .yellow][$0] })
    }

    private static func item(_ server: CellStatus.ServerStatus) -> Item {
        let runsAs = server.pid.map { "pid \($0)" } ?? server.container ?? server.pod ?? ""
        return Item(
            name: "server/\(server.name)",
            cells: [
                server.name.description, server.role, server.state.rawValue, server.partitions.joined(separator: ","), "\(server.connections)", server.address,
            ],
            wide: [server.http, server.zone, server.incarnation.description, runsAs, "\(server.epoch)", server.build, server.waitsFor],
            json: compactJSON(server))
    }
}
