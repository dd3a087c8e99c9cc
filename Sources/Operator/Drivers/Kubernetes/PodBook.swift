import Cell

/// What is known of a cell's pods, from lists, watches and our own calls, in whatever order they come.
///
/// Pure: what is to be done comes back as steps. An end is final, and everything may be told twice.
struct PodBook: Sendable {
    enum Step: Equatable, Sendable {
        case tell(RunningServer)
        /// Its container runs: where its process can be seen, its end is seen sooner than a kubelet tells.
        case watch(ServerLife)
        /// A pod of ours that nobody needs.
        case remove(pod: String)
    }

    struct Entry: Equatable, Sendable {
        var seen: RunningServer
        var pod: String
        /// Kubernetes still has the pod.
        var isThere = true
        /// It is gone, and Kubernetes has not said yet how.
        fileprivate var isUnexplained = false
        fileprivate var isWatched = false
        /// Unix seconds at which its grace ends; nil unless it was deleted.
        fileprivate var graceEnds_s: Int64?
        fileprivate var node = ""
        /// Greater than what a list was begun with that cannot know it.
        fileprivate var number: Int
    }

    /// Of a server whose pod is gone; those whose pod is there are remembered until they are forgotten.
    static let rememberedFor = Duration.seconds(60)

    /// Longer than any call lasts.
    static let abandonedFor = Duration.seconds(600)

    /// A kubelet that lives needs no longer than this after the grace.
    static let overdueAfter_s: Int64 = 10

    let cell: CellName
    private(set) var entries: [ServerLife: Entry] = [:]
    /// Being started by us.
    private(set) var pending: Set<ServerLife> = []
    /// Starts that failed halfway, or were not wanted any more: whatever comes of them goes.
    private(set) var abandoned: [ServerLife: Moment] = [:]
    /// Pods being removed, by name: they count as gone, however long that takes.
    private(set) var leaving: Set<String> = []
    private var count = 0

    init(_ cell: CellName) { self.cell = cell }

    /// - Parameter unix_s: the time of day, to tell a pod that ends from one that is stuck.
    func servers(unix_s: Int64) -> [RunningServer] {
        entries.values.map { entry in
            var seen = entry.seen
            if !seen.isGone, let end = entry.graceEnds_s, end + Self.overdueAfter_s < unix_s {
                let place = entry.node.isEmpty ? "" : ": node \(entry.node) does not tell its end, and may be lost"
                seen.waitsFor = "its pod, which is still Terminating\(place)"
            }
            return seen
        }.sorted { $0.life < $1.life }
    }

    // MARK: Our own calls

    /// - Returns: whether it is new; otherwise there is nothing to start.
    mutating func begin(_ life: ServerLife) -> Bool {
        entries[life] == nil && abandoned[life] == nil && pending.insert(life).inserted
    }

    mutating func started(_ life: ServerLife, _ pod: KubernetesMessage.Pod, now: Moment) -> [Step] {
        pending.remove(life)
        // The watch may have been quicker, and so may its end.
        guard entries[life] == nil, let labels = ServerLabels(pod.metadata) else { return [] }
        return take(pod, labels, now: now, age: .zero)
    }

    /// Whatever there is of it, or will be, goes.
    mutating func abandon(_ life: ServerLife, now: Moment) {
        pending.remove(life)
        if entries[life] == nil { abandoned[life] = now }
    }

    /// - Returns: the server to ask, with its pod; nil when it is gone or was never there.
    mutating func ask(_ life: ServerLife) -> Entry? {
        guard var entry = entries[life], !entry.seen.isGone else { return nil }
        entry.seen.state = .stopping
        entry.seen.asked = true
        entries[life] = entry
        return entry
    }

    /// It could not be asked.
    mutating func unask(_ life: ServerLife) {
        guard let entry = entries[life], entry.seen.state == .stopping, entry.graceEnds_s == nil else { return }
        entries[life]?.seen.state = .running
        entries[life]?.seen.asked = false
    }

