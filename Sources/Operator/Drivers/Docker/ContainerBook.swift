import Cell
import FoundationEssentials

/// What is known of a cell's containers, from lists, events and our own calls, in whatever order they come.
///
/// Pure: what is to be done comes back as steps. An end is final, and everything may be told twice.
struct ContainerBook: Sendable {
    enum Step: Equatable, Sendable {
        case tell(RunningServer)
        /// It runs: where its process can be seen, its end is seen sooner than the engine tells.
        case watch(ServerLife, container: String)
        /// It ended; its last words may be worth asking for.
        case ended(ServerLife, container: String, ContainerEnd)
        /// It ended while nobody listened: only the container knows how.
        case inspect(ServerLife, container: String)
        /// A container of ours that nobody needs.
        case remove(container: String)
    }

    struct Details: Equatable, Sendable {
        var ranOutOfMemory = false
    }

    /// A container that was made and not started for so long will not be: its maker is gone.
    static let startingAtMost = Duration.seconds(90)

    let cell: CellName
    var lives = LifeBook<Details>()
    /// Forgotten before the engine has said how they ended.
    private(set) var unexplained: [ServerLife: LifeBook<Details>.Entry] = [:]

    init(_ cell: CellName) { self.cell = cell }

    // MARK: Our own calls

    mutating func started(_ life: ServerLife, container: String, name: String, zone: String, port: UInt16?, template: String = "", now: Moment) -> [Step] {
        guard lives.started(life) else { return [] }
        return add(life, container: container, name: name, zone: zone, port: port, template: template, started: now)
    }

    /// - Returns: the container to remove; nil when there is none.
    mutating func forget(_ life: ServerLife) -> String? {
        guard let entry = lives.forget(life) else { return nil }
        if entry.isUnexplained { unexplained[life] = entry }
        return entry.isThere ? entry.handle : nil
    }

    /// Nobody will say any more how it ended.
    mutating func giveUpExplaining(_ life: ServerLife) { unexplained[life] = nil }

    /// The end is final: nil when it was known. One that is forgotten may still be explained.
    ///
    /// - Parameter explained: otherwise a reason may follow.
    mutating func finish(_ life: ServerLife, at: Moment, _ reason: String, explained: Bool = true) -> RunningServer? {
        guard lives[life] == nil, explained else { return lives.finish(life, at: at, reason, explained: explained) }
        guard var seen = unexplained.removeValue(forKey: life)?.seen, case .exited(let at, _) = seen.state else { return nil }
        seen.state = .exited(at: at, reason: reason)
        return seen
    }

    // MARK: What the engine says

    mutating func take(_ list: [EngineMessage.Listed], since mark: Int, now: Moment, unix_s: Int64) -> [Step] {
        var steps: [Step] = []
        for item in list {
            guard let labels = item.Labels.flatMap({ ServerLabels($0) }), labels.cell == cell else { continue }
            steps += take(item, labels, now: now, age: .seconds(max(0, unix_s - (item.Created ?? unix_s))))
        }
        return steps + lives.close(Set(list.map(\.Id)), since: mark, now: now, "its container was removed").map { .tell($0) }
    }

    private mutating func take(_ item: EngineMessage.Listed, _ labels: ServerLabels, now: Moment, age: Duration) -> [Step] {
        let life = labels.life
        guard !lives.leaving.contains(item.Id) else { return item.State == "removing" || unexplained[life] != nil ? [] : [.remove(container: item.Id)] }
        guard !lives.pending.contains(life) else { return [] }
        guard lives.abandoned[life] == nil else { return [.remove(container: item.Id)] }
        if let entry = lives[life], entry.handle != item.Id || !entry.isOpen { return [] }
        let name = item.Names?.first.map { $0.hasPrefix("/") ? String($0.dropFirst()) : $0 } ?? String(item.Id.prefix(12))
        switch item.State {
        case "running", "paused", "restarting":
            lives.change(life) { $0.seen.container = name }
            // One that is gone and still listed: the engine is slower than its process.
            guard lives[life] == nil else { return [] }
            return add(life, container: item.Id, name: name, zone: labels.zone, port: labels.port, template: labels.template, started: now - age)
        case "created":
            // Perhaps another operator starts it at this moment.
            guard lives[life] == nil, age > Self.startingAtMost else { return [] }
            _ = add(life, container: item.Id, name: name, zone: labels.zone, port: labels.port, template: labels.template, started: now - age)
            return finish(life, at: now, "its container was made and never started").map { [.tell($0)] } ?? []
        default:
            if lives[life] == nil {
                _ = add(life, container: item.Id, name: name, zone: labels.zone, port: labels.port, template: labels.template, started: now - age)
            }
            return [.inspect(life, container: item.Id)]
        }
    }

