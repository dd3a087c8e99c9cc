import Cell
import Support
import Testing
import YAML
@testable import cellctl

/// The repository's own folder.
let repository = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")

@Suite("what ships with the project")
struct ManifestTests {
    @Test(
        "every example is a valid cell",
        arguments: [("dev", "dev"), ("kafka-cassandra", "local"), ("docker", "eu-1"), ("compose-cell", "eu-1"), ("kubernetes/cell", "eu-1")])
    func examples(_ file: String, _ name: String) throws {
        let cells = try WishedCell.read(["\(repository)/manifests/\(file).yaml"])
        #expect(cells.map(\.spec.name.description) == [name])
    }

    @Test("the reference of cell.yaml is what explain --markdown prints")
    func reference() {
        let written = text(ofFile: "\(repository)/docs/cell-yaml.md")
        #expect(written == Reference.markdown, "Write it anew: cellctl explain --markdown > docs/cell-yaml.md")
    }

    @Test("what Kubernetes is told of a Cell is what explain --crd prints")
    func definition() throws {
        let written = text(ofFile: "\(repository)/manifests/kubernetes/crd.yaml")
        #expect(written == Reference.customResourceDefinition, "Write it anew: cellctl explain --crd > manifests/kubernetes/crd.yaml")
        #expect(written.contains("maxConnections:") && written.contains("maximum: 1000000"))
    }

    @Test("the reference's own example is a valid cell")
    func example() throws {
        let parts = Reference.markdown.split(separator: "```yaml\n", omittingEmptySubsequences: false)
        for part in parts.dropFirst() where part.hasPrefix("apiVersion") {
            let text = String(part.split(separator: "```")[0])
            #expect(throws: Never.self) { try CellSpec.read(json: text, source: "example") }
        }
        #expect(parts.count > 1)
    }
}
