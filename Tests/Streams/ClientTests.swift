import Glibc
import Support
import TLS
import Testing
@testable import Streams

@Suite("the client", .serialized)
struct ClientTests {
    @Test("unary calls, messages of every size, many at once")
    func unary() async throws {
        let stage = try TestServer {
            $0.backlog = 4 << 20; $0.messageLimit = 4 << 20
        }
        let client = try await TestClient(port: stage.port)
        for size in [0, 1, 4, 16_379, 16_380, 65_536, 1 << 20] {
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            #expect(try await client.call("/test.Echo/Unary", body) == body, "\(size) bytes")
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<90 {
                group.addTask {
                    let answer = try await client.call("/test.Echo/Unary", Array("\(number)".utf8))
                    #expect(answer == Array("\(number)".utf8))
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("a conversation: messages in order, half close, OK, told once")
    func conversation() async throws {
        let stage = try TestServer()
        let client = try await TestClient(port: stage.port)
        let call = try await client.open("/test.Echo/Bidi")
        for number in 0..<200 { call.send(Array("\(number)".utf8)) }
        call.halfClose()
        #expect(try await call.ended() == .ok)
        #expect(call.messages == (0..<200).map { Array("\($0)".utf8) })
        #expect(call.all.ends == 1)
        try await eventually { stage.journal.ended == [.init(path: "/test.Echo/Bidi", reason: .finished)] }
    }

    @Test("metadata goes both ways, binary too")
    func metadata() async throws {
        let stage = try TestServer()
        let client = try await TestClient(port: stage.port)
        let bytes = (0...255).map { UInt8($0) }
        let call = try await client.open(
            "/test.Echo/Metadata", metadata: [("x-one", "1"), ("x-many", "a"), ("x-many", "b"), ("x-data-bin", BinaryMetadata.text(bytes))])
        #expect(try await call.ended() == .ok)
        #expect(call.messages == [Array("1|false|true".utf8)])
        #expect(call.all.metadata?["x-initial"] == "a,b")
        #expect(call.all.metadata?.binary("x-initial-bin") == bytes)
        #expect(call.all.trailers?["x-trailing"] == "late")
        #expect(call.all.trailers?.binary("x-trailing-bin") == bytes.reversed())
    }

    @Test("a status arrives with its code and text", arguments: ["a\nb", "100%", "Grüße 🎈", ""])
    func status(text: String) async throws {
        let stage = try TestServer()
        let client = try await TestClient(port: stage.port)
        await #expect(throws: GRPCStatus.Failure(status: GRPCStatus(.failedPrecondition, text))) {
            try await client.call("/test.Echo/Fail", Array("9:\(text)".utf8))
        }
    }

    @Test("cancelling tells both sides")
    func cancel() async throws {
        let stage = try TestServer()
        let client = try await TestClient(port: stage.port)
        let call = try await client.open("/test.Echo/Bidi")
        call.send([1])
        try await eventually { call.messages == [[1]] }
        call.cancel()
        #expect(try await call.ended().code == .cancelled)
        try await eventually { stage.journal.ended.map(\.reason) == [.cancelled] }
    }

    @Test("a deadline ends the call on both sides")
    func deadline() async throws {
        let stage = try TestServer()
        let client = try await TestClient(port: stage.port)
        let call = try await client.open("/test.Echo/Hang", deadline: .milliseconds(100))
        #expect(try await call.ended().code == .deadlineExceeded)
        try await eventually { stage.journal.ended.count == 1 }
        #expect([.deadlineExceeded, .cancelled].contains(stage.journal.ended[0].reason))
    }

    @Test("the server ends a call whose deadline passed, also when the client does not")
    func serverDeadline() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        peer.send(RawPeer.request(1, path: Array("/test.Echo/Hang".utf8), extra: [("grpc-timeout", Array("50m".utf8))]))
        #expect(await peer.read { $0.headers(1)["grpc-status"] == "4" }, "\(peer.frames)")
        peer.send(RawPeer.request(3, extra: [("grpc-timeout", Array("soon".utf8))]))
        #expect(await peer.read { $0.headers(3)["grpc-status"] == "3" })
    }

    @Test("nobody listens: refused, at once")
    func refused() async throws {
        let error = await #expect(throws: StreamError.self) { try await TestClient(port: UInt16(freePort())) }
        #expect(error?.code == .refused)
    }

    @Test("a name without an address: unresolved")
    func unresolved() async throws {
        let error = await #expect(throws: StreamError.self) { try await TestClient(port: 1, host: "no-such-host.invalid") }
        #expect(error?.code == .unresolved || error?.code == .timedOut)
    }

    @Test("a name is looked up")
    func named() async throws {
        let stage = try TestServer()
        let client = try await TestClient(port: stage.port, host: "localhost")
        #expect(try await client.call("/test.Echo/Unary", [1]) == [1])
    }

    @Test("a server that accepts and says nothing: timed out")
    func silentServer() async throws {
        let (descriptor, port) = try Socket.listen(host: "127.0.0.1", port: 0)
        defer { close(descriptor) }
        let start = ContinuousClock.now
        let error = await #expect(throws: StreamError.self) { try await TestClient(port: port) { $0.connectTimeout = .milliseconds(200) } }
        #expect(error?.code == .timedOut)
        // The tests' own time-out is half a minute.
        #expect(ContinuousClock.now - start < .seconds(15))
    }

    @Test("a server that stops answering: the calls end, the connection is closed as unresponsive")
    func deadServer() async throws {
        // As many pings as it takes until the test goes on.
        let stage = try TestServer { $0.permittedPingInterval = .milliseconds(1) }
        let proxy = try TCPHole(to: stage.port)
        let client = try await TestClient(port: proxy.port) {
            $0.keepaliveInterval = .milliseconds(100); $0.keepaliveTimeout = .seconds(4)
        }
        let call = try await client.open("/test.Echo/Bidi")
        call.send([1])
        try await eventually { call.messages == [[1]] }
        proxy.swallow()
        #expect(try await call.ended().code == .unavailable)
        try await eventually { client.events.closed?.code == .unresponsive }
        await #expect(throws: (any Error).self) { try await client.call("/test.Echo/Unary") }
    }

    @Test("a client that pings too often is told so")
    func tooManyPings() async throws {
        let stage = try TestServer { $0.pingBurst = 5 }
        let client = try await TestClient(port: stage.port) {
            $0.keepaliveInterval = .milliseconds(20); $0.keepaliveTimeout = .seconds(30)
        }
        let call = try await client.open("/test.Echo/Hang")
        #expect(try await call.ended().code == .unavailable)
        try await eventually { client.events.closed?.code == .goingAway }
        #expect(client.events.closed?.problem.hasSuffix("too_many_pings") == true)
        #expect(client.events.leaving == ["too_many_pings"])
        try await eventually { stage.counters.floods[.pings] == 1 }
    }

    @Test("a drain: open calls go on, new ones are refused here, the connection closes with the last")
    func drain() async throws {
        let stage = try TestServer()
        let client = try await TestClient(port: stage.port)
        let call = try await client.open("/test.Echo/Bidi")
        call.send([1])
        try await eventually { call.messages == [[1]] }
        stage.server.drain(grace: .seconds(300)) {}
        try await eventually { client.events.leaving.count == 1 }
        let error = await #expect(throws: StreamError.self) { try await client.open("/test.Echo/Bidi") }
        #expect(error?.code == .goingAway)
        call.send([2])
        try await eventually { call.messages == [[1], [2]] }
        call.halfClose()
        #expect(try await call.ended() == .ok)
        try await eventually { client.events.closed != nil }
        try await eventually { stage.counters.openConnections == 0 }
    }

    @Test("TLS with its authority; without it, or for another name, no connection")
    func tls() async throws {
        let identity = try await TestIdentity()
        let context = try TLSServerContext(certificate: identity.certificate, key: identity.key)
        let stage = try TestServer(loops: 2) {
            $0.tls = context; $0.backlog = 1 << 20
        }
        let trusting = try TLSContext(authorities: identity.certificate)
        let client = try await TestClient(port: stage.port) { $0.tls = trusting }
        let body = [UInt8](repeating: 3, count: 500_000)
        #expect(try await client.call("/test.Echo/Unary", body) == body)
        #expect(try await client.call("/test.Echo/Unary", [1]) == [1])

        let stranger = try TLSContext(authorities: nil)
        let untrusted = await #expect(throws: StreamError.self) { try await TestClient(port: stage.port) { $0.tls = stranger } }
        #expect(untrusted?.code == .tls)
        #expect(untrusted?.problem.contains("not trusted") == true, "\(untrusted?.problem ?? "")")
        let misnamed = await #expect(throws: StreamError.self) {
            try await TestClient(port: stage.port) {
                $0.tls = trusting; $0.serverName = "elsewhere.example"
            }
        }
        #expect(misnamed?.code == .tls)
        let other = try TLSContext(authorities: identity.certificate, protocols: ["http/1.1"])
        let alpn = await #expect(throws: StreamError.self) { try await TestClient(port: stage.port) { $0.tls = other } }
        #expect(alpn?.code == .tls)
        try await eventually { stage.counters.tlsFailures >= 2 }
        #expect(try await client.call("/test.Echo/Unary", [2]) == [2])
    }

    @Test("files that are no identity are named")
    func badIdentity() async throws {
        let folder = try TemporaryFolder("tls")
        let identity = try await TestIdentity()
        let wrong = try folder.write("no certificate", to: "wrong.pem")
        for (certificate, key, named) in [(wrong, identity.key, wrong), (identity.certificate, wrong, wrong), (folder.file("none"), identity.key, "none")] {
            let error = #expect(throws: TLSError.self) { try TLSServerContext(certificate: certificate, key: key) }
            #expect(error?.code == .badIdentity)
            #expect(error?.problem.contains(named) == true)
        }
        let error = #expect(throws: TLSError.self) { try TLSContext(authorities: wrong) }
        #expect(error?.code == .badAuthorities)
    }

    @Test("thousands of connections from one process, on one loop")
    func thousands() async throws {
        let stage = try TestServer { $0.greetingTimeout = .seconds(60) }
        let loop = try EventLoop(name: "crowd")
        loop.start()
        defer { loop.stop() }
        let clients = try await withThrowingTaskGroup(of: TestClient.self) { group in
            for _ in 0..<1000 {
                group.addTask { try await TestClient(port: stage.port, loop: loop) { $0.connectTimeout = .seconds(60) } }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        try await eventually { stage.counters.openConnections == 1000 }
        for client in clients.prefix(20) { #expect(try await client.call("/test.Echo/Unary", [7]) == [7]) }
        try await eventually("idle connections own no block") { stage.counters.openBlockBytes == 0 }
        for client in clients { client.close() }
        try await eventually { stage.counters.openConnections == 0 }
    }
}