    mutating func take(_ event: EngineMessage.Event, now: Moment) -> [Step] {
        let attributes = event.Actor.Attributes ?? [:]
        let container = event.Actor.ID
        guard let labels = ServerLabels(attributes), labels.cell == cell else { return [] }
        let life = labels.life
        if event.Action == "destroy" { lives.removed(container) }
        guard !lives.leaving.contains(container) || event.Action == "die" else { return [] }
        switch event.Action {
        case "start":
            guard lives.abandoned[life] == nil else { return [.remove(container: container)] }
            guard lives[life] == nil else { return [] }
            let name = attributes["name"] ?? String(container.prefix(12))
            return add(life, container: container, name: name, zone: labels.zone, port: labels.port, template: labels.template, started: now)
        case "oom":
            if lives[life]?.handle == container { lives.change(life) { $0.details.ranOutOfMemory = true } }
            return []
        case "die":
            guard let entry = lives[life] ?? unexplained[life], entry.handle == container, entry.isOpen else { return [] }
            let code = attributes["exitCode"].flatMap { Int32($0) }
            return [.ended(life, container: container, ContainerEnd(code: code, ranOutOfMemory: entry.details.ranOutOfMemory))]
        case "destroy":
            guard lives[life]?.handle == container else { return [] }
            lives.vanished(life)
            return finish(life, at: now, "its container was removed").map { [.tell($0)] } ?? []
        default: return []
        }
    }

    private mutating func add(
        _ life: ServerLife, container: String, name: String, zone: String, port: UInt16?, template: String, started: Moment
    ) -> [Step] {
        var seen = RunningServer(life, started: started, zone: zone, port: port)
        seen.container = name
        seen.template = template
        lives.add(seen, handle: container, Details())
        return [.tell(seen), .watch(life, container: container)]
    }
}

/// How a container ended.
struct ContainerEnd: Equatable, Sendable, CustomStringConvertible {
    /// Above 128: the signal that ended it, and 128. Nil when the engine does not know.
    var code: Int32?
    var ranOutOfMemory = false
    /// Why it could not be started.
    var problem = ""

    init(code: Int32?, ranOutOfMemory: Bool = false) {
        self.code = code
        self.ranOutOfMemory = ranOutOfMemory
    }

    init(_ state: EngineMessage.Inspected.State) {
        code = state.ExitCode
        ranOutOfMemory = state.OOMKilled ?? false
        problem = state.Error ?? ""
    }

    private var end: ProcessEnd {
        switch code {
        case let code? where code > 128 && code <= 128 + 64: .signal(code - 128)
        case let code?: .code(code)
        case nil: .unknown
        }
    }

    /// Whether its last lines say more than this: a server that was killed, or ended in peace, has nothing to add.
    var hasLastWords: Bool { problem.isEmpty && !ranOutOfMemory && end != .code(0) && end != .signal(9) && end != .signal(15) }

    var description: String {
        if !problem.isEmpty { return "it could not be started: \(problem)" }
        return ranOutOfMemory ? "it ran out of memory: \(end)" : "\(end)"
    }
}

extension EngineMessage.Inspected.State {
    /// Unix seconds by the engine's clock; nil while it runs.
    var finished_s: Int64? {
        guard let text = FinishedAt, !text.hasPrefix("0001"), let date = try? Date("\(text.prefix(19))Z", strategy: .iso8601) else { return nil }
        return Int64(date.timeIntervalSince1970)
    }
}
