import Cell

/// On a pod: what no label may hold (an image's name) is an annotation.
extension ServerLabels {
    static let kindKey = "io.cecochat.kind"

    /// Nil for pods that no operator made.
    init?(_ metadata: KubernetesMessage.Metadata) {
        self.init(metadata.labels ?? [:])
        build = metadata.annotations?[Self.buildKey] ?? ""
    }

    var podLabels: [String: String] {
        values.merging([Self.kindKey: life.id.kind.rawValue, "app.kubernetes.io/name": "cell", "app.kubernetes.io/managed-by": "cell-operator"]) { $1 }
    }

    var podAnnotations: [String: String] { [Self.buildKey: build] }

    static func podName(_ cell: CellName, _ life: ServerLife) -> String { name(cell, life).lowercased() }

    static func selector(_ cell: CellName) -> String { "&labelSelector=\(cellKey)%3D\(cell)" }
}
