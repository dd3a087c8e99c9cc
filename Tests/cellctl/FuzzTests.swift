import Blackboard
import Cell
import Redis
import Support
import Testing

/// See `Fuzz` for how long and with which seed.
@Suite("cellctl before a Redis with strange contents", .serialized)
struct CellctlFuzzTests {
    @Test("it says something and ends; it never dies")
    func redis() async throws {
        let bench = try await Bench()
        _ = try await bench.run("apply", "-", input: Bench.cell)
        let client = try bench.redis.client()
        let keys = RedisKeys(CellName("case")!)
        let json = try #require(try await client.command("HGET", keys.spec, "json").string)
        let member = #"{"address":"127.0.0.1:1","http":"127.0.0.1:2","incarnation":"aaaa","leaves":[],"opens":[],"owns":["0-11"],"role":"owner","shadows":[]}"#
        let calls = [
            ["get", "servers"], ["get", "partitions"], ["get", "settings"], ["get", "events"], ["get", "cells"], ["status"], ["describe", "cell", "case"],
        ]
        try await Fuzz.run("cellctl", atLeast: 8) { random in
            try await client.command("HSET", keys.spec, "json", random.chance(70) ? random.mutatedText(json) : json, "generation", "\(random.edge())")
            try await client.command("HSET", keys.assignment, "epoch", "\(random.edge())", "term", "1", "messaging-1", random.mutatedText(member))
            try await client.command(
                "HSET", keys.settings, "json", random.mutatedText(#"{"epoch":3}"#), "overrides", random.mutatedText(#"{"revision":1,"values":{}}"#))
            try await client.command("HSET", keys.status, "json", random.mutatedText(#"{"conditions":[],"epoch":3,"servers":[]}"#))
            try await client.command("HSET", keys.reports, "messaging-1", random.mutatedText(#"{"incarnation":"aaaa","connections":3}"#))
            try await client.command("ZADD", keys.leases, "\(random.edge())", random.mutatedText("messaging-1/aaaa"))
            let call = calls[random.number(0...calls.count - 1)]
            let outcome = try await bench.run(call, "-o", random.chance(50) ? "json" : "yaml")
            if case .signal(let number) = outcome.exit { return "cellctl \(call) died of signal \(number): \(outcome.errors)" }
            return outcome.output.isEmpty && outcome.errors.isEmpty && call != ["get", "events"] ? "cellctl \(call) says nothing" : nil
        }
        client.close()
    }
}
