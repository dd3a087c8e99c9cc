import Cell

/// Where new connect servers listen. Clients know a cell by this address, so who replaces another listens where that one does, beside it until it stops.
struct ConnectPorts {
    private let first: UInt16
    private var taken: Set<UInt16>
    private var leaving: [UInt16: ServerID]

    /// - Parameter leaving: servers that are to be replaced.
    init(_ spec: CellSpec, servers: [RunningServer], leaving: Set<ServerID>) {
        first = spec.connect.port
        let living = servers.filter { !$0.isGone && $0.life.id.kind == .connect }
        taken = Set(living.filter { !leaving.contains($0.life.id) }.compactMap(\.port))
        self.leaving = Dictionary(
            living.filter { leaving.contains($0.life.id) }.compactMap { server in server.port.map { ($0, server.life.id) } }, uniquingKeysWith: max)
    }

    /// The lowest port that no other takes, and who still listens there.
    mutating func next() -> (port: UInt16, replaces: ServerID?) {
        var port = first
        while taken.contains(port), port < .max { port += 1 }
        taken.insert(port)
        return (port, leaving.removeValue(forKey: port))
    }
}
