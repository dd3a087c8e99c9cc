import Cell
import Testing
import YAML

struct Refused: Sendable, CustomTestStringConvertible {
    let name: String, text: String, line: Int, column: Int, says: String
    var testDescription: String { name }
    init(_ name: String, _ text: String, _ line: Int, _ column: Int, _ says: String) {
        self.name = name
        self.text = text
        self.line = line
        self.column = column
        self.says = says
    }
}

@Suite("refusals")
struct RefusalTests {
    @Test(
        "what is no YAML is refused at its place",
        arguments: [
            Refused("a tab", "a: b\nspec:\n\tpartitions: 12\n", 3, 1, "tabs"),
            Refused("a tab after spaces", "spec:\n  a: 1\n  \tb: 2\n", 3, 3, "tabs"),
            Refused("a key in a value", "a: b: c\n", 1, 5, "mapping values"),
            Refused("an open bracket", "a: [1, 2\nb: 3\n", 2, 2, "which begins at line 1"),
            Refused("an open quote", "a: \"x\nb: 3\n", 3, 1, "unexpected end of stream"),
            Refused("a wrong indentation", "a:\n  b: 1\n c: 2\n", 3, 2, "did not find expected key"),
            Refused("an anchor of its own", "spec: &me\n  p: 12\n  messaging: *me\n", 3, 14, "would contain itself"),
            Refused("an anchor defined later", "a: *x\nb: &x 1\n", 1, 4, "names no anchor above it"),
            Refused("an anchor of the document before", "a: &x 1\n---\nb: *x\n", 3, 4, "names no anchor above it"),
            Refused("a tag", "a: 1\nb: !!int \"3\"\n", 2, 4, "tag"),
            Refused("a list as a key", "? [a]\n: 1\n", 1, 3, "key must be a plain word"),
            Refused("<< of a scalar", "m:\n  <<: 5\n", 2, 7, "merges mappings"),
            Refused("<< of a list of scalars", "m:\n  <<: [5]\n", 2, 8, "merges mappings"),
            Refused("<< twice", "s: &s {a: 1}\nm:\n  <<: *s\n  <<: *s\n", 4, 3, "written twice, first at line 3 column 3"),
            Refused("a control character", "a: 1\nb: \u{1}\n", 2, 4, "control characters"),
            Refused("an @", "a: 1\nb: @x\n", 2, 4, "cannot start any token"),
        ])
    func refuses(_ example: Refused) {
        #expect(throws: SpecProblem.self) { try documents(example.text) }
        let problem = #expect(throws: SpecProblem.self) { try documents(example.text) }
        #expect(problem?.mark == Mark(file: "f", line: example.line, column: example.column))
        #expect(problem?.problem.contains(example.says) == true, "\(problem?.description ?? "")")
        #expect(problem?.remedy.isEmpty == false)
    }

    @Test("bytes that are no UTF-8 are refused at the first of them")
    func notUTF8() {
        let problem = #expect(throws: SpecProblem.self) { try YAML.documents(in: Array("a: 1\nb: é".utf8) + [0xff, 0x41], file: "f") }
        #expect(problem?.mark == Mark(file: "f", line: 2, column: 5))
        let cut = #expect(throws: SpecProblem.self) { try YAML.documents(in: [0xff, 0xfe, 0x41, 0x00, 0x42], file: "f") }
        #expect(cut?.problem.contains("UTF-16") == true)
    }

    struct Payload: Sendable, CustomTestStringConvertible {
        let name: String, text: @Sendable () -> String, says: String
        var testDescription: String { name }
    }

    @Test(
        "what would eat the machine is refused at once",
        arguments: [
            Payload(
                name: "aliases of aliases",
                text: {
                    "x0: &x0 [s, s, s, s, s, s, s, s]\n"
                        + (1...10).map { n in "x\(n): &x\(n) [" + Array(repeating: "*x\(n - 1)", count: 8).joined(separator: ", ") + "]\n" }.joined()
                }, says: "aliases expanded"),
            Payload(
                name: "merges of merges",
                text: {
                    "x0: &x0 {a: 1}\n" + (1...20).map { n in "x\(n): &x\(n) {l: *x\(n - 1), r: *x\(n - 1)}\n" }.joined()
                }, says: "aliases expanded"),
            Payload(name: "100,000 brackets", text: { "spec: " + String(repeating: "[", count: 100_000) }, says: "deep"),
            Payload(name: "100,000 braces on lines", text: { String(repeating: "{a:\n", count: 100_000) }, says: "deep"),
            Payload(name: "100,000 dashes on one line", text: { String(repeating: "- ", count: 100_000) }, says: "deep"),
            Payload(name: "a plain scalar of 50 MB", text: { "a: " + String(repeating: "x", count: 50_000_000) }, says: "more than 1048576 bytes"),
            Payload(name: "100,000 keys", text: { (0..<100_000).map { "k\($0): 1\n" }.joined() }, says: "values"),
            Payload(name: "a megabyte of question marks", text: { String(repeating: "? ", count: 500_000) }, says: "deep"),
            Payload(name: "an alias chain that lies deep", text: { (1...40).reduce("x0: &x0 1\n") { $0 + "x\($1): &x\($1) [*x\($1 - 1)]\n" } }, says: "deep"),
        ])
    func payloads(_ payload: Payload) {
        let bytes = Array(payload.text().utf8)
        // The best of several: the machine may be busy with something else.
        var best = Duration.seconds(60)
        for _ in 1...5 where best >= .seconds(1) {
            let began = ContinuousClock.now
            let problem = #expect(throws: SpecProblem.self) { try YAML.documents(in: bytes, file: "f") }
            #expect(problem?.problem.contains(payload.says) == true, "\(problem?.description ?? "")")
            best = min(best, ContinuousClock.now - began)
        }
        // 100 ms is what a release build is held to; this one is not optimised, and shares its cores.
        #expect(best < .seconds(1), "\(best)")
    }

    struct Large: Sendable, CustomTestStringConvertible {
        let name: String, text: @Sendable (Int) -> String
        var testDescription: String { name }
    }

    @Test(
        "what is large and harmless is read in time that grows with its length",
        arguments: [
            Large(name: "quoted keys") { n in "{" + (0..<n).map { "\"k\($0)\":\($0)" }.joined(separator: ",") + "}" },
            Large(name: "a list in one line") { n in "[" + Array(repeating: "x", count: n).joined(separator: ", ") + "]" },
            Large(name: "a long text") { n in "a: " + String(repeating: "word ", count: n * 8) },
            Large(name: "comments") { n in String(repeating: "# comment\n", count: n * 4) + "a: 1" },
            Large(name: "blank lines in a text") { n in "a: |\n" + String(repeating: "\n", count: n * 16) + "  x\n" },
        ])
    func linear(_ large: Large) throws {
        let bytes = Array(large.text(20_000).utf8)
        var best = Duration.seconds(60)
        for _ in 1...5 where best >= .milliseconds(1_500) {
            let began = ContinuousClock.now
            _ = try YAML.documents(in: bytes, file: "f")
            best = min(best, ContinuousClock.now - began)
        }
        #expect(best < .milliseconds(1_500), "\(best)")
    }
}
