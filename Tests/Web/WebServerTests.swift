import Glibc
import Support
import Testing
import Web

@Suite("The web server, asked by raw sockets", .serialized)
struct WebServerTests {
    /// How often the slow routes were entered.
    let entered = Counter()

    var routes: WebRoutes {
        var routes = WebRoutes()
        let entered = entered
        routes.on("GET", "/hello") { .text("hello \($0.query("name") ?? "nobody")") }
        routes.on("POST", "/echo") { .json($0.body) }
        routes.on("GET", "/headers") { .text($0.headers["x-a"] ?? "none") }
        routes.on("GET", "/below/*") { .text("below \($0.path)") }
        routes.onAsync("GET", "/later") { request in
            entered.add()
            try? await Task.sleep(for: .milliseconds(50))
            return .text("later \(request.path)")
        }
        routes.onAsync("GET", "/never") { _ in
            entered.add()
            try? await Task.sleep(for: .seconds(60))
            return .text("never")
        }
        return routes
    }

    func server(_ change: (inout WebServer.Options) -> Void = { _ in }) throws -> WebServer {
        var options = WebServer.Options()
        change(&options)
        return try WebServer(port: 0, options: options, routes: routes)
    }

    /// The whole answer to one request whose connection closes.
    func ask(_ server: WebServer, _ lines: String, body: String = "") async throws -> String {
        let connection = try RawConnection(port: server.port)
        connection.send(lines + "\r\nHost: x\r\nConnection: close\r\n\r\n" + body)
        return try await connection.readToEnd()
    }

    struct Example: Sendable, CustomTestStringConvertible {
        var ask: String
        var body = ""
        var status: String
        var contains = ""
        var testDescription: String { ask }
    }

    @Test(
        "each request has its answer",
        arguments: [
            Example(ask: "GET /hello HTTP/1.1", status: "200 OK", contains: "\r\n\r\nhello nobody"),
            Example(ask: "GET /hello?name=a%20b%26c&x HTTP/1.1", status: "200 OK", contains: "hello a b&c"),
            Example(ask: "GET /hello?name=%zz%00 HTTP/1.1", status: "200 OK", contains: "hello %zz"),
            Example(ask: "GET /headers HTTP/1.1\r\nX-A: 1\r\nx-a: 2", status: "200 OK", contains: "1, 2"),
            Example(ask: "GET /below/a/b HTTP/1.1", status: "200 OK", contains: "below /below/a/b"),
            Example(ask: "GET /later HTTP/1.1", status: "200 OK", contains: "later /later"),
            Example(ask: "POST /echo HTTP/1.1\r\nContent-Length: 2", body: "{}", status: "200 OK", contains: "application/json\r\n"),
            Example(ask: "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked", body: "2\r\n{}\r\n0\r\n\r\n", status: "200 OK", contains: "\r\n\r\n{}"),
            Example(ask: "GET /nothing HTTP/1.1", status: "404 Not Found", contains: "Nothing is at /nothing."),
            Example(ask: "DELETE /hello HTTP/1.1", status: "405 Method Not Allowed", contains: "Allow: GET, HEAD"),
            Example(ask: "GET /echo HTTP/1.1", status: "405 Method Not Allowed", contains: "Allow: POST\r\n"),
        ])
    func answers(_ example: Example) async throws {
        let server = try server()
        let answer = try await ask(server, example.ask, body: example.body)
        #expect(answer.hasPrefix("HTTP/1.1 \(example.status)\r\n"), "\(answer)")
        #expect(answer.contains(example.contains), "\(answer)")
        await server.stop()
    }

    @Test("HEAD is GET without the body")
    func head() async throws {
        let server = try server()
        let answer = try await ask(server, "HEAD /hello HTTP/1.1")
        #expect(answer.contains("Content-Length: 12\r\n"))
        #expect(answer.hasSuffix("\r\n\r\n"))
    }

    @Test("a connection is kept for several requests, sent at once or one after another")
    func keepAlive() async throws {
        let server = try server()
        let connection = try RawConnection(port: server.port)
        connection.send(String(repeating: "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", count: 3))
        for _ in 1...3 { _ = try await connection.read(through: "hello nobody") }
        connection.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try await connection.read(through: "later /later")
    }

