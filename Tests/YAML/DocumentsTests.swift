import Cell
import Testing
import YAML

/// `[a, {k: v}]`, plain scalars bare and others in quotes: a node without its marks.
func outline(_ node: Node) -> String {
    switch node {
    case .scalar(let text, let plain, _): plain ? text : "\"\(text)\""
    case .sequence(let elements, _): "[" + elements.map(outline).joined(separator: ", ") + "]"
    case .mapping(let entries, _): "{" + entries.map { "\($0.key): \(outline($0.value))" }.joined(separator: ", ") + "}"
    }
}

func documents(_ text: String) throws -> [Node] { try YAML.documents(in: Array(text.utf8), file: "f") }

struct Example: Sendable, CustomTestStringConvertible {
    let name: String, text: String, expected: [String]
    var testDescription: String { name }
    init(_ name: String, _ text: String, _ expected: String...) {
        self.name = name
        self.text = text
        self.expected = expected
    }
}

@Suite("documents")
struct DocumentsTests {
    @Test(
        "what a text says",
        arguments: [
            Example(
                "scalars stay text", "a: 012\nb: no\nc: 1.10\nd: 2024-06-01\ne: 10:22\nf: \"1\"\ng: '~'",
                "{a: 012, b: no, c: 1.10, d: 2024-06-01, e: 10:22, f: \"1\", g: \"~\"}"),
            Example("JSON", #"{"a":1,"b":["x",true,null],"c":{"d":"\u00e9\n"}}"#, "{a: 1, b: [\"x\", true, null], c: {d: \"é\n\"}}"),
            Example("no final newline", "a: 1", "{a: 1}"),
            Example("several documents", "a: 1\n--- # second\nb: 2\n---   \nc: 3\n", "{a: 1}", "{b: 2}", "{c: 3}"),
            Example("empty documents", "# header\n---\n\n---\n# nothing\n---\na: 1\n---\n...\n", "{a: 1}"),
            Example("nothing", "# only a comment\n---\n"),
            Example("no bytes", ""),
            Example("CRLF", "a: 1\r\nb:\r\n  c: 2\r\n", "{a: 1, b: {c: 2}}"),
            Example("aliases", "x: &a [1, 2]\ny: *a\nz: [*a, *a]", "{x: [1, 2], y: [1, 2], z: [[1, 2], [1, 2]]}"),
            Example("an anchor written again", "x: &a 1\ny: &a 2\nz: *a", "{x: 1, y: 2, z: 2}"),
            Example(
                "merge keys: explicit wins", "s: &s {servers: 1, port: 2}\nm:\n  <<: *s\n  servers: 3", "{s: {servers: 1, port: 2}, m: {servers: 3, port: 2}}"),
            Example("merge keys: the earlier source wins", "s: &s {a: 1}\nm:\n  <<: [*s, {a: 2, b: 3}]", "{s: {a: 1}, m: {a: 1, b: 3}}"),
            Example("a quoted << is a key", "\"<<\": {a: 1}", "{<<: {a: 1}}"),
            Example("duplicate keys are kept", "{a: 1, a: 2}", "{a: 1, a: 2}"),
        ])
    func reads(_ example: Example) throws {
        #expect(try documents(example.text).map(outline) == example.expected)
    }

    @Test("marks count lines and columns from 1, in characters")
    func marks() throws {
        let node = try #require(try documents("é: {ü: 1,\n  b: [x, y]}").first)
        let inner = try #require(node["é"])
        #expect(inner.mark == Mark(file: "f", line: 1, column: 4))
        #expect(inner["ü"]?.mark == Mark(file: "f", line: 1, column: 8))
        #expect(inner["b"]?.mark == Mark(file: "f", line: 2, column: 6))
        #expect(node.mark(at: "é.b.none") == Mark(file: "f", line: 2, column: 6))
    }

    @Test("a byte order mark and UTF-16 change nothing, not even columns")
    func encodings() throws {
        let text = "kind: Cell\nspec: {ä: 1}\n"
        let plain = try #require(try documents(text).first)
        let littleEndian: [UInt8] = [0xff, 0xfe] + text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
        let bigEndian: [UInt8] = [0xfe, 0xff] + text.utf16.flatMap { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] }
        for bytes in [[0xef, 0xbb, 0xbf] + Array(text.utf8), littleEndian, bigEndian] {
            let node = try #require(try YAML.documents(in: bytes, file: "f").first)
            #expect(outline(node) == outline(plain))
            #expect(node["spec"]?["ä"]?.mark == Mark(file: "f", line: 2, column: 11))
            #expect(node.mark == plain.mark)
        }
    }

    @Test("merged keys keep the place where they are written")
    func mergedMarks() throws {
        let node = try #require(try documents("s: &s {servers: 1}\nm:\n  <<: *s\n").first)
        #expect(node["m"]?["servers"]?.mark == Mark(file: "f", line: 1, column: 17))
    }

    @Test("duplicate keys are reported with both places, however they are quoted")
    func duplicates() throws {
        let node = try #require(try documents("metadata: {name: a, name: b}\nspec:\n  p: 1\n  \"p\": 2\n  m: {s: 1}\n  m:\n    s: 9\n").first)
        let problems = node.duplicateKeys()
        #expect(
            problems.map(\.description) == [
                "f:1:21: metadata.name is written twice, first at line 1 column 12. Keep one of the two",
                "f:4:3: spec.p is written twice, first at line 3 column 3. Keep one of the two",
                "f:6:3: spec.m is written twice, first at line 5 column 3. Keep one of the two",
            ])
    }
}
