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

    struct Entry: Equatable, Sendable {
        var seen: RunningServer
        var container: String
        var ranOutOfMemory = false
        /// It is gone, and the engine has not said yet how.
        fileprivate(set) var isUnexplained = false
        /// Greater than what a list was begun with that cannot know it.
        fileprivate var number: Int
    }

    /// A container that was made and not started for so long will not be: its maker is gone.
    static let startingAtMost = Duration.seconds(90)

    /// Of a server whose container is gone; those whose container is there are remembered until they are forgotten.
    static let rememberedFor = Duration.seconds(60)

    /// Longer than any call to the engine lasts.
    static let abandonedFor = Duration.seconds(600)

    let cell: CellName
    private(set) var entries: [ServerLife: Entry] = [:]
    /// Being started by us.
    private(set) var pending: Set<ServerLife> = []
    /// Starts that failed halfway, or were not wanted any more: whatever comes of them goes.
    private(set) var abandoned: [ServerLife: Moment] = [:]
    /// Forgotten before the engine has said how they ended.
    private(set) var unexplained: [ServerLife: Entry] = [:]
    /// Containers being removed, by id: they count as gone, however long that takes.
    private(set) var leaving: Set<String> = []
    private var count = 0

    init(_ cell: CellName) { self.cell = cell }

    var servers: [RunningServer] { entries.values.map(\.seen).sorted { $0.life < $1.life } }

    // MARK: Our own calls

    /// - Returns: whether it is new; otherwise there is nothing to start.
    mutating func begin(_ life: ServerLife) -> Bool {
        entries[life] == nil && abandoned[life] == nil && pending.insert(life).inserted
    }

    mutating func started(_ life: ServerLife, container: String, name: String, zone: String, port: UInt16?, template: String = "", now: Moment) -> [Step] {
        pending.remove(life)
        // The event may have been quicker, and so may its end.
        guard entries[life] == nil else { return [] }
        return add(life, container: container, name: name, zone: zone, port: port, template: template, started: now)
    }

    /// Whatever there is of it, or will be, goes.
    mutating func abandon(_ life: ServerLife, now: Moment) {
        pending.remove(life)
        if entries[life] == nil { abandoned[life] = now }
    }

    /// - Returns: the server to ask, with its container; nil when it is gone or was never there.
    mutating func ask(_ life: ServerLife) -> Entry? {
        guard var entry = entries[life], !entry.seen.isGone else { return nil }
        entry.seen.state = .stopping
        entry.seen.asked = true
        entries[life] = entry
        return entry
    }

    /// It could not be asked.
    mutating func unask(_ entry: Entry) {
        guard entries[entry.seen.life]?.seen.state == .stopping else { return }
        entries[entry.seen.life]?.seen.state = .running
        entries[entry.seen.life]?.seen.asked = false
    }

    /// - Returns: the container to remove.
    mutating func forget(_ life: ServerLife) -> String? {
        guard let entry = entries[life], entry.seen.isGone else { return nil }
        entries[life] = nil
        leaving.insert(entry.container)
        if entry.isUnexplained { unexplained[life] = entry }
        return entry.container
    }

    mutating func removed(_ container: String) { leaving.remove(container) }

    /// Nobody will say any more how it ended.
    mutating func giveUpExplaining(_ life: ServerLife) { unexplained[life] = nil }

    /// The end is final: nil when it was known.
    ///
    /// - Parameter explained: otherwise a reason may follow.
    mutating func finish(_ life: ServerLife, at: Moment, _ reason: String, explained: Bool = true) -> RunningServer? {
        guard var entry = entries[life] else { return explained ? explain(life, reason) : nil }
        if case .exited(let first, _) = entry.seen.state {
            guard entry.isUnexplained, explained else { return nil }
            entry.seen.state = .exited(at: first, reason: reason)
        } else {
            entry.seen.state = .exited(at: at, reason: reason)
        }
        entry.isUnexplained = !explained
        entries[life] = entry
        return entry.seen
    }

    private mutating func explain(_ life: ServerLife, _ reason: String) -> RunningServer? {
        guard var seen = unexplained.removeValue(forKey: life)?.seen, case .exited(let at, _) = seen.state else { return nil }
        seen.state = .exited(at: at, reason: reason)
        return seen
    }

    // MARK: What the engine says

    /// Before a list is asked for: what comes later is not in it.
    func mark() -> Int { count }

    mutating func take(_ list: [EngineMessage.Listed], since mark: Int, now: Moment, unix_s: Int64) -> [Step] {
        var steps: [Step] = []
        for item in list {
            guard let labels = item.Labels.flatMap({ ServerLabels($0) }), labels.cell == cell else { continue }
            steps += take(item, labels, now: now, age: .seconds(max(0, unix_s - (item.Created ?? unix_s))))
        }
        let listed = Set(list.map(\.Id))
        for entry in entries.values.sorted(by: { $0.number < $1.number }) where !listed.contains(entry.container) && entry.number <= mark {
            if let seen = finish(entry.seen.life, at: now, "its container was removed") { steps.append(.tell(seen)) }
            // Another operator has forgotten it, or will not ask any more.
            if case .exited(let at, _) = entry.seen.state, at + Self.rememberedFor < now { entries[entry.seen.life] = nil }
        }
        leaving.formIntersection(listed)
        abandoned = abandoned.filter { $0.value + Self.abandonedFor > now }
        return steps
    }

    private mutating func take(_ item: EngineMessage.Listed, _ labels: ServerLabels, now: Moment, age: Duration) -> [Step] {
        let life = labels.life
        guard !leaving.contains(item.Id) else { return item.State == "removing" || unexplained[life] != nil ? [] : [.remove(container: item.Id)] }
        guard !pending.contains(life) else { return [] }
        guard abandoned[life] == nil else { return [.remove(container: item.Id)] }
        if let entry = entries[life], entry.container != item.Id || (entry.seen.isGone && !entry.isUnexplained) { return [] }
        let name = item.Names?.first.map { $0.hasPrefix("/") ? String($0.dropFirst()) : $0 } ?? String(item.Id.prefix(12))
        switch item.State {
        case "running", "paused", "restarting":
            entries[life]?.seen.container = name
            // One that is gone and still listed: the engine is slower than its process.
            guard entries[life] == nil else { return [] }
            return add(life, container: item.Id, name: name, zone: labels.zone, port: labels.port, template: labels.template, started: now - age)
        case "created":
            // Perhaps another operator starts it at this moment.
            guard entries[life] == nil, age > Self.startingAtMost else { return [] }
            _ = add(life, container: item.Id, name: name, zone: labels.zone, port: labels.port, template: labels.template, started: now - age)
            return finish(life, at: now, "its container was made and never started").map { [.tell($0)] } ?? []
        default:
            if entries[life] == nil {
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
        if event.Action == "destroy" { leaving.remove(container) }
        guard !leaving.contains(container) || event.Action == "die" else { return [] }
        switch event.Action {
        case "start":
            guard abandoned[life] == nil else { return [.remove(container: container)] }
            guard entries[life] == nil else { return [] }
            let name = attributes["name"] ?? String(container.prefix(12))
            return add(life, container: container, name: name, zone: labels.zone, port: labels.port, template: labels.template, started: now)
        case "oom":
            if entries[life]?.container == container { entries[life]?.ranOutOfMemory = true }
            return []
        case "die":
            guard let entry = entries[life] ?? unexplained[life], entry.container == container, !entry.seen.isGone || entry.isUnexplained else { return [] }
            let code = attributes["exitCode"].flatMap { Int32($0) }
            return [.ended(life, container: container, ContainerEnd(code: code, ranOutOfMemory: entry.ranOutOfMemory))]
        case "destroy":
            guard entries[life]?.container == container else { return [] }
            return finish(life, at: now, "its container was removed").map { [.tell($0)] } ?? []
        default: return []
        }
    }

    private mutating func add(
        _ life: ServerLife, container: String, name: String, zone: String, port: UInt16?, template: String, started: Moment
    ) -> [Step] {
        count += 1
        var seen = RunningServer(life, started: started, zone: zone, port: port)
        seen.container = name
        seen.template = template
        entries[life] = Entry(seen: seen, container: container, number: count)
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