    @Test("a body that is too large is refused, announced or not", arguments: [true, false])
    func tooLarge(announced: Bool) async throws {
        let server = try server { $0.bodyLimit_bytes = 1000 }
        let body = String(repeating: "x", count: 1001)
        let framed = announced ? "Content-Length: 1001" : "Transfer-Encoding: chunked"
        let answer = try await ask(server, "POST /echo HTTP/1.1\r\n\(framed)", body: announced ? body : "3e9\r\n\(body)\r\n0\r\n\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 413 "), "\(answer)")
        let fits = try await ask(server, "POST /echo HTTP/1.1\r\nContent-Length: 1000", body: String(body.dropLast()))
        #expect(fits.hasPrefix("HTTP/1.1 200 "))
    }

    @Test("an endless body does not fill the memory")
    func endless() async throws {
        let server = try server { $0.bodyLimit_bytes = 1000 }
        let connection = try RawConnection(port: server.port)
        connection.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        let chunk = "1000\r\n\(String(repeating: "x", count: 4096))\r\n"
        try await eventually("the end of the connection") {
            connection.send(chunk)
            connection.poll()
            return connection.isClosed
        }
    }

    @Test(
        "what is not HTTP is refused and leaves the server running",
        arguments: [
            "\u{16}\u{3}\u{1}\u{2}", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /hello HTTP/1.1\r\nContent-Length: -5\r\nHost: x\r\n\r\n",
            "GET /" + String(repeating: "a", count: 100_000) + " HTTP/1.1\r\n\r\n", "\0\0\0\0",
            "GET /hello HTTP/1.1\r\n" + (1...5000).map { "X-\($0): y\r\n" }.joined() + "\r\n",
        ])
    func malformed(_ bytes: String) async throws {
        let server = try server { $0.idleTimeout = .seconds(1) }
        let connection = try RawConnection(port: server.port)
        connection.send(bytes)
        connection.finish()
        let answer = try await connection.readToEnd()
        #expect(!answer.hasPrefix("HTTP/1.1 200"), "\(answer)")
        // A client that is held up before it asks is let go, and comes again.
        try await eventually("it serves") { try await ask(server, "GET /hello HTTP/1.1").contains("hello nobody") }
    }

    @Test("slow clients are let go, and too many wait for their turn")
    func slow() async throws {
        let server = try server {
            $0.idleTimeout = .seconds(1)
            $0.connections = 2
        }
        let slow = try (0..<2).map { _ in try RawConnection(port: server.port) }
        for connection in slow { connection.send("GET /hel") }
        try await eventually("their turn") { try await ask(server, "GET /hello HTTP/1.1").contains("hello nobody") }
        for connection in slow { #expect(try await connection.readToEnd().contains("200") == false) }
    }

    @Test("a port that is offered is joined by those who say so, and served by them when the first has left; nobody else gets it")
    func sharedPort() async throws {
        var options = WebServer.Options()
        options.sharing = .offers
        // Not one that the system gives to others while nobody listens there.
        let first = try WebServer(port: freePort(), options: options, routes: routes)
        for sharing in [PortSharing.none, .offers] {
            options.sharing = sharing
            let taken = #expect(throws: WebError.self) { try WebServer(port: first.port, options: options, routes: routes) }
            #expect(taken?.code == .portTaken)
        }
        options.sharing = .joins
        let second = try WebServer(port: first.port, options: options, routes: routes)
        await first.stop(grace: .milliseconds(100))
        #expect(try await ask(second, "GET /hello HTTP/1.1").contains("hello"))
        await second.stop(grace: .milliseconds(100))
        // Free for all again.
        await WebServerTests.stopped(try WebServer(port: second.port, routes: routes))
    }

    private static func stopped(_ server: WebServer) async { await server.stop(grace: .milliseconds(100)) }

    @Test("a port that is taken, and a host that is not ours, are told with a remedy")
    func addresses() async throws {
        let server = try server()
        let taken = #expect(throws: WebError.self) { try WebServer(port: server.port, routes: routes) }
        #expect(taken?.code == .portTaken)
        #expect(taken?.description.contains("127.0.0.1:\(server.port)") == true)
        let foreign = #expect(throws: WebError.self) { try WebServer(host: "192.0.2.1", port: 0, routes: routes) }
        #expect(foreign?.code == .badAddress)
        let unknown = #expect(throws: WebError.self) { try WebServer(host: "no-such-host.invalid", port: 0, routes: routes) }
        #expect(unknown?.code == .badAddress)
        #expect(throws: WebError.self) { try WebServer(port: 70_000, routes: routes) }
        let v6 = try WebServer(host: "::", port: 0, routes: routes)
        #expect(try await ask(v6, "GET /hello HTTP/1.1").contains("hello"))
    }

    @Test("a stopped server has answered what was under way, and its port is free")
    func stop() async throws {
        let server = try WebServer(port: freePort(), routes: routes)
        let connection = try RawConnection(port: server.port)
        connection.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n")
        try await eventually("the request is under way") { entered.value == 1 }
        await server.stop(grace: .seconds(60))
        #expect(try await connection.readToEnd().contains("later /later"))
        let again = try WebServer(port: server.port, routes: routes)
        #expect(try await ask(again, "GET /hello HTTP/1.1").contains("hello"))
    }

    @Test("a request that never ends does not hold up the stop")
    func stopWithoutGrace() async throws {
        let server = try server()
        let connection = try RawConnection(port: server.port)
        connection.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        try await eventually("the request is under way") { entered.value == 1 }
        let start = ContinuousClock.now
        await server.stop(grace: .milliseconds(50))
        #expect(ContinuousClock.now - start < .seconds(20))
        _ = try await connection.readToEnd()
    }

    @Test("a server that is let go without a stop ends too")
    func letGo() async throws {
        var server: WebServer? = try WebServer(port: freePort(), routes: routes)
        let port = try #require(server?.port)
        let connection = try RawConnection(port: port)
        connection.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        try await eventually("the request is under way") { entered.value == 1 }
        server = nil
        _ = try await connection.readToEnd()
        try await eventually("nobody listens") { (try? RawConnection(port: port)) == nil }
    }

    @Test("it serves beside more descriptors than select can count")
    func manyDescriptors() async throws {
        let spare = (0..<1500).map { _ in dup(0) }
        defer { for descriptor in spare { close(descriptor) } }
        let server = try server()
        #expect(try await ask(server, "GET /hello HTTP/1.1").contains("hello"))
    }
}
