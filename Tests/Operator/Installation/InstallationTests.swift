import Cell
import Support
import Testing
import YAML

@testable import Operator

extension OperatorTests {
    @Suite("What is installed in a cluster")
    struct InstallationTests {
        static let manifests = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/") + "/manifests/kubernetes"

        @Test("whatever the manifests install is taken out again, and nothing else")
        func parts() throws {
            let files = text(ofFile: "\(Self.manifests)/kustomization.yaml").matches(of: /[a-z]+\.yaml(?=[,\]])/).map { String($0.output) }
            #expect(files.count == 5)
            let documents = files.flatMap { text(ofFile: "\(Self.manifests)/\($0)").split(separator: "\n---\n") }
            let installed = documents.map { document in
                let kind = document.firstMatch(of: /(?m)^kind: (\w+)/)?.output.1 ?? ""
                let metadata = document.firstMatch(of: /(?m)^metadata:(?: \{name: ([\w.-]+)|\n  name: ([\w.-]+))/)
                return "\(kind) \(metadata?.output.1 ?? metadata?.output.2 ?? "")"
            }
            let installation = Installation()
            #expect(Set(installed) == Set((installation.parts + installation.namespaces).map { "\($0.kind) \($0.name)" }))
            #expect(installed.count == 10)
        }

        @Test("of a cell whose spec does not hold it is said that something may stay, and why it has no name")
        func remains() throws {
            let object = CellObjectTests()
            #expect(Uninstalling.remains(of: try object.object()) == ["the topic eu-1-messages of cell eu-1", "the keyspace eu of cell eu-1"])
            let left = Uninstalling.remains(of: try object.object(CellObjectTests.spec + #","mesaging":{}"#))
            #expect(left.count == 1 && left[0].contains("of cell eu-1") && left[0].contains("mesaging"), "\(left)")
        }

        @Test("a cell is abandoned when nobody is there and nothing has happened for a while; one that is served never is")
        func abandoned() {
            let begin = Moment(milliseconds: 1_000)
            var cells = AbandonedCells()
            func look(_ state: String, served: Bool = false, after seconds: Int) -> Bool {
                cells.isAbandoned("eu-1", state: state, served: served, now: begin + .seconds(seconds))
            }
            #expect(!look("1", after: 0))
            #expect(!look("1", after: 9))
            #expect(!look("2", after: 10), "somebody did something")
            #expect(!look("2", after: 19))
            #expect(!look("2", served: true, after: 20), "an operator is back")
            #expect(!look("2", after: 29))
            #expect(look("2", after: 30))
        }
    }
}
