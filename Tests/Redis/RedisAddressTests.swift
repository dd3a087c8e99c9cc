import Redis
import Testing

@Suite("Redis addresses")
struct RedisAddressTests {
    struct Good: Sendable, CustomTestStringConvertible {
        var text: String
        var address: RedisAddress
        var testDescription: String { text }
    }

    @Test(
        "what people write is understood",
        arguments: [
            Good(text: "localhost:7000", address: RedisAddress(host: "localhost", port: 7000)),
            Good(text: "localhost", address: RedisAddress(host: "localhost", port: 6379)),
            Good(text: "[::1]:7000", address: RedisAddress(host: "::1", port: 7000)),
            Good(text: "redis://r", address: RedisAddress(host: "r", port: 6379)),
            Good(text: "redis://r:1/", address: RedisAddress(host: "r", port: 1)),
            Good(text: "redis://r:1/3", address: RedisAddress(.tcp(host: "r", port: 1), database: 3)),
            Good(text: "redis://:p%40:ss@r:1", address: RedisAddress(.tcp(host: "r", port: 1), password: "p@:ss")),
            Good(text: "redis://cell:a@b@[::1]:5", address: RedisAddress(.tcp(host: "::1", port: 5), user: "cell", password: "a@b")),
            Good(text: "unix:///run/redis.sock", address: RedisAddress(.unix(path: "/run/redis.sock"))),
            Good(text: "/run/redis.sock", address: RedisAddress(.unix(path: "/run/redis.sock"))),
        ])
    func good(_ example: Good) throws {
        #expect(try RedisAddress(parsing: example.text) == example.address)
    }

    @Test(
        "what cannot be an address is refused with a remedy",
        arguments: [
            "", ":6379", "r:0", "r:65536", "r:x", "::1:6379", "[::1]6379", "redis://", "redis://secret@r", "redis://u:@r", "redis://u:%zz@r", "redis://r/x",
            "redis://r/-1",
            "redis://u:p/w@r", "rediss://r", "unix://r", "u:secret@r:1", "http://r",
        ])
    func bad(_ text: String) {
        let error = #expect(throws: RedisError.self) { try RedisAddress(parsing: text) }
        #expect(error?.code == .badAddress)
        #expect(error?.remedy.isEmpty == false)
        #expect(error?.description.contains("secret") == false)
    }

    @Test("a password never shows")
    func secret() throws {
        let address = try RedisAddress(parsing: "redis://cell:hunter2@r:1/2")
        var dumped = ""
        dump(address, to: &dumped)
        for text in ["\(address)", String(reflecting: address), dumped, "\([address])", "\(RedisError(.lost, "x", at: address))"] {
            #expect(!text.contains("hunter2"), "\(text)")
        }
        #expect("\(address)" == "redis://r:1/2")
    }
}
