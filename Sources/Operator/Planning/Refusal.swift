import Cell

/// Why people's wish cannot be granted, and what to do instead.
public struct Refusal: Error, Equatable, Sendable {
    public var problem: String
    public var remedy: String
}

extension Wishes {
    /// Why the drains of these wishes cannot be granted; nil when they can. Pure.
    ///
    /// - Parameter servers: as the operator's status tells them, with connections as reported.
    public func refusalOfDrains(_ spec: CellSpec, _ servers: [CellStatus.ServerStatus]) -> Refusal? {
        let messaging = servers.filter { $0.kind == .messaging && $0.state != .dead && $0.state != .stopping }
        let drained = messaging.filter { drains.contains($0.name) || drainedZones.contains($0.zone) }
        guard !drained.isEmpty || !drainedZones.isEmpty else { return nil }
        if !spec.zones.isEmpty, Set(spec.zones).isSubset(of: drainedZones) {
            return Refusal(problem: "no zone of the cell would be left to start servers in", remedy: "Uncordon another zone first")
        }
        guard !drained.isEmpty else { return nil }
        let rest = messaging.filter { server in server.state == .ready && !drained.contains { $0.name == server.name } }
        let names = drained.map(\.name.description).sorted().joined(separator: ", ")
        guard !rest.isEmpty else {
            return Refusal(
                problem: "without \(names) no messaging server is ready to own the cell's partitions",
                remedy: "Start others first: cellctl scale messaging=\(spec.messaging.servers + 1) --wait")
        }
        let clients = messaging.reduce(0) { $0 + $1.connections }
        let room = rest.count * spec.messaging.maxConnections
        guard clients <= room else {
            return Refusal(
                problem: "without \(names) the cell may hold \(room) clients, and it has \(clients)",
                remedy: "Start others first: cellctl scale messaging=\(spec.messaging.servers + drained.count) --wait")
        }
        return nil
    }

    /// Why `partitions` cannot be moved to `id` by hand; nil when they can. Pure.
    public func refusal(ofMoving partitions: PartitionSet, to id: ServerID, _ spec: CellSpec, _ servers: [CellStatus.ServerStatus]) -> Refusal? {
        let owners = servers.filter { $0.role == Member.Role.owner.rawValue && $0.state == .ready && !drains.contains($0.name) }
        let remedy =
            owners.isEmpty ? "Wait until the cell is ready: cellctl status" : "Name one of \(owners.prefix(5).map(\.name.description).joined(separator: ", "))"
        guard let server = servers.first(where: { $0.name == id }), server.state != .dead else {
            return Refusal(problem: "\(id) is no server of the cell", remedy: remedy)
        }
        guard id.kind == .messaging else { return Refusal(problem: "\(id) owns no partitions: it is a \(id.kind.rawValue) server", remedy: remedy) }
        guard server.state == .ready else {
            let waits = server.waitsFor.isEmpty ? "" : ", and waits for \(server.waitsFor)"
            return Refusal(problem: "\(id) is not ready: it is \(server.state.rawValue)\(waits)", remedy: remedy)
        }
        guard server.role == Member.Role.owner.rawValue, !drains.contains(id), !drainedZones.contains(server.zone) else {
            let word = server.role == Member.Role.owner.rawValue ? Member.Role.draining.rawValue : server.role
            return Refusal(
                problem: "\(id) is \(word == "idle" ? "idle" : word == "standby" ? "a standby" : "draining") and owns nothing by itself", remedy: remedy)
        }
        if let last = partitions.ranges.last?.upperBound, last >= spec.partitions {
            return Refusal(problem: "there is no partition \(last)", remedy: "The cell has 0 to \(spec.partitions - 1)")
        }
        return nil
    }
}
