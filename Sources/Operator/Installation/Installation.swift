import Cell

/// What `manifests/kubernetes` brings into a cluster, beside the cells themselves. Pure.
struct Installation: Sendable {
    /// The namespaces of the cells and of their operator.
    var cells = "chat"
    var operators = "cell-system"

    struct Part: Equatable, Sendable {
        var kind: String
        var name: String
        /// Of the API.
        var path: String

        var words: String { "\(kind.lowercased())/\(name)" }
    }

    static let deployment = "cell-operator"
    static let allCells = "/apis/\(CellSchema.apiVersion)/\(CellSchema.plural)"

    /// The operator itself; the first to go.
    var `operator`: Part { part("apps/v1", "Deployment", Self.deployment, in: operators) }

    /// In the order in which they go: who acts before what it needs, and the definition of Cells after everyone who reads it.
    var parts: [Part] {
        [
            `operator`,
            part("rbac.authorization.k8s.io/v1", "RoleBinding", "cell-operator", in: cells),
            part("rbac.authorization.k8s.io/v1", "Role", "cell-operator", in: cells),
            part("v1", "ServiceAccount", "cell-operator", in: operators), part("v1", "ServiceAccount", "cell", in: cells),
            part("networking.k8s.io/v1", "NetworkPolicy", "cell-servers", in: cells), part("networking.k8s.io/v1", "NetworkPolicy", "cell-clients", in: cells),
            part("apiextensions.k8s.io/v1", "CustomResourceDefinition", "\(CellSchema.plural).\(CellSchema.group)"),
        ]
    }

    /// With all that is in them, whoever put it there.
    var namespaces: [Part] { [part("v1", "Namespace", cells), part("v1", "Namespace", operators)] }

    private static let plurals = ["NetworkPolicy": "networkpolicies"]

    private func part(_ version: String, _ kind: String, _ name: String, in namespace: String? = nil) -> Part {
        let group = version.contains("/") ? "/apis/\(version)" : "/api/\(version)"
        let plural = Self.plurals[kind] ?? "\(kind.lowercased())s"
        return Part(kind: kind, name: name, path: "\(group)\(namespace.map { "/namespaces/\($0)" } ?? "")/\(plural)/\(name)")
    }
}

/// Which cells nobody takes down: without an operator their finalizers would stay for ever. Pure.
struct AbandonedCells {
    /// One that restarts is back within this time.
    static let patience = Duration.seconds(10)

    private var seen: [String: (state: String, since: Moment)] = [:]

    /// - Parameters:
    ///   - state: differs whenever somebody has done something about the cell.
    ///   - served: an operator is ready.
    /// - Returns: whether nothing has happened to it, and nobody was there to do it, for long enough.
    mutating func isAbandoned(_ cell: String, state: String, served: Bool, now: Moment) -> Bool {
        guard !served, let last = seen[cell], last.state == state else {
            seen[cell] = (state, now)
            return false
        }
        return last.since + Self.patience <= now
    }
}
