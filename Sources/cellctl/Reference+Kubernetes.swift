import Cell
import YAML

extension Reference {
    /// manifests/kubernetes/crd.yaml, from the same table.
    static var customResourceDefinition: String {
        let head = "# Written by cellctl explain --crd; change the table in Sources/Cell/Spec/CellSchema*.swift instead of this file.\n"
        // What `JSON` writes is YAML; a test reads it.
        let documents = (try? YAML.documents(in: Array(CellSchema.customResourceDefinition.description.utf8), file: "crd")) ?? []
        return head + documents.map { yamlText($0) + "\n" }.joined()
    }
}
