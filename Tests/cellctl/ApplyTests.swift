import Blackboard
import Cell
import Glibc
import Support
import Testing

@Suite("cellctl apply")
struct ApplyTests {
    @Test("created, unchanged, configured")
    func words() async throws {
        let bench = try await Bench()
        try bench.folder.write(Bench.cell, to: "cell.yaml")
        let created = try await bench.run("apply", "-f", "cell.yaml")
        #expect(created.output == "cell/case created\n" && created.exit == .code(0) && created.errors.isEmpty)
        #expect(try await bench.run("apply", "cell.yaml").output == "cell/case unchanged\n")
        let dry = try await bench.run("apply", "--dry-run", "-", input: Bench.cell.with("servers: 3", "servers: 4"))
        #expect(dry.output == "cell/case configured (dry run)\n")
        #expect(try await bench.board().spec()?.generation == 1)
        let configured = try await bench.run("apply", "-f", "-", input: Bench.cell.with("servers: 3", "servers: 4"))
        #expect(configured.output == "cell/case configured\n")
        let stored = try #require(try await bench.board().spec())
        #expect(stored.generation == 2)
        #expect(try CellSpec.read(json: stored.json, source: "redis").messaging.servers == 4)
    }

    @Test("five mistakes are told at once, and nothing is written")
    func mistakes() async throws {
        let bench = try await Bench()
        let text = Bench.cell.with("partitions: 12", "partitions: zero").with("servers: 3", "servers: 0").with("standbys: 1", "standby: 1")
            .with("{embedded: {}}", "{embedded: {}, kafka: {}}").with("{none: {}}", "{}")
        try bench.folder.write(text, to: "bad.yaml")
        let outcome = try await bench.run("apply", "-f", "bad.yaml")
        #expect(outcome.exit == .code(3) && outcome.output.isEmpty)
        #expect(
            outcome.errorLines == [
                "bad.yaml:5:15: spec.partitions is zero, which is no integer in decimal digits. Write it in digits alone, like 720",
                "bad.yaml:6:24: spec.messaging.servers is 0; it must be at least 1. Write 1 to 10,000",
                "bad.yaml:6:27: spec.messaging.standby is not known. Did you mean standbys?",
                "bad.yaml:7:29: spec.backplane.kafka is a second choice beside embedded at line 7 column 15. Keep one of the two",
                "bad.yaml:9:9: spec.auth names none of jwt, none. Write one of them, like {none: {}}",
            ])
        #expect(try await bench.run("get", "cells", "-o", "name").output.isEmpty)
    }

    @Test("what is fixed is refused at its place, before any cell of the file is written")
    func fixed() async throws {
        let bench = try await Bench()
        _ = try await bench.run("apply", "-", input: Bench.cell)
        let text = Bench.cell.with("name: case", "name: other") + "---\n" + Bench.cell.with("partitions: 12", "partitions: 24")
        let outcome = try await bench.run("apply", "-", input: text)
        #expect(outcome.exit == .code(3) && outcome.output.isEmpty)
        #expect(
            outcome.errors
                == "stdin:16:15: spec.partitions is fixed: it is 12 and cannot become 24, since a user's partition is computed from it and never changes; another number needs a new cell. Write 12, or give the cell another name\n"
        )
        #expect(try await bench.run("get", "cells", "-o", "name").output == "cell/case\n")
    }

    @Test("several cells, folders, pipes, files without a last newline")
    func sources() async throws {
        let bench = try await Bench()
        let three = ["one", "two", "three"].map { Bench.cell.with("name: case", "name: \($0)") }.joined(separator: "--- # next\n")
        #expect(
            try await bench.run("apply", "-", input: "---\n\n---\n# nothing\n---\n" + three).lines == [
                "cell/one created", "cell/two created", "cell/three created",
            ])
        #expect(mkdir(bench.folder.file("cells"), 0o755) == 0)
        try bench.folder.write(Bench.cell.with("name: case", "name: b"), to: "cells/b.yaml")
        try bench.folder.write(String(Bench.cell.with("name: case", "name: a").dropLast()), to: "cells/a.yml")
        try bench.folder.write("not yaml: [", to: "cells/notes.txt")
        #expect(try await bench.run("apply", "-f", "cells").lines == ["cell/a created", "cell/b created"])
        #expect(mkfifo(bench.folder.file("pipe"), 0o600) == 0)
        let writer = try ChildProcess("sh", ["-c", "cat cells/a.yml > pipe"], in: bench.folder.path)
        #expect(try await bench.run("apply", "-f", "pipe").output == "cell/a unchanged\n")
        #expect(try await writer.waitForExit() == .code(0))
    }

    @Test("what is no file, nothing, too much or twice the same is refused")
    func refusals() async throws {
        let bench = try await Bench()
        let absent = try await bench.run("apply", "-f", "absent.yaml")
        #expect(absent.exit == .code(3) && absent.errors == "absent.yaml:1:1: the file cannot be read: No such file or directory. Name a file that is there\n")
        let nothing = try await bench.run("apply", "-", input: "# only a comment\n---\n")
        #expect(nothing.exit == .code(3) && nothing.errors.hasPrefix("cellctl: nothing to apply: standard input has no document"))
        let twice = try await bench.run("apply", "-", input: Bench.cell + "---\n" + Bench.cell)
        #expect(twice.exit == .code(3) && twice.errors == "stdin:14:18: metadata.name is case, as at stdin:3:18. Describe a cell once\n")
        #expect(mkdir(bench.folder.file("empty"), 0o755) == 0)
        #expect(try await bench.run("apply", "-f", "empty").errors.contains("has no .yaml, .yml or .json file"))
        let none = try await bench.run("apply")
        #expect(none.exit == .code(2) && none.errors == "cellctl: apply needs a file. Write: cellctl apply -f FILE\n")
        #expect(truncate(try bench.folder.write("", to: "huge.yaml"), 200 << 20) == 0)
        let huge = try await bench.run("apply", "-f", "huge.yaml")
        #expect(huge.exit == .code(3) && huge.errors.hasPrefix("huge.yaml:1:1: the file has more than 1048576 bytes"))
    }

    @Test("a cell that goes is not changed meanwhile")
    func deleting() async throws {
        let bench = try await Bench()
        _ = try await bench.run("apply", "-", input: Bench.cell)
        #expect(try await bench.run("delete", "cell", "case").output == "cell/case deleted\n")
        let outcome = try await bench.run("apply", "-", input: Bench.cell)
        #expect(outcome.exit == .code(1) && outcome.errors.hasPrefix("cellctl: cell case is being deleted."))
    }

    @Test("what would eat the machine costs 50 MB and a blink", arguments: ["bomb", "brackets", "dashes", "scalar", "keys", "labels"])
    func payloads(_ name: String) async throws {
        let bench = try await Bench()
        try bench.folder.write(Self.payload(name), to: "payload.yaml")
        let measuring = """
            import resource, subprocess, sys
            spent = lambda: (lambda used: used.ru_utime + used.ru_stime)(resource.getrusage(resource.RUSAGE_CHILDREN))
            best = 1000
            # The best of several: CPU time, too, grows on a core that others use.
            for _ in range(3):
                before = spent()
                done = subprocess.run(sys.argv[1:], stderr=subprocess.PIPE)
                best = min(best, spent() - before)
            print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, int(1000 * best), done.stderr.decode())
            """
        let outcome = try await ChildProcess.run("python3", ["-c", measuring, Bench.cellctl, "apply", "-f", "payload.yaml"], in: bench.folder.path)
        let parts = outcome.output.split(separator: " ", maxSplits: 3)
        #expect(parts.count == 4 && parts[0] == "3" && parts[3].hasPrefix("payload.yaml:"), "\(outcome.errors)")
        #expect(Int(parts[1]).map { $0 < 50 } == true, "\(parts[1]) MB")
        // A release build needs less than 100 ms of CPU time; the tests' own build is not optimised.
        #expect(Int(parts[2]).map { $0 < 400 } == true, "\(parts[2]) ms")
    }

    private static func payload(_ name: String) -> String {
        switch name {
        case "bomb":
            "x0: &x0 [s, s, s, s, s, s, s, s]\n"
                + (1...10).map { n in "x\(n): &x\(n) [" + Array(repeating: "*x\(n - 1)", count: 8).joined(separator: ", ") + "]\n" }.joined()
        case "brackets": "spec: " + String(repeating: "[", count: 100_000)
        case "dashes": String(repeating: "- ", count: 100_000)
        case "scalar": "a: " + String(repeating: "x", count: 50_000_000)
        case "labels": Bench.cell.with("{name: case}", "{name: case, labels: {" + (1...12_000).map { "k\($0): v" }.joined(separator: ", ") + "}}")
        default: Bench.cell + (1...100_000).map { "  k\($0): 1\n" }.joined()
        }
    }
}
