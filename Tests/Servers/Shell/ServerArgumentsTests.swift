import Cell
import Redis
@testable import Servers
import Testing

@Suite("A server's arguments")
struct ServerArgumentsTests {
    static let good = ["messaging", "--cell", "eu-1", "--server", "messaging-3", "--incarnation", "5f0c"]

    @Test("what is left out has its default")
    func defaults() throws {
        let parsed = try ServerArguments.parse(Self.good, environment: [:])
        #expect(parsed.kind == .messaging && parsed.cell == CellName("eu-1") && parsed.server == ServerID(.messaging, 3))
        #expect(parsed.redis == RedisAddress(host: "127.0.0.1", port: 6379) && parsed.port == nil && parsed.bind == "127.0.0.1" && parsed.zone.isEmpty)
    }

    @Test("Redis comes from the option, else from the environment")
    func redis() throws {
        let environment = ["CELL_REDIS": "redis://:secret@there:7000"]
        #expect(try ServerArguments.parse(Self.good, environment: environment).redis.password == "secret")
        #expect(try ServerArguments.parse(Self.good + ["--redis=here:1"], environment: environment).redis == RedisAddress(host: "here", port: 1))
    }

    @Test("all of them")
    func all() throws {
        let more = ["--zone", "b", "--port=7001", "--bind", "0.0.0.0", "--advertise", "chat.example.org"]
        let parsed = try ServerArguments.parse(Self.good + more, environment: [:])
        #expect(parsed.zone == "b" && parsed.port == 7001 && parsed.bind == "0.0.0.0" && parsed.reachable == "chat.example.org")
    }

    @Test(
        "what is wrong is said, with what to write",
        arguments: [
            ([], "KIND is missing"), (["cook"], "\"cook\" is no kind"), (["messaging", "--server", "messaging-3", "--incarnation", "a"], "--cell is missing"),
            (["messaging", "--cell", "EU", "--server", "messaging-3", "--incarnation", "a"], "--cell EU is not"),
            (["history"] + good.dropFirst(), "--server messaging-3 is no history server"), (good + ["--port", "99999"], "--port 99999 is no port"),
            (good + ["--prot", "1"], "--prot is not understood"), (good + ["--zone"], "--zone has no value"),
            (good + ["--cell", "b"], "--cell is given twice"),
            (good + ["--redis", "rediss://x"], "--redis:"), (good.dropLast() + ["a b"], "--incarnation a b is not"),
        ] as [([String], String)])
    func wrong(arguments: [String], says: String) {
        #expect { try ServerArguments.parse(arguments, environment: [:]) } throws: { "\($0)".hasPrefix(says) }
    }
}
