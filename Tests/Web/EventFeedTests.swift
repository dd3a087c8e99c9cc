import Support
import Testing
import Web

@Suite("Server-sent events", .serialized)
struct EventFeedTests {
    func server(_ feed: EventFeed, first: [ServerEvent] = []) throws -> WebServer {
        var routes = WebRoutes()
        routes.on("GET", "/events") { _ in .events(feed, first: first) }
        return try WebServer(port: 0, routes: routes)
    }

    func listen(_ server: WebServer) throws -> RawConnection {
        let connection = try RawConnection(port: server.port)
        connection.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection
    }

    @Test("what is sent reaches everybody who listens, in order")
    func broadcast() async throws {
        let feed = EventFeed()
        let server = try server(feed, first: [ServerEvent("snapshot", name: "all", id: "0")])
        let listeners = try (0..<20).map { _ in try listen(server) }
        for listener in listeners {
            #expect(try await listener.read(through: "\r\n\r\n").contains("text/event-stream"))
            _ = try await listener.read(through: "id: 0\nevent: all\ndata: snapshot\n\n")
        }
        try await eventually("20 listeners") { feed.count == 20 }
        for number in 1...50 { feed.send(ServerEvent("line \(number)\nmore", name: "change")) }
        for listener in listeners {
            for number in 1...50 { _ = try await listener.read(through: "event: change\ndata: line \(number)\ndata: more\n\n") }
        }
        feed.end()
        for listener in listeners { _ = try await listener.read(through: "0\r\n\r\n") }
        #expect(feed.count == 0)
    }

    @Test("who does not read is let go, and the others go on")
    func slow() async throws {
        let feed = EventFeed(backlog: 1_000_000)
        let server = try server(feed)
        let slow = try listen(server)
        let quick = try listen(server)
        try await eventually("two listeners") { feed.count == 2 }
        let event = ServerEvent(String(repeating: "x", count: 500_000))
        var sent = 0
        // The slow one's share first fills the sockets' buffers.
        while feed.count == 2, sent < 100 {
            feed.send(event)
            sent += 1
            try await eventually("the quick one has it") {
                quick.poll()
                return quick.received.count > sent * 500_000
            }
        }
        #expect(feed.count == 1)
        feed.send(ServerEvent("last"))
        _ = try await quick.read(through: "data: last\n\n")
        _ = slow
    }

    @Test("who goes away is forgotten at the next beat")
    func gone() async throws {
        let feed = EventFeed()
        let server = try server(feed)
        var connection: RawConnection? = try listen(server)
        try await eventually("one listener") { feed.count == 1 }
        _ = try await connection?.read(through: ":\n\n")
        connection = nil
        try await eventually("nobody") {
            feed.beat()
            return feed.count == 0
        }
    }

    @Test("a server that stops ends its streams")
    func stop() async throws {
        let feed = EventFeed()
        let server = try server(feed)
        let connection = try listen(server)
        _ = try await connection.read(through: ":\n\n")
        let start = ContinuousClock.now
        await server.stop(grace: .seconds(60))
        #expect(ContinuousClock.now - start < .seconds(20))
        _ = try await connection.readToEnd()
        try await eventually("nobody listens") { feed.count == 0 }
    }
}
