import Cell
import Operator

/// What runs the servers, for every operator's driver: it outlives them all.
struct Substrate {
    private var entries: [ServerLife: (server: ServerModel, seen: RunningServer)] = [:] {
        didSet { sorted = nil }
    }
    private var sorted: [ServerModel]?

    /// Every server that runs or that ended and is not forgotten, by life.
    var present: [RunningServer] { entries.values.map(\.seen).sorted { $0.life < $1.life } }

    /// Those whose process is there.
    var living: [ServerModel] {
        mutating get {
            if let sorted { return sorted }
            let found = entries.values.map(\.server).filter(\.exists).sorted { $0.life < $1.life }
            sorted = found
            return found
        }
    }

    func server(_ life: ServerLife) -> ServerModel? { entries[life]?.server }

    mutating func add(_ server: ServerModel, _ order: StartOrder, _ template: String, now: Moment) -> RunningServer {
        let seen = RunningServer(server.life, started: now, zone: order.zone, port: order.port, template: template)
        entries[server.life] = (server, seen)
        return seen
    }

    mutating func markStopping(_ life: ServerLife) -> RunningServer? {
        guard var entry = entries[life], entry.server.exists else { return entries[life]?.seen }
        entry.seen.state = .stopping
        entry.seen.asked = true
        entries[life] = entry
        return entry.seen
    }

    mutating func markEnded(_ life: ServerLife, reason: String, now: Moment) -> RunningServer? {
        guard var entry = entries[life], !entry.seen.isGone else { return nil }
        entry.seen.state = .exited(at: now, reason: reason)
        entries[life] = entry
        return entry.seen
    }

    mutating func forget(_ life: ServerLife) { if entries[life]?.seen.isGone == true { entries[life] = nil } }

    mutating func drop(_ life: ServerLife) { entries[life] = nil }

    mutating func kill(_ life: ServerLife, in world: World) {
        guard entries[life]?.server.exists == true else { return }
        entries[life]?.seen.asked = true
        let server = entries[life]?.server
        world.after(300) { server?.exit("signal 9 (Killed) ended it") }
    }
}
