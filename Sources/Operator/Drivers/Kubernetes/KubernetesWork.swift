import Cell
import Processes

/// What a Kubernetes driver does beside its callers: it follows the cell's pods, and runs errands.
final class KubernetesWork: Sendable {
    let cell: CellName
    let api: KubernetesAPI
    let clock: OperatorClock
    /// Of the cell's pods.
    let path: String
    let books: Bookkeeping<PodBook>
    private let log: OperatorLog

    init(_ cell: CellName, namespace: String, _ api: KubernetesAPI, _ clock: OperatorClock, _ log: OperatorLog) {
        self.cell = cell
        self.api = api
        self.clock = clock
        path = "/api/v1/namespaces/\(namespace)/pods"
        books = Bookkeeping(PodBook(cell))
        self.log = log
    }

    /// Until it is cancelled.
    func run() async {
        let following = KubernetesFollowing<KubernetesMessage.Pod>(
            api: api, path: path, query: ServerLabels.selector(cell), mark: { self.books.withBook { $0.lives.mark() } }, listed: { self.took($0, since: $1) },
            happened: { self.took($0) }, failed: { self.books.fail($0) })
        await books.run { await following.run() }
    }

    /// - Throws: the problem with Kubernetes, while there is one.
    func servers() async throws -> [RunningServer] {
        try await books.servers { $0.servers(unix_s: clock.unix_ms / 1_000) }
    }

    // MARK: Following

    private func took(_ list: [KubernetesMessage.Pod], since mark: Int) {
        let steps = books.withBook { [clock] in $0.take(list, since: mark, now: clock.now, unix_s: clock.unix_ms / 1_000) }
        for step in steps { perform(step) }
        books.synced()
    }

    private func took(_ event: WatchEvents<KubernetesMessage.Pod>.Event) {
        let steps = books.withBook { [clock] book in
            switch event {
            case .changed(let pod): book.take(pod, now: clock.now, unix_s: clock.unix_ms / 1_000)
            case .deleted(let pod): book.take(deleted: pod, now: clock.now)
            }
        }
        for step in steps { perform(step) }
    }

    // MARK: Steps

    func perform(_ step: PodBook.Step) {
        switch step {
        case .tell(let server): books.tell(.server(server))
        case .remove(let pod): books.spawn { await self.remove(pod) }
        case .watch(let life):
            books.spawn {
                // The watch of pods tells of its end, too, only later.
                do { try self.watch(life) } catch { self.log.warning("\(self.cell): \(life.id)'s process cannot be watched: \(error)") }
            }
        }
    }

    /// A kubelet looks about once a second. Where the pod's process is one of this machine that we may see, as on a cluster of one node, it tells by itself.
    private func watch(_ life: ServerLife) throws {
        for pid in try Files.names(in: "/proc").compactMap({ Int32($0) }) {
            let line = ProcessIdentity.commandLine(of: pid)
            guard line.first?.hasSuffix("cell-server") == true, line.contains("\(life.incarnation)"), let process = ProcessIdentity(of: pid) else { continue }
            return try ExitWatch.shared.watch(pid, as: process) { [weak self] _ in
                guard let self else { return }
                let now = clock.now
                if let seen = books.withBook({ $0.lives.finish(life, at: now, "its process ended", explained: false) }) { books.tell(.server(seen)) }
            }
        }
    }

    /// One that ran is ended by the kubelet all the same; what cannot be removed now is tried again at the next look.
    func remove(_ pod: String) async {
        await remove(pod, grace_s: 1)
    }

    /// - Parameter grace_s: 0 for one whose process has ended: nobody has to be waited for.
    func remove(_ pod: String, grace_s: Int) async {
        do {
            if try await !api.delete("\(path)/\(pod)", grace_s: grace_s) { books.withBook { $0.lives.removed(pod) } }
        } catch {
            log.warning("\(cell): the pod \(pod) is not removed yet: \(error)")
        }
    }
}
