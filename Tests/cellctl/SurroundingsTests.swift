import Support
import Testing

@Suite("cellctl's surroundings")
struct SurroundingsTests {
    @Test("an unknown verb is answered by the nearest one, on standard error")
    func unknownVerb() async throws {
        let outcome = try await ChildProcess.run(Bench.cellctl, ["aply"])
        #expect(outcome.exit == .code(2) && outcome.errors == "cellctl: \"aply\" is no verb. Did you mean apply?\n" && outcome.output.isEmpty)
    }

    @Test(
        "without a Redis every verb that needs one says so, with what to do",
        arguments: [["get", "cells"], ["status"], ["apply", "-"], ["delete", "cell", "x"], ["scale", "messaging=1"]])
    func noRedis(_ arguments: [String]) async throws {
        let outcome = try await ChildProcess.run(Bench.cellctl, ["--redis", "127.0.0.1:1"] + arguments, input: Bench.cell)
        #expect(outcome.exit == .code(4) && outcome.errorLines.count == 1)
        #expect(outcome.errors.hasPrefix("cellctl: Redis: redis://127.0.0.1:1: ") && outcome.errors.contains("Start Redis there"))
    }

    @Test("a wrong address is a usage error")
    func wrongAddress() async throws {
        let outcome = try await ChildProcess.run(Bench.cellctl, ["get", "cells", "--redis", "a:b:c"])
        #expect(outcome.exit == .code(2) && outcome.errors.contains("Write redis://"))
    }

    @Test("the Redis comes from the option, the variable, the configuration, in this order; its password is never printed")
    func whichRedis() async throws {
        let bench = try await Bench()
        let guarded = try await RedisProcess(password: "s3cret")
        try bench.folder.write("s3cret\n", to: "password")
        try bench.folder.write("redis: 127.0.0.1:\(guarded.port)\npasswordFile: \(bench.folder.file("password"))\n", to: "config")
        let configured = ["CELL_REDIS": "", "CELLCTL_CONFIG": bench.folder.file("config")]
        let applied = try await bench.run("apply", "-", environment: configured, input: Bench.cell)
        #expect(applied.output == "cell/case created\n", "\(applied.errors)")
        #expect(try await bench.run("get", "cells", "-o", "name").output.isEmpty)
        let url = "redis://:s3cret@127.0.0.1:\(guarded.port)"
        #expect(try await bench.run("get", "cells", "-o", "name", environment: ["CELL_REDIS": url]).output == "cell/case\n")
        let wrong = try await bench.run("--redis", "redis://:wr0ng@127.0.0.1:\(guarded.port)", "get", "cells")
        #expect(wrong.exit == .code(4) && !wrong.errors.contains("wr0ng"))
        let version = try await bench.run("version", environment: ["CELL_REDIS": url])
        #expect(version.output.contains("redis     redis://127.0.0.1:\(guarded.port)") && !version.output.contains("s3cret"))
    }

    @Test("the cell is the one named, else the only one")
    func whichCell() async throws {
        let bench = try await Bench()
        #expect(try await bench.run("get", "servers").errors.contains("there is no cell in redis://"))
        _ = try await bench.run("apply", "-", input: Bench.cell + "---\n" + Bench.cell.with("name: case", "name: other"))
        let several = try await bench.run("get", "servers")
        #expect(several.exit == .code(1) && several.errors == "cellctl: there are several cells: case, other. Name one: --cell case\n")
        #expect(try await bench.run("get", "partitions", "-c", "other", "-o", "name").lines.count == 12)
        #expect(try await bench.run("get", "partitions", "-c", "othr").errors == "cellctl: there is no cell \"othr\". Did you mean other?\n")
    }

    @Test("no colours where output is no terminal")
    func colours() async throws {
        let bench = try await Bench()
        _ = try await bench.run("apply", "-", input: Bench.cell)
        #expect(!(try await bench.run("get", "cells")).output.contains("\u{1b}"))
    }

    @Test("the shells accept their completions", arguments: ["bash", "zsh", "fish"])
    func completions(_ shell: String) async throws {
        let script = try await ChildProcess.run(Bench.cellctl, ["completion", shell])
        #expect(script.exit == .code(0) && script.output.contains("partitions"))
        guard shell == "bash" else { return }
        let tried = try await ChildProcess.run(
            "bash",
            input: script.output + """

                COMP_WORDS=(cellctl get pa); COMP_CWORD=2; _cellctl; echo "${COMPREPLY[@]}"
                COMP_WORDS=(cellctl sca); COMP_CWORD=1; _cellctl; echo "${COMPREPLY[@]}"
                COMP_WORDS=(cellctl get cells -o y); COMP_CWORD=4; _cellctl; echo "${COMPREPLY[@]}"

                """)
        #expect(tried.lines == ["partitions", "scale", "yaml"], "\(tried.errors)")
    }
}
