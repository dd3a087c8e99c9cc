import Testing

@testable import Redis

@Suite("The state of a client's link")
struct RedisLinkTests {
    typealias Link = RedisLink<Int>
    let start = ContinuousClock.now
    let address = RedisAddress(host: "r", port: 1)

    func link(limit: Int = 10) -> Link {
        Link(address, options: RedisOptions(connectTimeout: .seconds(1), commandTimeout: .seconds(2), retryAfter: .milliseconds(100), limit: limit))
    }

    func exchange(_ number: Int, at time: Duration = .zero) -> Exchange<Int> {
        Exchange(commands: [RedisCommand("GET", number)], deadline: start + time + .seconds(2), promise: number)
    }

    func words(_ actions: Link.Actions) -> [String] {
        actions.map {
            switch $0 {
            case .connect: "connect"
            case .send(let commands): "send \(commands[0].arguments[1].first.map { $0 - 48 } ?? 0)"
            case .finish(let exchange): "finish \(exchange.promise)"
            case .fail(let exchange, let error): "fail \(exchange.promise) \(error.code)\(error.mayHaveRun ? " may have run" : "")"
            case .close: "close"
            }
        }
    }

    func up() -> Link {
        var link = link()
        _ = link.submit(exchange(0), now: start)
        _ = link.connected()
        _ = link.replied(.null, now: start)
        return link
    }

    @Test("requests wait for the first connection and go out in order")
    func firstConnection() {
        var link = link()
        #expect(words(link.submit(exchange(1), now: start)) == ["connect"])
        #expect(words(link.submit(exchange(2), now: start)) == [])
        #expect(words(link.connected()) == ["send 1", "send 2"])
        #expect(words(link.replied(.null, now: start)) == ["finish 1"])
        #expect(words(link.replied(.null, now: start)) == ["finish 2"])
    }

    @Test("after a failed attempt requests fail at once, until the next attempt is due")
    func failsFast() {
        var link = link()
        _ = link.submit(exchange(1), now: start)
        #expect(words(link.failed(RedisError(.refused, "no"), now: start)) == ["fail 1 refused"])
        #expect(words(link.submit(exchange(2), now: start + .milliseconds(99))) == ["fail 2 refused"])
        #expect(words(link.submit(exchange(3), now: start + .milliseconds(100))) == ["connect"])
    }

    @Test("an attempt that takes too long lets its requests go, and is still used when it succeeds")
    func overdue() {
        var link = link()
        _ = link.submit(exchange(1), now: start)
        #expect(link.deadline == start + .seconds(1))
        #expect(words(link.tick(start + .seconds(1))) == ["fail 1 timeout"])
        #expect(words(link.submit(exchange(2), now: start + .seconds(3))) == ["fail 2 timeout"])
        #expect(link.deadline == nil)
        #expect(words(link.connected()) == [])
        #expect(words(link.submit(exchange(3), now: start + .seconds(4))) == ["send 3"])
    }

    @Test("a late answer gives the connection up, and everything on it")
    func late() {
        var link = up()
        _ = link.submit(exchange(1), now: start)
        _ = link.submit(exchange(2, at: .seconds(1)), now: start + .seconds(1))
        #expect(words(link.tick(start + .seconds(2))) == ["close", "fail 1 timeout may have run", "fail 2 timeout may have run"])
        #expect(words(link.submit(exchange(3), now: start + .seconds(2))) == ["connect"])
    }

    @Test("a broken connection is made again by the next request")
    func broken() {
        var link = up()
        #expect(words(link.failed(RedisError(.lost, "EOF"), now: start)) == ["close"])
        #expect(words(link.submit(exchange(1), now: start + .milliseconds(100))) == ["connect"])
    }

    @Test(
        "READONLY, however deep, closes the connection once what is under way is answered",
        arguments: [
            RedisValue.error(RedisError(.readOnly, "replica")), .array([.null, .array([.error(RedisError(.readOnly, "replica"))])]),
        ])
    func readOnly(_ value: RedisValue) {
        var link = up()
        let now = start + .seconds(1)
        _ = link.submit(exchange(1), now: now)
        _ = link.submit(exchange(2), now: now)
        #expect(words(link.replied(value, now: now)) == ["finish 1"])
        #expect(words(link.submit(exchange(3), now: now)) == [])
        #expect(words(link.replied(.null, now: now)) == ["finish 2", "close", "connect"])
        #expect(words(link.connected()) == ["send 3"])
    }

    @Test("what is over the limit is refused, and room comes back with the answers")
    func limit() {
        var link = link(limit: 2)
        _ = link.submit(exchange(1), now: start)
        _ = link.submit(exchange(2), now: start)
        #expect(words(link.submit(exchange(3), now: start)) == ["fail 3 overloaded"])
        _ = link.connected()
        _ = link.replied(.null, now: start)
        #expect(words(link.submit(exchange(4), now: start)) == ["send 4"])
    }

    @Test("an answer that nobody asked for ends the connection, with its words")
    func unasked() {
        var link = up()
        #expect(words(link.replied(.error(RedisError(.other("ERR"), "max number of clients reached")), now: start)) == ["close"])
        #expect(words(link.submit(exchange(1), now: start)) == [#"fail 1 other("ERR")"#])
    }
}
