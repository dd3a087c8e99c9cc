import Cell

/// Takes the cells and their operator out of a cluster in an order in which nothing gets stuck: the cells while an operator can stop them, then what
/// was installed. Begun again, it goes on.
public struct Uninstalling: Sendable {
    /// What is told while it goes on.
    public enum News: Equatable, Sendable {
        case done(String)
        case waits(String)
    }

    /// It took longer than it was given.
    public struct TooLate: Error {
        public var problem: String
        public let remedy = "Look at it with kubectl get -o yaml, and run this again: it goes on where it was"
    }

    private let api: KubernetesAPI
    private let installation: Installation
    private let clock = OperatorClock()

    /// - Parameters:
    ///   - cells: the namespace where the cells' rights are.
    ///   - operators: that of the operator.
    ///   - environment: of `KUBECONFIG`, `HOME`, `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    /// - Throws: `DriverError` for credentials that cannot be used, `HTTPError`.
    public init(cells: String, operators: String, environment: [String: String]) throws {
        api = try KubernetesAPI(try KubernetesAccess(environment: environment))
        installation = Installation(cells: cells, operators: operators)
    }

    /// What there is to take out: the cells, and what was installed.
    ///
    /// - Throws: `DriverError`.
    public func found(withNamespaces: Bool) async throws -> [String] {
        try await explained {
            let parts = installation.parts + (withNamespaces ? installation.namespaces : [])
            return try await cells().map { "cell/\($0.name) in \($0.namespace)" } + present(parts).map(\.words)
        }
    }

    /// - Parameters:
    ///   - takesNamespaces: with everything that is in them.
    ///   - limit: for the cells to stop, and again for the rest to go.
    /// - Returns: what is left on purpose, in words.
    /// - Throws: `DriverError`, `TooLate`.
    public func run(takesNamespaces: Bool, within limit: Duration, _ tell: (News) -> Void) async throws -> [String] {
        try await explained {
            let left = try await endCells(within: limit, tell)
            let parts = installation.parts + (takesNamespaces ? installation.namespaces : [])
            for part in parts where try await api.delete(part.path) { tell(.done("\(part.words) deleted")) }
            try await wait(for: parts, within: limit, tell)
            return left + (takesNamespaces ? [] : try await present(installation.namespaces).map { "\($0.words) and what else is in it" })
        }
    }

    private func explained<Value>(_ body: () async throws -> Value) async throws -> Value {
        do { return try await body() } catch let refusal as KubernetesAPI.Refusal {
            throw DriverError("\(refusal)", remedy: "Use a kubeconfig that may do this, and run it again: it goes on where it was.")
        }
    }

    private func present(_ parts: [Installation.Part]) async throws -> [Installation.Part] {
        var present: [Installation.Part] = []
        for part in parts where try await api.find(KubernetesMessage.Versioned.self, part.path) != nil { present.append(part) }
        return present
    }

    // MARK: Cells

    private func cells() async throws -> [CellObject] {
        // Without their definition there are none.
        do { return try await api.list(CellObject.self, Installation.allCells).items } catch let refusal as KubernetesAPI.Refusal where refusal.status == 404 {
            return []
        }
    }

    private func endCells(within limit: Duration, _ tell: (News) -> Void) async throws -> [String] {
        let deadline = clock.now + limit
        var left: [String] = []
        var abandoned = AbandonedCells()
        var told = ""
        for cell in try await cells() {
            left += Self.remains(of: cell)
            if !cell.isLeaving, try await api.delete(cell.path, uid: cell.metadata.uid) { tell(.done("cell/\(cell.name) in \(cell.namespace) is to go")) }
        }
        while true {
            let cells = try await cells()
            guard !cells.isEmpty else { return left }
            let served = try await isServed()
            var words: [String] = []
            for cell in cells {
                let pods = try await pods(of: cell)
                words.append("cell/\(cell.name): \(pods.count) pods are left\(served ? "" : ", and no operator is ready")")
                let state = "\(cell.metadata.resourceVersion ?? "") \(pods.sorted())"
                guard cell.isLeaving, cell.hasFinalizer, abandoned.isAbandoned(cell.path, state: state, served: served, now: clock.now) else { continue }
                try await letGo(cell)
                left.append("what cell \(cell.name) has in Redis, cell:\(cell.name):*: no operator was there to remove it (cellctl delete cell \(cell.name))")
                tell(.done("cell/\(cell.name) in \(cell.namespace) is let go: no operator takes it down; its pods go with it"))
            }
            let line = words.joined(separator: "; ")
            if line != told { tell(.waits(line)) }
            told = line
            guard clock.now < deadline else {
                throw TooLate(problem: "the cells have not gone within \(limit.components.seconds) s: \(line)")
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func isServed() async throws -> Bool {
        (try await api.find(KubernetesMessage.Deployment.self, installation.operator.path)?.status?.readyReplicas ?? 0) > 0
    }

    private func pods(of cell: CellObject) async throws -> [String] {
        guard let name = CellName(cell.name) else { return [] }
        return try await api.list(KubernetesMessage.Pod.self, "/api/v1/namespaces/\(cell.namespace)/pods", query: ServerLabels.selector(name)).items
            .map(\.metadata.name)
    }

    /// Of the object that was read alone: whoever has changed it meanwhile is at work.
    private func letGo(_ cell: CellObject) async throws {
        let finalizers = (cell.metadata.finalizers ?? []).filter { $0 != CellObject.finalizer }
        let metadata: [String: JSON] = [
            "finalizers": .list(finalizers.map { .text($0) }), "resourceVersion": .text(cell.metadata.resourceVersion ?? ""),
        ]
        do {
            try await api.patch(KubernetesMessage.Versioned.self, cell.path, .merge, .object(["metadata": .object(metadata)]))
        } catch let refusal as KubernetesAPI.Refusal where refusal.status == 404 || refusal.status == 409 {
            // It has gone, or it is looked at again.
        }
    }

    /// What of a cell outlives it.
    static func remains(of cell: CellObject) -> [String] {
        let spec: CellSpec
        do throws(SpecProblems) { spec = try cell.wished() } catch {
            return ["the topic and the keyspace of cell \(cell.name), if it ever ran: its spec does not hold, so they cannot be named here (\(error.words))"]
        }
        var remains: [String] = []
        if case .kafka(let kafka) = spec.backplane { remains.append("the topic \(kafka.topic) of cell \(cell.name)") }
        if case .cassandra(let cassandra) = spec.store { remains.append("the keyspace \(cassandra.keyspace) of cell \(cell.name)") }
        return remains
    }

    // MARK: The rest

    private func wait(for parts: [Installation.Part], within limit: Duration, _ tell: (News) -> Void) async throws {
        let deadline = clock.now + limit
        var told = ""
        var parts = parts
        while true {
            parts = try await present(parts)
            guard !parts.isEmpty else { return }
            let line = "\(parts.map(\.words).joined(separator: ", ")) on the way out"
            if line != told { tell(.waits(line)) }
            told = line
            guard clock.now < deadline else {
                throw TooLate(problem: "after \(limit.components.seconds) s there is still \(line)")
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }
}