    /// - Returns: the pod to remove; nil when there is none.
    mutating func forget(_ life: ServerLife) -> String? {
        guard let entry = entries[life], entry.seen.isGone else { return nil }
        entries[life] = nil
        guard entry.isThere else { return nil }
        leaving.insert(entry.pod)
        return entry.pod
    }

    mutating func removed(_ pod: String) { leaving.remove(pod) }

    // MARK: What Kubernetes says

    /// Before a list is asked for: what comes later is not in it.
    func mark() -> Int { count }

    mutating func take(_ list: [KubernetesMessage.Pod], since mark: Int, now: Moment, unix_s: Int64) -> [Step] {
        var steps: [Step] = []
        for pod in list { steps += take(pod, now: now, unix_s: unix_s) }
        let listed = Set(list.map(\.metadata.name))
        for entry in entries.values.sorted(by: { $0.number < $1.number }) where !listed.contains(entry.pod) && entry.number <= mark {
            entries[entry.seen.life]?.isThere = false
            if let seen = finish(entry.seen.life, at: now, "its pod was deleted") { steps.append(.tell(seen)) }
            // Another operator has forgotten it, or will not ask any more.
            if case .exited(let at, _) = entry.seen.state, at + Self.rememberedFor < now { entries[entry.seen.life] = nil }
        }
        leaving.formIntersection(listed)
        abandoned = abandoned.filter { $0.value + Self.abandonedFor > now }
        return steps
    }

    /// A pod that was added or changed.
    mutating func take(_ pod: KubernetesMessage.Pod, now: Moment, unix_s: Int64) -> [Step] {
        guard let labels = ServerLabels(pod.metadata), labels.cell == cell else { return [] }
        guard !leaving.contains(pod.metadata.name) else { return pod.metadata.deletionTimestamp == nil ? [.remove(pod: pod.metadata.name)] : [] }
        guard !pending.contains(labels.life) else { return [] }
        guard abandoned[labels.life] == nil else { return pod.metadata.deletionTimestamp == nil ? [.remove(pod: pod.metadata.name)] : [] }
        let created_s = KubernetesMessage.time_s(pod.metadata.creationTimestamp) ?? unix_s
        return take(pod, labels, now: now, age: .seconds(max(0, unix_s - created_s)))
    }

    /// A pod that is gone, as it was last.
    mutating func take(deleted pod: KubernetesMessage.Pod, now: Moment) -> [Step] {
        guard let labels = ServerLabels(pod.metadata), labels.cell == cell else { return [] }
        leaving.remove(pod.metadata.name)
        guard entries[labels.life] != nil else { return [] }
        entries[labels.life]?.isThere = false
        return finish(labels.life, at: now, PodEnd(pod)?.description ?? "its pod was deleted").map { [.tell($0)] } ?? []
    }

    private mutating func take(_ pod: KubernetesMessage.Pod, _ labels: ServerLabels, now: Moment, age: Duration) -> [Step] {
        let life = labels.life
        let isNew = entries[life] == nil
        if isNew {
            count += 1
            var seen = RunningServer(life, started: now - age, zone: labels.zone, port: labels.port, template: labels.template)
            seen.pod = pod.metadata.name
            entries[life] = Entry(seen: seen, pod: pod.metadata.name, number: count)
        }
        guard var entry = entries[life], entry.pod == pod.metadata.name, !entry.seen.isGone || entry.isUnexplained else { return [] }
        if let end = PodEnd(pod) { return finish(life, at: now, end.description).map { [.tell($0)] } ?? [] }
        guard !entry.seen.isGone else { return [] }
        let before = entry.seen
        entry.node = pod.spec?.nodeName ?? ""
        entry.graceEnds_s = KubernetesMessage.time_s(pod.metadata.deletionTimestamp)
        if pod.metadata.deletionTimestamp != nil { entry.seen.state = .stopping }
        entry.seen.waitsFor = PodWait.words(pod) ?? ""
        let watches = pod.hasRunningServer && !entry.isWatched
        entry.isWatched = entry.isWatched || watches
        entries[life] = entry
        return (entry.seen != before || isNew ? [.tell(entry.seen)] : []) + (watches ? [.watch(life)] : [])
    }

