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

    struct Details: Equatable, Sendable {
        var isWatched = false
        /// Unix seconds at which its grace ends; nil unless it was deleted.
        var graceEnds_s: Int64?
        var node = ""
    }

    /// A kubelet that lives needs no longer than this after the grace.
    static let overdueAfter_s: Int64 = 10

    let cell: CellName
    var lives = LifeBook<Details>()

    init(_ cell: CellName) { self.cell = cell }

    /// - Parameter unix_s: the time of day, to tell a pod that ends from one that is stuck.
    func servers(unix_s: Int64) -> [RunningServer] {
        lives.entries.values.map { entry in
            var seen = entry.seen
            if !seen.isGone, let end = entry.details.graceEnds_s, end + Self.overdueAfter_s < unix_s {
                let place = entry.details.node.isEmpty ? "" : ": node \(entry.details.node) does not tell its end, and may be lost"
                seen.waitsFor = "its pod, which is still Terminating\(place)"
            }
            return seen
        }.sorted { $0.life < $1.life }
    }

    // MARK: Our own calls

    mutating func started(_ life: ServerLife, _ pod: KubernetesMessage.Pod, now: Moment) -> [Step] {
        guard lives.started(life), let labels = ServerLabels(pod.metadata) else { return [] }
        return take(pod, labels, now: now) { _ in .zero }
    }

    /// It could not be asked; whoever was deleted all the same goes on stopping.
    mutating func unask(_ life: ServerLife) {
        if lives[life]?.details.graceEnds_s == nil { lives.unask(life) }
    }

    /// - Returns: the pod to remove; nil when there is none.
    mutating func forget(_ life: ServerLife) -> String? { lives.forget(life).flatMap { $0.isThere ? $0.handle : nil } }

    // MARK: What Kubernetes says

    mutating func take(_ list: [KubernetesMessage.Pod], since mark: Int, now: Moment, unix_s: Int64) -> [Step] {
        let steps = list.flatMap { take($0, now: now, unix_s: unix_s) }
        return steps + lives.close(Set(list.map(\.metadata.name)), since: mark, now: now, "its pod was deleted").map { .tell($0) }
    }

    /// A pod that was added or changed.
    mutating func take(_ pod: KubernetesMessage.Pod, now: Moment, unix_s: Int64) -> [Step] {
        guard let labels = ServerLabels(pod.metadata), labels.cell == cell else { return [] }
        guard !lives.leaving.contains(pod.metadata.name) else { return pod.metadata.deletionTimestamp == nil ? [.remove(pod: pod.metadata.name)] : [] }
        guard !lives.pending.contains(labels.life) else { return [] }
        guard lives.abandoned[labels.life] == nil else { return pod.metadata.deletionTimestamp == nil ? [.remove(pod: pod.metadata.name)] : [] }
        return take(pod, labels, now: now) { .seconds(max(0, unix_s - (KubernetesMessage.time_s($0) ?? unix_s))) }
    }

    /// A pod that is gone, as it was last.
    mutating func take(deleted pod: KubernetesMessage.Pod, now: Moment) -> [Step] {
        guard let labels = ServerLabels(pod.metadata), labels.cell == cell else { return [] }
        lives.removed(pod.metadata.name)
        lives.vanished(labels.life)
        return lives.finish(labels.life, at: now, PodEnd(pod)?.description ?? "its pod was deleted").map { [.tell($0)] } ?? []
    }

    /// - Parameter since: how long ago Kubernetes' time is.
    private mutating func take(_ pod: KubernetesMessage.Pod, _ labels: ServerLabels, now: Moment, _ since: (String?) -> Duration) -> [Step] {
        let life = labels.life
        let isNew = lives[life] == nil
        if isNew {
            var seen = RunningServer(
                life, started: now - since(pod.metadata.creationTimestamp), zone: labels.zone, port: labels.port, template: labels.template)
            seen.pod = pod.metadata.name
            seen.isOnItsWay = true
            lives.add(seen, handle: pod.metadata.name, Details())
        }
        guard var entry = lives[life], entry.handle == pod.metadata.name, entry.isOpen else { return [] }
        if let end = PodEnd(pod) { return lives.finish(life, at: now, end.description).map { [.tell($0)] } ?? [] }
        guard !entry.seen.isGone else { return [] }
        let before = entry
        entry.details.node = pod.spec?.nodeName ?? ""
        entry.details.graceEnds_s = KubernetesMessage.time_s(pod.metadata.deletionTimestamp)
        if pod.metadata.deletionTimestamp != nil { entry.seen.state = .stopping }
        entry.seen.waitsFor = PodWait.words(pod) ?? ""
        if entry.seen.isOnItsWay, pod.status?.phase == "Running" {
            entry.seen.isOnItsWay = false
            entry.seen.started = max(entry.seen.started, now - since(pod.server?.state?.running?.startedAt))
        }
        if pod.hasRunningServer { entry.details.isWatched = true }
        lives.change(life) { $0 = entry }
        return (entry.seen != before.seen || isNew ? [.tell(entry.seen)] : []) + (entry.details.isWatched != before.details.isWatched ? [.watch(life)] : [])
    }
}

extension KubernetesMessage.Pod {
    fileprivate var server: Container? { status?.containerStatuses?.first { $0.name == PodBody.container } }
    fileprivate var hasRunningServer: Bool { server?.state?.running != nil }
}

/// How a pod ended; nil while it has not.
struct PodEnd: Equatable, Sendable, CustomStringConvertible {
    let description: String

    init?(_ pod: KubernetesMessage.Pod) {
        let phase = pod.status?.phase ?? ""
        if let terminated = pod.server?.state?.terminated {
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
        guard let waiting = pod.server?.state?.waiting, let reason = waiting.reason,
            !["ContainerCreating", "PodInitializing"].contains(reason)
        else { return nil }
        return "its pod, which cannot run: \(reason)\(waiting.message.map { ": \($0.prefix(300))" } ?? "")"
    }
}
