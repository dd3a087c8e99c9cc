import Glibc
import HTTP
import Support
import Synchronization
import Testing
import Web

@Suite("The HTTP client, asking a real server", .serialized)
struct HTTPClientTests {
    static var routes: WebRoutes {
        var routes = WebRoutes()
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            routes.on(method, "/echo") { request in
                let lines = ["\(request.method) \(request.query("q") ?? "")", request.headers["authorization"] ?? "", request.headers["content-type"] ?? ""]
                return .text(lines.joined(separator: "|") + "|" + String(decoding: request.body, as: UTF8.self), headers: [("X-Seen", "yes")])
            }
        }
        routes.on("GET", "/large") { _ in WebResponse(type: "application/octet-stream", bytes: [UInt8](repeating: 7, count: 5_000_000)) }
        routes.on("GET", "/refuses") { _ in .problem("not \"now\"", status: 409) }
        routes.onAsync("GET", "/slow") { _ in
            try? await Task.sleep(for: .seconds(20))
            return .text("slow")
        }
        return routes
    }

    func server() throws -> WebServer { try WebServer(port: 0, options: .init(), routes: Self.routes) }

    func code(_ body: () async throws -> Void) async -> HTTPError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? HTTPError)?.code
        }
    }

    @Test(
        "every method, headers, query and body arrive",
        arguments: [
            ("GET", nil, "GET a b||||"), ("POST", "{}", "POST a b|||{}"), ("POST", nil, "POST a b|||"), ("PUT", "x", "PUT a b|||x"),
            ("DELETE", nil, "DELETE a b|||"), ("PATCH", "y", "PATCH a b|||y"),
        ] as [(String, String?, String)])
    func methods(_ method: String, _ body: String?, _ expected: String) async throws {
        let server = try server()
        let client = try HTTPClient()
        let url = "http://127.0.0.1:\(server.port)/echo?q=\(HTTPRequest.percentEncoded("a b"))"
        let response = try await client.send(HTTPRequest(method, url, body: body.map { Array($0.utf8) }))
        #expect(response.status == 200)
        #expect(response.text == (method == "GET" ? "GET a b|||" : expected))
        #expect(response.head.headers["x-seen"] == "yes")
    }

    @Test("a token and a content type go along; HEAD has no body")
    func headers() async throws {
        let server = try server()
        let client = try HTTPClient()
        let url = "http://127.0.0.1:\(server.port)/echo"
        let route = HTTPRoute(bearerToken: "t0ken")
        let response = try await client.send(HTTPRequest("POST", url, headers: [("Content-Type", "application/json")], body: [], route: route))
        #expect(response.text == "POST |Bearer t0ken|application/json|")
        let head = try await client.send(HTTPRequest("HEAD", url))
        #expect(head.status == 200)
        #expect(head.body.isEmpty)
        var dumped = ""
        dump(HTTPRequest("GET", url, route: route), to: &dumped)
        #expect(!dumped.contains("t0ken"))
    }

    @Test("another status keeps its body")
    func status() async throws {
        let server = try server()
        let client = try HTTPClient()
        let request = HTTPRequest("GET", "http://127.0.0.1:\(server.port)/refuses")
        let response = try await client.send(request)
        #expect(response.status == 409)
        let error = #expect(throws: HTTPError.self) { try response.checked() }
        #expect(error?.status == 409)
        #expect(error?.bodyText == #"{"error": "not \"now\""}"#)
        let streamed = await #expect(throws: HTTPError.self) { _ = try await client.stream(request) }
        #expect(streamed?.code == .status(409))
        #expect(streamed?.bodyText == #"{"error": "not \"now\""}"#)
    }

    @Test("large answers arrive whole, and larger ones than allowed are refused")
    func large() async throws {
        let server = try server()
        let client = try HTTPClient()
        let url = "http://127.0.0.1:\(server.port)/large"
        #expect(try await client.send(HTTPRequest("GET", url)).body == [UInt8](repeating: 7, count: 5_000_000))
        #expect(await code { _ = try await client.send(HTTPRequest("GET", url, bodyLimit_bytes: 4_999_999)) } == .tooLarge)
        let body = [UInt8](repeating: 65, count: 1_000_000)
        let echoed = try await client.send(HTTPRequest("POST", "http://127.0.0.1:\(server.port)/echo", body: body))
        #expect(echoed.body.suffix(1_000_000) == body[...])
    }

    @Test("a reader that takes its time makes the server wait, and gets everything")
    func backPressure() async throws {
        let port = freePort()
        let server = try ChildProcess(
            "python3",
            [
                "-c",
                """
                import socket, sys
                s = socket.create_server(("127.0.0.1", \(port))); c, _ = s.accept(); c.recv(65536)
                c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 40000000\\r\\n\\r\\n")
                for i in range(400):
                    c.sendall(bytes([i % 251]) * 100000); print(i, flush=True)
                """,
            ])
        let client = try HTTPClient()
        let stream = try await eventually { try await client.stream(HTTPRequest("GET", "http://127.0.0.1:\(port)/")) }
        func sent() -> Int { server.output.split(separator: "\n").count }
        // The server goes on until the sockets' buffers are full, and then stays there.
        var before = -1
        try await eventually("the server waits") {
            defer { before = sent() }
            try await Task.sleep(for: .milliseconds(200))
            return before > 0 && before == sent()
        }
        #expect(sent() < 400)
        var count = 0
        for try await chunk in stream {
            #expect(chunk.first == UInt8(count / 100_000 % 251))
            count += chunk.count
        }
        #expect(count == 40_000_000)
    }

    @Test("events come as they happen, through hundreds of streams beside other requests")
    func streams() async throws {
        let feed = EventFeed()
        var routes = Self.routes
        routes.on("GET", "/events") { _ in .events(feed) }
        let server = try WebServer(port: 0, routes: routes)
        let client = try HTTPClient()
        let timeouts = HTTPTimeouts(connect: .seconds(60), idle: nil, total: nil)
        let (port, number) = (server.port, 300)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<number {
                group.addTask {
                    let stream = try await client.stream(HTTPRequest("GET", "http://127.0.0.1:\(port)/events", timeouts: timeouts))
                    var text = ""
                    for try await chunk in stream {
                        text += String(decoding: chunk, as: UTF8.self)
                        if text.contains("data: 3\n\n") { return text.contains("data: 1\n\ndata: 2\n\n") }
                    }
                    return false
                }
            }
            try await eventually("all listen", within: .seconds(60)) { feed.count == number }
            for event in 1...3 {
                feed.send(ServerEvent("\(event)"))
                #expect(try await client.send(HTTPRequest("GET", "http://127.0.0.1:\(port)/echo")).status == 200)
            }
            for try await right in group { #expect(right) }
        }
        try await eventually("all are gone") {
            feed.beat()
            return feed.count == 0
        }
    }

    @Test("hundreds at a time leave few connections behind")
    func kept() async throws {
        func descriptors() throws -> Int {
            let folder = try #require(opendir("/proc/self/fd"))
            defer { closedir(folder) }
            var count = 0
            while readdir(folder) != nil { count += 1 }
            return count
        }
        // Nobody is answered before all have come, so that each has a connection of its own.
        let (asked, all) = (Counter(), 300)
        var routes = WebRoutes()
        routes.onAsync("GET", "/together") { _ in
            asked.add()
            do { try await eventually("all of them") { asked.value >= all } } catch { return .problem("\(error)", status: 504) }
            return .text("all")
        }
        let server = try WebServer(port: 0, options: .init(), routes: routes)
        let client = try HTTPClient()
        let (url, before) = ("http://127.0.0.1:\(server.port)/together", try descriptors())
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<all { group.addTask { try await client.send(HTTPRequest("GET", url)).status } }
            for try await status in group { #expect(status == 200) }
        }
        // Both ends of each are in this process.
        try await eventually("connections that are closed") { try descriptors() < before + 2 * 100 }
        let again = try await client.send(HTTPRequest("GET", url))
        #expect(again.status == 200)
    }

    @Test("a cancelled task closes its connection and gets CancellationError")
    func cancellation() async throws {
        let feed = EventFeed()
        var routes = Self.routes
        routes.on("GET", "/events") { _ in .events(feed) }
        let entered = Counter()
        routes.onAsync("GET", "/slow") { _ in
            entered.add()
            try? await Task.sleep(for: .seconds(20))
            return .text("slow")
        }
        let server = try WebServer(port: 0, routes: routes)
        let client = try HTTPClient()
        let url = "http://127.0.0.1:\(server.port)"
        let reader = Task {
            for try await _ in try await client.stream(HTTPRequest("GET", "\(url)/events", timeouts: HTTPTimeouts(idle: nil, total: nil))) {}
        }
        try await eventually("it listens") { feed.count == 1 }
        reader.cancel()
        await #expect(throws: CancellationError.self) { try await reader.value }
        try await eventually("it is gone") {
            feed.beat()
            return feed.count == 0
        }
        let waiting = Task { try await client.send(HTTPRequest("GET", "\(url)/slow")) }
        try await eventually("it is asked") { entered.value == 1 }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { _ = try await waiting.value }
        await server.stop(grace: .zero)
    }

    @Test("what goes wrong is told apart")
    func failures() async throws {
        let server = try server()
        let client = try HTTPClient()
        let url = "http://127.0.0.1:\(server.port)"
        let short = HTTPTimeouts(connect: .milliseconds(300), total: .milliseconds(300))
        let idle = HTTPTimeouts(idle: .milliseconds(300), total: nil)
        #expect(await code { _ = try await client.send(HTTPRequest("GET", "http://127.0.0.1:\(freePort())/")) } == .refused)
        #expect(
            await code { _ = try await client.send(HTTPRequest("GET", "http://no-such-host.invalid/", timeouts: HTTPTimeouts(connect: .seconds(30)))) }
                == .unknownHost)
        #expect(await code { _ = try await client.send(HTTPRequest("GET", "\(url)/slow", timeouts: short)) } == .timeout)
        #expect(await code { _ = try await client.send(HTTPRequest("GET", "\(url)/slow", timeouts: idle)) } == .timeout)
        for bad in ["", "ftp://x/", "http://", "http://a b/", "file:///etc/passwd"] {
            #expect(await code { _ = try await client.send(HTTPRequest("GET", bad)) } == .badRequest, "\(bad)")
        }
        #expect(await code { _ = try await client.send(HTTPRequest("GET", url, headers: [("A", "b\r\nC: d")])) } == .badRequest)
        #expect(await code { _ = try await client.send(HTTPRequest("GET", url, headers: [("A: x\r\n", "b")])) } == .badRequest)
        #expect(await code { _ = try await client.send(HTTPRequest("GE T", url)) } == .badRequest)
        let patient = HTTPTimeouts(connect: .seconds(30))
        #expect(await code { _ = try await client.send(HTTPRequest("GET", "https://127.0.0.1:\(server.port)/", timeouts: patient)) } == .tls)
        client.close()
        #expect(await code { _ = try await client.send(HTTPRequest("GET", url)) } == .closed)
        await server.stop(grace: .zero)
    }

    @Test(
        "what is not HTTP, and what breaks off, is an error",
        arguments: [
            ("SSH-2.0-x\r\n", .garbled), ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", .lost), ("", .lost),
        ] as [(String, HTTPError.Code)])
    func broken(_ bytes: String, _ expected: HTTPError.Code) async throws {
        let port = freePort()
        let server = try ChildProcess(
            "python3",
            [
                "-c",
                """
                import socket, sys
                s = socket.create_server(("127.0.0.1", \(port))); print("up", flush=True)
                while True:
                    c, _ = s.accept(); c.recv(65536); c.sendall(sys.argv[1].encode()); c.close()
                """, bytes,
            ])
        let client = try HTTPClient()
        try await eventually("the server") { server.output == "up\n" }
        let found = await code { _ = try await client.send(HTTPRequest("GET", "http://127.0.0.1:\(port)/")) }
        #expect(found == expected)
    }

    @Test("what was never sent is sent again, until the service is there; what may have run is not")
    func retries() async throws {
        let client = try HTTPClient()
        let port = freePort()
        let once = HTTPRequest("POST", "http://127.0.0.1:\(port)/echo")
        #expect(await code { _ = try await client.send(once) } == .refused)
        // A minute of retries, which pause 50 ms longer each time.
        async let response = client.send(HTTPRequest("POST", once.url, retries: 50))
        let server = try WebServer(port: port, routes: Self.routes)
        #expect(try await response.status == 200)
        let proxy = try TCPProxy(to: server.port)
        proxy.fault(.hole)
        let timeouts = HTTPTimeouts(total: .seconds(3))
        let start = ContinuousClock.now
        #expect(
            await code { _ = try await client.send(HTTPRequest("POST", "http://127.0.0.1:\(proxy.port)/echo", timeouts: timeouts, retries: 5)) } == .timeout)
        // Six times would be 18 s.
        #expect(ContinuousClock.now - start < .seconds(12))
    }
}
