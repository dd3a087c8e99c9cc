import Cell
import HTTP
import Redis

/// Runs servers as pods. They outlive the operator; one that comes later knows them by their labels.
///
/// Names are fresh for every life, so a replacement never waits for a name, and pods that are not the cell's are never touched. A pod that waits for its
/// node or its image counts as running: what it waits for is told with it.
public final class KubernetesDriver: Driver {
    private let spec: RunSpec.Kubernetes
    private let redis: RedisAddress
    private let work: KubernetesWork
    private let api: KubernetesAPI
    private let starting = Turnstile(8)
    private let task: Task<Void, Never>

    /// Begins to follow the cell's pods. Whether Kubernetes answers shows in `servers()`.
    ///
    /// - Parameters:
    ///   - environment: of `KUBECONFIG`, `HOME`, `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    ///   - watchFor_s: how long a watch lasts; one that is dead is found a little later.
    /// - Throws: `DriverError` for credentials that cannot be used and a Redis that pods cannot reach; `HTTPError`.
    public init(
        _ cell: CellName, _ spec: RunSpec.Kubernetes, redis: RedisAddress, clock: OperatorClock, environment: [String: String],
        watchFor_s: ClosedRange<Int> = 40...50, log: OperatorLog = OperatorLog()
    ) throws {
        try spec.check(redis)
        self.spec = spec
        self.redis = redis
        api = try KubernetesAPI(try KubernetesAccess(environment: environment), watchFor_s: watchFor_s)
        let work = KubernetesWork(cell, namespace: spec.namespace, api, clock, log)
        self.work = work
        // The only one without a parent: it lives as long as the driver.
        task = Task { await work.run() }
    }

    deinit {
        task.cancel()
        work.books.endListening()
    }

    public func servers() async throws -> [RunningServer] { try await work.servers() }

    public func events() -> AsyncStream<DriverEvent> { work.books.listen() }

    // MARK: Starting

    public func start(_ life: ServerLife, as template: ServerTemplate) async throws {
        guard work.books.withBook({ $0.lives.begin(life) }) else { return }
        do {
            try await starting.pass {
                let owner = try await owner()
                try await keepSecret(owner)
                let pod = try await make(life, template, owner)
                let steps = work.books.withBook { [now = work.clock.now] in
                    $0.lives.abandoned[life] == nil ? $0.started(life, pod, now: now) : [.remove(pod: pod.metadata.name)]
                }
                for step in steps { work.perform(step) }
            }
        } catch {
            work.books.withBook { [now = work.clock.now] in $0.lives.abandon(life, now: now) }
            throw Self.problem(life, error)
        }
    }

    private func make(_ life: ServerLife, _ template: ServerTemplate, _ owner: PodBody.Owner?) async throws -> KubernetesMessage.Pod {
        let body = try PodBody(spec, life, template, redis: redis, owner: owner)
        do { return try await api.create(KubernetesMessage.Pod.self, work.path, body.json) } catch let refusal as KubernetesAPI.Refusal
            where refusal.status == 409 && refusal.reason == "AlreadyExists"
        {
            // An earlier call may have made it and lost the answer.
            let name = ServerLabels.podName(work.cell, life)
            guard let found = try await api.find(KubernetesMessage.Pod.self, "\(work.path)/\(name)") else { throw refusal }
            if let labels = ServerLabels(found.metadata), labels.cell == work.cell, labels.life == life { return found }
            throw DriverError("the pod \(name) is somebody else's and stays", remedy: "Remove it, if you want; the next server has another name.")
        }
    }

    /// The Cell object, where there is one beside the pods: they go with it, whoever deletes it.
    private func owner() async throws -> PodBody.Owner? {
        struct Object: Decodable { var metadata: KubernetesMessage.Metadata }
        do {
            let path = "/apis/\(CellSchema.apiVersion)/namespaces/\(spec.namespace)/cells/\(work.cell)"
            guard let found = try await api.find(Object.self, path), found.metadata.deletionTimestamp == nil else { return nil }
            return found.metadata.uid.map { PodBody.Owner(name: found.metadata.name, uid: $0) }
        } catch let refusal as KubernetesAPI.Refusal where refusal.status == 403 {
            // Who may not see Cells drives cells without.
            return nil
        }
    }

    /// Redis's address, where it has a password.
    private func keepSecret(_ owner: PodBody.Owner?) async throws {
        guard redis.password != nil else { return }
        let name = PodBody.secretName(work.cell)
        var metadata: [String: JSON] = ["name": .text(name), "labels": .texts([ServerLabels.cellKey: "\(work.cell)"])]
        if let owner { metadata["ownerReferences"] = .list([PodBody.reference(owner)]) }
        let body: JSON = .object([
            "apiVersion": .text("v1"), "kind": .text("Secret"), "stringData": .texts([PodBody.secretKey: redis.withPassword]),
            "metadata": .object(metadata),
        ])
        try await api.patch(KubernetesMessage.Versioned.self, "/api/v1/namespaces/\(spec.namespace)/secrets/\(name)", .apply, body)
    }

    private static func problem(_ life: ServerLife, _ error: any Error) -> any Error {
        guard let refusal = error as? KubernetesAPI.Refusal else { return error }
        let remedy =
            refusal.message.contains("exceeded quota")
            ? "Raise the namespace's quota, or ask for less in spec.run.kubernetes.resources."
            : "Mend spec.run.kubernetes, the namespace or the operator's rights as it says."
        return DriverError("\(life.id) cannot run: \(refusal)", remedy: remedy)
    }

    // MARK: Ending

    /// The kubelet sees to the grace, in whole seconds, also when the operator is gone by then.
    public func stop(_ life: ServerLife, grace: Duration) async throws {
        _ = try await end(life, grace_s: max(1, Int((grace.milliseconds + 999) / 1_000)))
    }

    public func kill(_ life: ServerLife) async throws {
        // The least grace that leaves the pod there until the kubelet says that it has ended; the kubelet itself makes it two seconds.
        guard try await !end(life, grace_s: 1) else { return }
        work.books.withBook { [now = work.clock.now] in $0.lives.abandon(life, now: now) }
    }

    /// - Returns: false when there is nobody to end.
    private func end(_ life: ServerLife, grace_s: Int) async throws -> Bool {
        guard let entry = work.books.withBook({ $0.lives.ask(life) }) else { return false }
        work.books.tell(.server(entry.seen))
        do {
            try await api.delete("\(work.path)/\(entry.handle)", grace_s: grace_s)
            return true
        } catch {
            work.books.withBook { $0.unask(life) }
            throw Self.problem(life, error)
        }
    }

    /// Returns when the pod is gone, or its removal was asked for: it is forgotten all the same.
    public func forget(_ life: ServerLife) async throws {
        guard let pod = work.books.withBook({ $0.forget(life) }) else { return }
        await work.remove(pod, grace_s: 0)
    }
}
