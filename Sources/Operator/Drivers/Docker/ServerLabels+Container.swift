/// On a container, where a label may hold anything.
extension ServerLabels {
    var containerLabels: [String: String] { values.merging([Self.buildKey: build]) { $1 } }
}
