import Redis
import Support
import Testing

@Suite("A client while Redis fails", .serialized)
struct RedisFaultTests {
    func code(_ body: () async throws -> Void) async -> RedisError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? RedisError)?.code
        }
    }

    @Test("killed and started again, Redis is used again without anybody's help")
    func restart() async throws {
        let redis = try await RedisProcess(appendOnly: true)
        let client = try redis.client()
        try await client.command("SET", "k", 1)
        try await redis.kill()
        let start = ContinuousClock.now
        let after = await code { try await client.command("GET", "k") }
        #expect(after == .lost || after == .refused)
        #expect(await code { try await client.command("GET", "k") } != nil)
        // The client would wait for half a minute.
        #expect(ContinuousClock.now - start < .seconds(10), "requests fail fast while Redis is away")
        try await redis.start()
        try await eventually("the value") { try await client.command("GET", "k").integer == 1 }
    }

    @Test("a Redis that loads says so, and is listened to and served once it has loaded")
    func loading() async throws {
        let filled = try await RedisProcess(options: ["--appendonly", "yes", "--enable-debug-command", "yes"])
        let client = try filled.client()
        try await client.command("DEBUG", "POPULATE", 20_000, "k", 100, timeout: .seconds(60))
        try await client.command("BGREWRITEAOF")
        try await eventually("the rewritten file") {
            let state = try await client.command("INFO", "persistence").string ?? ""
            return state.contains("aof_rewrite_in_progress:0") && state.contains("aof_rewrite_scheduled:0")
        }
        try await filled.stop()
        // 5 ms for each key: 100 seconds of LOADING, unless it is told to hurry.
        let slowly = ["--appendonly", "yes", "--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024"]
        let redis = try await RedisProcess(options: slowly, started: false, in: filled.folder)
        try await redis.start(loaded: false)
        let late = try redis.client()
        #expect(await code { try await late.command("GET", "k:1") } == .loading)
        #expect(await code { try await late.eval(RedisScript("return redis.call('GET', KEYS[1])"), keys: ["k:1"]) } == .loading)
        let heard = Heard(try RedisSubscription(to: ["c"], at: redis.address, patience: .seconds(30), options: .patient))
        try await late.command("CONFIG", "SET", "key-load-delay", 0)
        try await eventually("the data") { try await late.command("DBSIZE") == .integer(20_000) }
        try await eventually("subscribed") { heard.subscribed > 0 }
        try await late.command("PUBLISH", "c", "x")
        try await eventually("the message") { heard.messages == ["c x"] }
    }

    @Test("a Redis that hangs is a timeout, everything under way is let go, and it is used again when it goes on")
    func hang() async throws {
        let redis = try await RedisProcess()
        let client = try redis.client(RedisOptions(connectTimeout: .milliseconds(300), commandTimeout: .milliseconds(300)))
        try await eventually("the first PONG") { try await client.command("PING") == .status("PONG") }
        redis.pause()
        let start = ContinuousClock.now
        async let first = code { try await client.command("INCR", "n") }
        async let second = code { try await client.command("INCR", "n") }
        #expect(await [first, second] == [.timeout, .timeout])
        #expect(ContinuousClock.now - start < .seconds(20))
        redis.resume()
        try await eventually("PONG") { try await client.command("PING") == .status("PONG") }
    }

    @Test("a hole in the network is a timeout; a reset is a loss; both heal")
    func network() async throws {
        let redis = try await RedisProcess()
        let proxy = try TCPProxy(to: redis.port)
        let client = try RedisClient(
            RedisAddress(host: "127.0.0.1", port: proxy.port), options: RedisOptions(connectTimeout: .milliseconds(300), commandTimeout: .milliseconds(300)))
        try await eventually("the first PONG") { try await client.command("PING") == .status("PONG") }
        proxy.fault(.hole)
        #expect(await code { try await client.command("PING") } == .timeout)
        proxy.fault(.none)
        try await eventually("PONG after the hole") { try await client.command("PING") == .status("PONG") }
        proxy.half()
        #expect(await code { try await client.command("PING") } == .timeout)
        try await eventually("PONG on a new connection") { try await client.command("PING") == .status("PONG") }
        proxy.reset()
        try await eventually("PONG after the reset") { try await client.command("PING") == .status("PONG") }
        proxy.fault(.refuse)
        try await eventually("a refusal") { await [.lost, .refused].contains(code { try await client.command("PING") }) }
    }

    @Test("what became a replica is left, also when a script says so, and the name is resolved again")
    func readOnly() async throws {
        let old = try await RedisProcess()
        let new = try await RedisProcess()
        let proxy = try TCPProxy(to: old.port)
        let client = try RedisClient(RedisAddress(host: "127.0.0.1", port: proxy.port), options: .patient)
        let set = RedisScript("return redis.call('SET', KEYS[1], ARGV[1])")
        try await client.eval(set, keys: ["k"], arguments: [1])
        // The address leads to the new primary from now on, but the open connection still goes to the old.
        try await old.client().command("REPLICAOF", "127.0.0.1", new.port)
        proxy.lead(to: new.port)
        #expect(await code { try await client.eval(set, keys: ["k"], arguments: [2]) } == .readOnly)
        try await eventually("a write to the new primary") {
            try await client.eval(set, keys: ["k"], arguments: [3])
            return true
        }
        #expect(try await new.client().command("GET", "k").integer == 3)
    }

    @Test("a script that Redis forgot is sent again, once and in order", arguments: ["SCRIPT FLUSH", "restart"])
    func forgottenScript(_ how: String) async throws {
        let redis = try await RedisProcess(appendOnly: true)
        let client = try redis.client()
        let push = RedisScript("return redis.call('RPUSH', KEYS[1], ARGV[1])")
        for number in 1...20 {
            if how == "restart", number == 10 { try await redis.restart() }
            if how == "SCRIPT FLUSH" { try await client.command("SCRIPT", "FLUSH") }
            try await eventually { try await client.eval(push, keys: ["list"], arguments: [number]).integer == Int64(number) }
        }
        try await redis.client().command("SCRIPT", "FLUSH")
        let answers = try await client.pipeline((21...40).map { RedisCommand(push, keys: ["list"], arguments: [$0]) })
        #expect(try answers.map { try $0.get().integer } == (21...40).map { Int64($0) })
        #expect(try await client.command("LRANGE", "list", 0, -1).array?.map(\.integer) == (1...40).map { Int64($0) })
        #expect(try await client.command("INFO", "commandstats").string?.contains("cmdstat_evalsha") == true)
    }

    @Test("scripts that are flushed all the time run once each, for many tasks")
    func flushed() async throws {
        let redis = try await RedisProcess()
        let client = try redis.client()
        let count = RedisScript("return redis.call('INCR', KEYS[1])")
        try await client.eval(count, keys: ["n"])
        // One flush comes in between however the tasks' turns fall.
        try await client.command("SCRIPT", "FLUSH")
        try await withThrowingTaskGroup(of: Void.self) { group in
            let flusher = try redis.client()
            group.addTask { for _ in 0..<300 { try await flusher.command("SCRIPT", "FLUSH") } }
            for _ in 0..<20 {
                group.addTask { for _ in 0..<50 { try await client.eval(count, keys: ["n"]) } }
            }
            try await group.waitForAll()
        }
        #expect(try await client.command("GET", "n").integer == 1001)
        let stats = try await client.command("INFO", "errorstats").string ?? ""
        #expect(stats.contains("NOSCRIPT"), "the flushes came in between: \(stats)")
    }

    @Test("a closed client refuses, and what was under way is let go")
    func closed() async throws {
        let redis = try await RedisProcess()
        let client = try redis.client(.patient)
        try await client.command("PING")
        async let waiting = code { try await client.command("BLPOP", "none", 0) }
        let observer = try redis.client()
        try await eventually("the blocked command") { try await observer.command("INFO", "clients").string?.contains("blocked_clients:1") == true }
        client.close()
        #expect(await waiting == .closed)
        #expect(await code { try await client.command("PING") } == .closed)
        try await eventually("the connection's end") { try await observer.command("INFO", "clients").string?.contains("connected_clients:1") == true }
    }
}
