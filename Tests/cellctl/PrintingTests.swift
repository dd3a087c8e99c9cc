import Cell
import Testing
import YAML
@testable import cellctl

/// A node as JSON, where plain words are numbers, booleans, null, or texts.
private func meaning(_ node: Node) -> String {
    switch node {
    case .scalar(let text, plain: true, _) where ["true", "false", "null"].contains(text) || Int(text).map({ "\($0)" }) == text: text
    case .scalar(let text, _, _): JSON.text(text).description
    case .sequence(let nodes, _): "[" + nodes.map(meaning).joined(separator: ",") + "]"
    case .mapping(let entries, _): "{" + entries.map { JSON.text($0.key).description + ":" + meaning($0.value) }.joined(separator: ",") + "}"
    }
}

@Suite("printing")
struct PrintingTests {
    @Test("columns are aligned, and the last is not padded")
    func table() {
        let table = Table(columns: ["NAME", "READY"], rows: [["a", "True"], ["longer", ""]])
        #expect(table.lines() == ["NAME    READY", "a       True", "longer  -"])
        #expect(table.lines(header: false, widths: [8, 5])[0] == "a         True")
    }

    @Test(
        "YAML that is printed says the same when it is read",
        arguments: [
            #"{"a":1,"b":[1,"1",true,"true",null,"null","~",""],"c":{"d":{},"e":[],"f":[{"x":"y: z","k":[["deep"]]}]}}"#,
            #"{"500ms":"500ms","p":"25%","s":"8Ki","no":"no","d":"2024-06-01","t":"10:22","o":"0123","e":"1e3","h":"0x1f","u":"1_000","n":"a\nb","q":"\"","-":"- a"}"#,
            #"[[1,2],[],{"a":"b"}]"#,
        ])
    func yaml(_ json: String) throws {
        let node = try YAML.documents(in: Array(json.utf8), file: "json")[0]
        let again = try YAML.documents(in: Array(yamlText(node).utf8), file: "yaml")[0]
        #expect(meaning(again) == meaning(node))
    }

    @Test("a cell printed as YAML is the same cell")
    func cell() throws {
        var spec = CellSpec(name: CellName("a")!, partitions: 12, backplane: .embedded, store: .sqlite, auth: .none, run: .process(.init()))
        spec.messaging.window.age = .milliseconds(90_500)
        let node = try YAML.documents(in: Array(spec.canonicalJSON.utf8), file: "json")[0]
        #expect(try CellSpec.read(json: yamlText(node), source: "yaml") == spec)
        #expect(yamlText(node).contains("age: 90500ms"))
    }

    @Test("times are UTC, ages are short")
    func times() {
        #expect(timestamp(1_764_000_000_012) == "2025-11-24T16:00:00.012Z")
        let ages = [0, 119, 120, 7_199, 7_200, 172_800].map { age(since: 0, now_ms: $0 * 1_000) }
        #expect(ages == ["0s", "119s", "2m", "119m", "2h", "2d"])
    }

    @Test(
        "explain tells value, default and what is fixed",
        arguments: [
            ("spec.partitions", ["Value:    integer, 1 to 1,000,000", "Default:  none: it is required", "Fixed:    a user's partition"]),
            ("bodyBytes", ["Field:    spec.messaging.limits.bodyBytes", "Value:    size, 1 to 1Mi", "Default:  8Ki"]),
            ("spec.failover", ["  lease  <duration, 100ms to 2m>  default 1500ms\n      How long"]),
            ("spec.backplane.kafka.topic", ["Default:  NAME-messages"]),
            ("", ["  partitions", "apiVersion: cecochat.io/v1alpha1"]),
        ])
    func explain(_ path: String, _ says: [String]) throws {
        let text = try Explanation.text(of: path)
        for part in says { #expect(text.contains(part), "\(text)") }
    }

    @Test("explain of what is none asks what was meant")
    func explainNothing() {
        #expect(throws: Failure(.usage, "\"spec.mesaging\" is no field of cell.yaml", remedy: "Did you mean spec.messaging?")) {
            try Explanation.text(of: "spec.mesaging")
        }
        let several = #expect(throws: Failure.self) { try Explanation.text(of: "image") }
        #expect(several?.lines[0].contains("spec.run.docker.image, spec.run.kubernetes.image") == true)
    }

    @Test("the configuration is read, and what is wrong in it has a place")
    func configuration() throws {
        let read = try Configuration(parsing: Array("redis: redis://h:1\npasswordFile: /p\ncell: a\n".utf8), file: "c")
        #expect(read.redis == "redis://h:1" && read.passwordFile == "/p" && read.cell == "a")
        #expect(try Configuration(parsing: Array("# nothing\n".utf8), file: "c") == Configuration())
        let problem = #expect(throws: SpecProblem.self) { try Configuration(parsing: Array("redis: x\npaswordFile: y\n".utf8), file: "c") }
        #expect(problem?.description == "c:2:1: paswordFile is not known. Did you mean passwordFile?")
    }
}