    /// The end is final: nil when it was known.
    ///
    /// - Parameter explained: otherwise a reason may follow.
    mutating func finish(_ life: ServerLife, at: Moment, _ reason: String, explained: Bool = true) -> RunningServer? {
        guard var entry = entries[life] else { return nil }
        if case .exited(let first, _) = entry.seen.state {
            guard entry.isUnexplained, explained else { return nil }
            entry.seen.state = .exited(at: first, reason: reason)
        } else {
            entry.seen.state = .exited(at: at, reason: reason)
        }
        entry.isUnexplained = !explained
        entry.seen.waitsFor = ""
        entries[life] = entry
        return entry.seen
    }
}

extension KubernetesMessage.Pod {
    fileprivate var hasRunningServer: Bool { status?.containerStatuses?.first { $0.name == PodBody.container }?.state?.running != nil }
}

/// How a pod ended; nil while it has not.
struct PodEnd: Equatable, Sendable, CustomStringConvertible {
    let description: String

    init?(_ pod: KubernetesMessage.Pod) {
        let phase = pod.status?.phase ?? ""
        if let terminated = pod.status?.containerStatuses?.first(where: { $0.name == PodBody.container })?.state?.terminated {
            let end = ContainerEnd(code: terminated.exitCode, ranOutOfMemory: terminated.reason == "OOMKilled")
            // Both outputs in one, in whatever order: the last line alone may be the wrong one's.
            let lines = (terminated.message ?? "").split(whereSeparator: \.isNewline).filter { !$0.allSatisfy(\.isWhitespace) }
            let last = lines.isEmpty ? nil : String(lines.suffix(3).joined(separator: "; ").suffix(300))
            description = [end.hasLastWords ? last : nil, Self.told(pod)].compactMap { $0 }.reduce("\(end)") { "\($0): \($1)" }
        } else if phase == "Failed" || phase == "Succeeded" {
            // Of a pod that was deleted a kubelet may have forgotten how it ended.
            let wasDeleted = pod.metadata.deletionTimestamp != nil
            description = Self.told(pod) ?? (wasDeleted ? "its pod was deleted" : "its pod has \(phase == "Failed" ? "failed" : "ended")")
        } else {
            return nil
        }
    }

    /// `Evicted`, `Preempting`, `NodeLost` and the like, with Kubernetes' own words.
    private static func told(_ pod: KubernetesMessage.Pod) -> String? {
        guard let reason = pod.status?.reason, !reason.isEmpty else { return nil }
        let message = pod.status?.message ?? ""
        return "its pod: \(reason)\(message.isEmpty ? "" : ": \(message.prefix(300))")"
    }
}

/// What a pod that does not run waits for, to be read after "it waits for".
enum PodWait {
    static func words(_ pod: KubernetesMessage.Pod) -> String? {
        guard (pod.status?.phase ?? "Pending") == "Pending" else { return nil }
        if let unscheduled = pod.status?.conditions?.first(where: { $0.type == "PodScheduled" && $0.status == "False" }) {
            return "a node for its pod: \(unscheduled.message ?? unscheduled.reason ?? "Kubernetes does not say why")"
        }
        guard let waiting = pod.status?.containerStatuses?.first(where: { $0.name == PodBody.container })?.state?.waiting, let reason = waiting.reason,
            !["ContainerCreating", "PodInitializing"].contains(reason)
        else { return nil }
        return "its pod, which cannot run: \(reason)\(waiting.message.map { ": \($0.prefix(300))" } ?? "")"
    }
}
