import Blackboard
import Cell
import Redis
import Support
import Testing

@testable import Servers

/// See `Fuzz` for how long and with which seed.
@Suite("Redis with strange contents", .serialized)
struct RedisFuzzTests {
    private static let settings = #"""
        {"alive_ms":10000,"epoch":3,"generation":1,"heartbeat_ms":500,"lease_ms":1500,"limits":{"backlog":262144,"bodyBytes":8192,"partitionRate":2000,"streamsPerUser":16,"unacknowledged":64,"userRate":50},"maxConnections":50000,"moveGrace_ms":10000,"movedPerSecond":2000,"windowAge_ms":600000,"windowBytes":1073741824}
        """#

    private static func member(_ incarnation: String) -> String {
        #"{"address":"127.0.0.1:1","http":"127.0.0.1:2","incarnation":"\#(incarnation)","leaves":["7"],"opens":["5-6"],"owns":["0-4","9"],"role":"owner","shadows":[]}"#
    }

    private static let report = #"""
        {"build":"0","connections":3,"epoch":3,"generation":1,"http":"127.0.0.1:2","address":"127.0.0.1:1","incarnation":"aaaa","log":null,"left":[],"maxConnections":9,"messagesPerSecond":1,"pid":1,"positions":{"0":3},"state":"ready","term":1,"waitsFor":"","warm":["0-3"],"zone":""}
        """#

    @Test("whatever stands in the cell's keys, servers and cellctl read it without a trap, and a core goes on")
    func redis() async throws {
        let process = try await RedisProcess()
        let client = try process.client()
        let cell = CellName("case")!
        let board = CellBlackboard(cell, on: client)
        let keys = RedisKeys(cell)
        let spec = CellSpec(name: cell, partitions: 12, backplane: .embedded, store: .sqlite, auth: .none, run: .process(.init()))
        try await Fuzz.run("redis", atLeast: 50) { random in
            try await client.command("FLUSHALL")
            try await fill(client, keys, &random)
            let assignment = (try? await board.assignment()) ?? Assignment()
            let settings = try? await board.settings()
            _ = try? await board.spec().map { try CellSpec.read(json: $0.json, source: "redis") }
            _ = try? await board.overrides()
            _ = try? await board.servers()
            _ = try? await board.logs()
            _ = try? await board.status()
            _ = try? await board.latestEvents(100)
            _ = try? await board.leader()
            _ = Directory(assignment, of: spec).directions(for: UserID(7)!)
            _ = assignment.epoch.next
            live(with: settings, assignment)
            return nil
        }
        client.close()
        try await process.stop()
    }

    @Test("what the fuzzer found: billions of partitions, the last epoch, settings that no server can go by")
    func found() async throws {
        let process = try await RedisProcess()
        let client = try process.client()
        let board = CellBlackboard(CellName("case")!, on: client)
        var member = Member(incarnation: CoreBench.mine, address: "me:1", http: "me:2", role: .owner)
        member.owns = PartitionSet(0...Int32.max - 1)
        let assignment = Assignment(epoch: Epoch(.max), term: Term(1), log: CoreBench.log, members: [CoreBench.me: member])
        #expect(assignment.epoch.next == assignment.epoch)
        let began = ContinuousClock.now
        live(with: nil, assignment)
        // Whoever went through all of them would need minutes.
        #expect(ContinuousClock.now - began < .seconds(10))
        for (field, value) in [("windowAge_ms", "\(Int64.min)"), ("maxConnections", "\(Int.max)"), ("alive_ms", "0"), ("backlog", "-1")] {
            let fields = Self.settings.split(separator: ",").map {
                $0.contains("\"\(field)\"") ? $0.split(separator: ":").dropLast().joined(separator: ":") + ":\(value)" : String($0)
            }
            try await client.command("HSET", "{cell:case}:settings", "json", fields.joined(separator: ","))
            await #expect(throws: BlackboardError.self, "\(field)") { try await board.settings() }
        }
        client.close()
        try await process.stop()
    }

    private func fill(_ client: RedisClient, _ keys: RedisKeys, _ random: inout SeededRandom) async throws {
        let log = CoreBench.log.description
        let fields: [(String, String, String)] = [
            (keys.settings, "json", Self.settings), (keys.settings, "overrides", #"{"revision":2,"values":{"moves.grace":"7s"}}"#),
            (keys.settings, "epoch", "3"), (keys.spec, "generation", "1"), (keys.spec, "json", "{}"), (keys.spec, "created_ms", "5"),
            (keys.assignment, "epoch", "7"), (keys.assignment, "term", "1"), (keys.assignment, "log", log),
            (keys.assignment, "messaging-1", Self.member("aaaa")), (keys.assignment, "messaging-2", Self.member("bbbb")),
            (keys.reports, "messaging-1", Self.report), (keys.status, "json", #"{"conditions":[],"epoch":3,"servers":[]}"#),
        ]
        for (key, field, text) in fields where !random.chance(5) {
            try await client.command("HSET", key, random.chance(4) ? random.mutatedText(field) : field, random.chance(50) ? random.mutatedText(text) : text)
        }
        for _ in 0..<2 { try await client.command("ZADD", keys.leases, "\(random.edge())", random.mutatedText("messaging-1/aaaa")) }
        try await client.command("RPUSH", keys.logs, log, random.mutatedText(log))
        try await client.command("XADD", keys.events, "*", random.chance(50) ? "json" : "x", random.mutatedText(#"{"kind":"A","time_ms":5,"text":"b"}"#))
        // A key of another type altogether.
        if random.chance(10), let key = [keys.settings, keys.assignment, keys.leases, keys.reports, keys.logs].randomElement(using: &random) {
            try await client.command("SET", key, "a text")
        }
    }

    /// A core that is told all of it, and has clients.
    private func live(with settings: Settings?, _ assignment: Assignment) {
        let bench = CoreBench(partitions: 12)
        if let settings { bench.core.configured(settings, at: bench.now) }
        bench.core.assigned(assignment, at: bench.now)
        for partition in bench.core.partitions.keys.sorted() { bench.begin(partition, start: 5, end: 5) }
        for user in 1...20 {
            let stream = bench.open(UInt64(user), cursor: 4)
            if bench.frames(to: stream).first?.opened != nil { bench.send(to: 7, on: stream) }
        }
        for partition in bench.core.partitions.keys.sorted() { bench.read(partition, [bench.entry(5, from: 1, to: 2)]) }
        bench.core.trimWindows()
        for _ in 0..<5 {
            bench.core.advance(to: Now(monotonic_ms: bench.now.monotonic_ms + 20_000, wall_ms: bench.now.wall_ms + 20_000))
            bench.take()
        }
    }
}
