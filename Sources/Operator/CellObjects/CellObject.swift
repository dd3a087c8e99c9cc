import Cell
import YAML

/// A `Cell` object as Kubernetes has it.
struct CellObject: Decodable, Sendable {
    /// While it stands on the object, Kubernetes keeps the object until the cell's servers have stopped.
    static let finalizer = "\(CellSchema.group)/servers"

    var metadata: KubernetesMessage.Metadata
    private var spec: AnyJSON?
    private var status: AnyJSON?

    var name: String { metadata.name }
    var namespace: String { metadata.namespace ?? "default" }
    var generation: Int64 { metadata.generation ?? 0 }
    var isLeaving: Bool { metadata.deletionTimestamp != nil }
    var hasFinalizer: Bool { metadata.finalizers?.contains(Self.finalizer) ?? false }
    var path: String { "/apis/\(CellSchema.apiVersion)/namespaces/\(namespace)/\(CellSchema.plural)/\(name)" }
    var owner: PodBody.Owner? { metadata.uid.map { PodBody.Owner(name: name, uid: $0) } }

    /// What its status says now; null when it has none.
    var toldStatus: JSON { status?.json ?? .null }

    /// The cell that it describes. Its pods are in the object's own namespace.
    ///
    /// - Throws: every problem, in the words of `cellctl apply`.
    func wished() throws(SpecProblems) -> CellSpec {
        let source = "cell/\(name)"
        let members: [String: JSON] = ["name": .text(name), "labels": .texts(metadata.labels ?? [:])]
        let document: JSON = .object([
            "apiVersion": .text(CellSchema.apiVersion), "kind": .text(CellSchema.kind), "metadata": .object(members), "spec": placed(spec?.json ?? .null),
        ])
        let read = try CellSpec.read(json: document.description, source: source)
        if case .kubernetes(let kubernetes) = read.run, kubernetes.namespace != namespace {
            throw SpecProblems([
                SpecProblem(
                    Mark(file: source, line: 1, column: 1), "spec.run.kubernetes.namespace",
                    "is \(kubernetes.namespace), but the Cell is in \(namespace), where its pods have to be, too", remedy: "Leave it out, or write \(namespace)"
                )
            ])
        }
        return read
    }

    /// With the object's namespace where none is written.
    private func placed(_ spec: JSON) -> JSON {
        guard case .object(var members) = spec, case .object(var run)? = members["run"], case .object(var kubernetes)? = run["kubernetes"],
            kubernetes["namespace"] == nil
        else { return spec }
        kubernetes["namespace"] = .text(namespace)
        run["kubernetes"] = .object(kubernetes)
        members["run"] = .object(run)
        return .object(members)
    }
}

extension SpecProblems {
    /// For a condition: places in JSON that nobody wrote say nothing.
    var words: String {
        let all = problems.map { "\($0.path.isEmpty ? "" : "\($0.path) ")\($0.problem). \($0.remedy)" } + (more > 0 ? ["and \(more) more"] : [])
        return all.joined(separator: "; ")
    }
}
