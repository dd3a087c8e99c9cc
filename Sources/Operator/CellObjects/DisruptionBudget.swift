import Cell

/// Lets Kubernetes' own drains and evictions take one messaging server of a cell at a time. Pure.
enum DisruptionBudget {
    /// - Parameter version: `policy/v1`, or `policy/v1beta1` before Kubernetes 1.21.
    static func body(_ spec: CellSpec, _ object: CellObject, version: String) -> JSON {
        var metadata: [String: JSON] = ["name": .text(name(object)), "labels": .texts([ServerLabels.cellKey: object.name])]
        if let owner = object.owner { metadata["ownerReferences"] = .list([PodBody.reference(owner)]) }
        let labels: JSON = .object(["matchLabels": .texts([ServerLabels.cellKey: object.name, ServerLabels.kindKey: ServerKind.messaging.rawValue])])
        return .object([
            "apiVersion": .text(version), "kind": .text("PodDisruptionBudget"), "metadata": .object(metadata),
            "spec": .object(["minAvailable": .integer(max(0, spec.messaging.servers + spec.messaging.standbys - 1)), "selector": labels]),
        ])
    }

    static func name(_ object: CellObject) -> String { "cell-\(object.name)-messaging" }
    static func path(_ object: CellObject, version: String) -> String {
        "/apis/\(version)/namespaces/\(object.namespace)/poddisruptionbudgets/\(name(object))"
    }
}
