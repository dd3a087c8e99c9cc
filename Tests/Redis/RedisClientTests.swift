import Redis
import Support
import Testing

@Suite("A client of a real Redis", .serialized)
struct RedisClientTests {
    /// The code of what `body` throws; nil when it throws nothing.
    func code(_ body: () async throws -> Void) async -> RedisError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? RedisError)?.code
        }
    }

    @Test("every kind of answer arrives")
    func values() async throws {
        let redis = try await RedisProcess()
        let client = try redis.client()
        let binary: [UInt8] = [0, 13, 10, 255]
        #expect(try await client.command("SET", "k", binary) == .status("OK"))
        #expect(try await client.command("GET", "k") == .bytes(binary))
        #expect(try await client.command("SET", "", "") == .status("OK"))
        #expect(try await client.command("GET", "") == .bytes([]))
        #expect(try await client.command("GET", "none") == .null)
        #expect(try await client.command("INCRBY", "n", 5).integer == 5)
        #expect(try await client.command("HSET", "h", "a", 1, "b", UInt64.max) == .integer(2))
        #expect(try await client.command("HGETALL", "h").pairs?.map { "\($0.key)=\($0.value.string ?? "")" } == ["a=1", "b=18446744073709551615"])
        #expect(try await client.command("XADD", "s", "1-1", "f", "v") == .bytes(Array("1-1".utf8)))
        #expect(try await client.command("XRANGE", "s", "-", "+").array?.first?.array?.last?.pairs?.first?.value.string == "v")
        #expect(await code { try await client.command("LPUSH", "h", "x") } == .wrongType)
        #expect(await code { try await client.command("NOSUCH") } == .other("ERR"))
        #expect(await code { try await client.command(RedisCommand(arguments: [])) } == .other("ERR"))
    }

    @Test("a pipeline answers in order, with failures in their places")
    func pipeline() async throws {
        let redis = try await RedisProcess()
        let client = try redis.client()
        let commands = (0..<500).map { RedisCommand("RPUSH", "list", $0) } + [RedisCommand("GET", "list"), RedisCommand("LLEN", "list")]
        let answers = try await client.pipeline(commands)
        #expect(answers.count == 502)
        #expect(try answers[499].get() == .integer(500))
        #expect(throws: RedisError.self) { try answers[500].get() }
        #expect(try answers[501].get() == .integer(500))
        #expect(try await client.pipeline([]).isEmpty)
    }

    @Test("many tasks share the connection, and each gets its own answer")
    func concurrent() async throws {
        let redis = try await RedisProcess()
        let client = try redis.client()
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<2000 {
                group.addTask { try await client.command("ECHO", number).integer == Int64(number) }
            }
            for try await right in group { #expect(right) }
        }
        let clients = try #require(try await client.command("CLIENT", "LIST", "TYPE", "NORMAL").string)
        #expect(clients.split(separator: "\n").filter { $0.contains("cmd=client") || $0.contains("cmd=echo") }.count == 1)
    }

    @Test("large values pass in both directions")
    func large() async throws {
        let redis = try await RedisProcess()
        let client = try redis.client()
        let value = (0..<20_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try await client.command("SET", "k", value, timeout: .seconds(60))
        #expect(try await client.command("GET", "k", timeout: .seconds(60)).bytes == value)
    }

    @Test("a unix socket and another database work")
    func unixSocket() async throws {
        let redis = try await RedisProcess()
        let client = try RedisClient(RedisAddress(.unix(path: redis.socket), database: 3), options: .patient)
        try await client.command("SET", "k", "v")
        let other = try RedisClient(RedisAddress(.tcp(host: "localhost", port: redis.port), database: 3), options: .patient)
        #expect(try await other.command("GET", "k").string == "v")
        #expect(try await redis.client().command("GET", "k") == .null)
    }

    @Test("nobody listening, an unknown name and a wrong database are told apart")
    func unreachable() async throws {
        let refused = try RedisClient(RedisAddress(host: "127.0.0.1", port: freePort()), options: .patient)
        #expect(await code { try await refused.command("PING") } == .refused)
        let missing = try RedisClient(RedisAddress(.unix(path: "/nonexistent/redis")), options: .patient)
        #expect(await code { try await missing.command("PING") } == .refused)
        let unknown = try RedisClient(RedisAddress(host: "no-such-host.invalid", port: 6379), options: .patient)
        #expect(await code { try await unknown.command("PING") } == .unknownHost)
        let redis = try await RedisProcess()
        let wrong = try RedisClient(RedisAddress(.tcp(host: "127.0.0.1", port: redis.port), database: 99), options: .patient)
        #expect(await code { try await wrong.command("PING") } == .other("ERR"))
    }

    @Test("missing and wrong passwords, and missing permissions, are told apart")
    func authentication() async throws {
        let redis = try await RedisProcess(password: "right")
        let admin = try redis.client()
        func client(_ user: String?, _ password: String?) throws -> RedisClient {
            try RedisClient(RedisAddress(.tcp(host: "127.0.0.1", port: redis.port), user: user, password: password), options: .patient)
        }
        let (none, wrong) = (try client(nil, nil), try client(nil, "wrong"))
        #expect(await code { try await none.command("GET", "k") } == .noAuth)
        #expect(await code { try await wrong.command("GET", "k") } == .wrongPass)
        try await admin.command("ACL", "SETUSER", "cell", "on", ">pw", "~cell:*", "+@all", "-flushall")
        let cell = try client("cell", "pw")
        try await cell.command("SET", "cell:k", 1)
        #expect(await code { try await cell.command("SET", "other", 1) } == .noPerm)
        #expect(await code { try await cell.command("FLUSHALL") } == .noPerm)
        #expect(await code { try await cell.eval(RedisScript("return redis.call('SET', KEYS[1], 1)"), keys: ["other"]) } == .noPerm)
        let open = try await RedisProcess()
        let needless = try RedisClient(RedisAddress(.tcp(host: "127.0.0.1", port: open.port), password: "x"), options: .patient)
        #expect(await code { try await needless.command("PING") } == .wrongPass)
    }

    @Test("a changed password is found out at the next connection, and its correction too")
    func changedPassword() async throws {
        let redis = try await RedisProcess(password: "old")
        let client = try redis.client()
        let admin = try redis.client()
        try await client.command("PING")
        try await admin.command("CONFIG", "SET", "requirepass", "new")
        try await admin.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try await eventually("WRONGPASS") { await code { try await client.command("PING") } == .wrongPass }
        try await admin.command("CONFIG", "SET", "requirepass", "old")
        try await eventually("PONG") { try await client.command("PING") == .status("PONG") }
    }

    @Test("memory that is full and a disk that fails are told apart from refusals of a script")
    func refusals() async throws {
        let redis = try await RedisProcess()
        let client = try redis.client()
        let set = RedisScript("return redis.call('SET', KEYS[1], ARGV[1])")
        try await client.command("CONFIG", "SET", "maxmemory", 1)
        #expect(await code { try await client.command("SET", "k", 1) } == .outOfMemory)
        #expect(await code { try await client.eval(set, keys: ["k"], arguments: [1]) } == .outOfMemory)
        #expect(await code { try await client.eval(RedisScript("return redis.error_reply('TERM 3 is older than 4')"), keys: []) } == .script("TERM"))
        #expect(await code { try await client.eval(RedisScript("this is not Lua"), keys: []) } == .other("ERR"))
    }
}
