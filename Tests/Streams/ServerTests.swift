import Dispatch
import Glibc
import Support
import TLS
import Testing
@testable import Streams

@Suite("the server over time", .serialized)
struct ServerTests {
    @Test("a port that is taken is a clear error")
    func takenPort() async throws {
        let stage = try TestServer()
        let error = #expect(throws: StreamError.self) { try TestServer(port: stage.port) }
        #expect(error?.code == .addressTaken)
        #expect(error?.description == "127.0.0.1:\(stage.port) is taken by another process. Stop it, or choose another port (0: any free one).")
    }

    @Test("a drain warns, pings, and only then says the last stream; what came before is served; afterwards REFUSED_STREAM", arguments: [1, 2])
    func drain(loops: Int) async throws {
        // The peer answers when the test does.
        let stage = try TestServer(loops: loops, port: UInt16(freePort())) { $0.farewellTimeout = .seconds(300) }
        let peer = try RawPeer(port: stage.port)
        peer.send(RawPeer.request(1) + RawPeer.data(1, RawPeer.message([1])))
        #expect(await peer.read { $0.data(1) == RawPeer.message([1]) })
        peer.answers = false
        stage.server.drain(grace: .seconds(300)) {}
        #expect(await peer.read { $0.goAway != nil && $0.frames.contains { $0.type == .ping && $0.flags & 1 == 0 } })
        #expect(peer.goAway?.last == 0x7fff_ffff)
        #expect(peer.goAway?.code == ErrorCode.none)
        // Opened before the client could know: served.
        peer.send(RawPeer.request(3) + RawPeer.data(3, RawPeer.message([3])))
        #expect(await peer.read { $0.data(3) == RawPeer.message([3]) })
        let ping = try #require(peer.frames(.ping).first { $0.flags & 1 == 0 })
        peer.frame(6, 1, 0, ping.body)
        #expect(await peer.read { $0.frames(.goAway).count == 2 })
        #expect(peer.goAway?.last == 3)
        peer.send(RawPeer.request(5))
        #expect(await peer.read { !$0.frames(.reset, 5).isEmpty })
        #expect(peer.frames(.reset, 5).first?.code == .refusedStream)
        peer.send(RawPeer.data(1, [], flags: 1) + RawPeer.data(3, [], flags: 1))
        #expect(await peer.readUntilClosed(), "with its last stream the connection ends")
        #expect(peer.headers(1)["grpc-status"] == "0" && peer.headers(3)["grpc-status"] == "0")
        #expect(throws: StreamError.self, "nobody listens any more") { try RawPeer(port: stage.port) }
    }

    @Test("the end of the grace ends what is left, deaf clients too, and tells when it is done")
    func grace() async throws {
        let stage = try TestServer(loops: 2)
        let peers = try (0..<20).map { _ in try RawPeer(port: stage.port) }
        for peer in peers { peer.send(RawPeer.request(1, path: Array("/test.Echo/Hang".utf8))) }
        try await eventually { stage.journal.begun == 20 }
        let done = OpenCount()
        let start = ContinuousClock.now
        stage.server.drain(grace: .milliseconds(300)) { done.count.add(1, ordering: .relaxed) }
        try await eventually("the end of the drain") { done.count.load(ordering: .relaxed) == 1 }
        #expect(ContinuousClock.now - start >= .milliseconds(300))
        for peer in peers {
            #expect(await peer.readUntilClosed())
            #expect(peer.headers(1)["grpc-status"] == "14", "\(peer.frames)")
        }
        try await eventually("the end of 20 streams") { stage.journal.ended.count == 20 }
        #expect(stage.journal.ended.map(\.reason) == Array(repeating: .drained, count: 20))
    }

    @Test("a drain with nobody connected is done at once")
    func emptyDrain() async throws {
        let stage = try TestServer(loops: 2)
        let done = OpenCount()
        stage.server.drain(grace: .seconds(60)) { done.count.add(1, ordering: .relaxed) }
        try await eventually { done.count.load(ordering: .relaxed) == 1 }
    }

    @Test("stopping ends every stream once, as stopped or drained, and the socket is closed")
    func stop() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        peer.send(RawPeer.request(1) + RawPeer.data(1, RawPeer.message([1])))
        #expect(await peer.read { $0.data(1) == RawPeer.message([1]) })
        stage.server.stop()
        try await eventually { stage.journal.ended.count == 1 }
        #expect(await peer.readUntilClosed())
        #expect(peer.headers(1)["grpc-status"] == "14")
    }

    @Test("connections of an age are drained, not all at once")
    func maximumAge() async throws {
        let stage = try TestServer {
            $0.maximumAge = .milliseconds(600); $0.maximumAgeGrace = .milliseconds(200)
        }
        let start = ContinuousClock.now
        let peers = try (0..<8).map { _ in try RawPeer(port: stage.port) }
        for peer in peers { peer.send(RawPeer.request(1, path: Array("/test.Echo/Hang".utf8))) }
        for peer in peers {
            #expect(await peer.readUntilClosed())
            #expect(peer.frames(.goAway).first?.last == 0x7fff_ffff)
            #expect(peer.headers(1)["grpc-status"] == "14")
        }
        #expect(ContinuousClock.now - start > .milliseconds(540))
    }

    @Test("a peer that answers no ping is dropped; one that does stays")
    func keepalive() async throws {
        let stage = try TestServer {
            $0.keepaliveInterval = .milliseconds(100); $0.keepaliveTimeout = .seconds(4)
        }
        let dead = try RawPeer(port: stage.port), alive = try RawPeer(port: stage.port)
        dead.send(RawPeer.request(1, path: Array("/test.Echo/Hang".utf8)))
        await dead.read { $0.frames.contains { $0.type == .settings && $0.flags & 1 == 1 } }
        dead.answers = false
        #expect(await alive.read { _ in stage.counters.keepaliveTimeouts > 0 && !stage.journal.ended.isEmpty })
        #expect(stage.counters.keepaliveTimeouts == 1)
        #expect(stage.journal.ended.map(\.reason) == [.connectionLost])
        #expect(alive.frames(.ping).count >= 2)
        alive.send(RawPeer.request(1) + RawPeer.data(1, RawPeer.message([1])))
        #expect(await alive.read { $0.data(1) == RawPeer.message([1]) })
        #expect(await stage.settledCounters().openConnections == 1)
    }

    @Test(
        "connections that never finish their greeting are closed and counted",
        arguments: ["half a preface", "no SETTINGS", "SETTINGS not acknowledged", "half a frame"])
    func greeting(what: String) async throws {
        let stage = try TestServer { $0.greetingTimeout = .seconds(4) }
        let peers = try (0..<200).map { _ in try RawPeer(port: stage.port, greets: false) }
        for peer in peers {
            peer.answers = false
            switch what {
            case "half a preface": peer.send(Array(HTTP2.preface.prefix(10)))
            case "no SETTINGS": peer.send(HTTP2.preface)
            case "half a frame": peer.send(HTTP2.preface + [0, 0, 60, 4, 0])
            default: peer.send(HTTP2.preface + RawPeer.frame(4, 0, 0) + RawPeer.request(1))
            }
        }
        try await eventually { stage.counters.accepted == 200 }
        let good = try RawPeer(port: stage.port, greets: false)
        good.answers = false
        // The whole greeting at once, acknowledgement and all: it is in time however long the test is held up later.
        let greeting = HTTP2.preface + RawPeer.frame(4, 0, 0) + RawPeer.frame(4, 1, 0)
        good.send(greeting + RawPeer.request(1) + RawPeer.data(1, RawPeer.message([1])))
        #expect(await good.read { $0.data(1) == RawPeer.message([1]) }, "the others do not notice")
        try await eventually { stage.counters.greetingTimeouts == 200 }
        try await eventually("none but the good one is left") { stage.counters.openConnections == 1 }
        for peer in peers.prefix(5) { #expect(await peer.readUntilClosed()) }
    }

    @Test("more connections than allowed are turned away; when one leaves, one may come")
    func maximumConnections() async throws {
        let stage = try TestServer(loops: 2) { $0.maximumConnections = 3 }
        var peers = try (0..<3).map { _ in try RawPeer(port: stage.port) }
        for peer in peers { await peer.settle() }
        let late = try RawPeer(port: stage.port)
        #expect(await late.readUntilClosed())
        try await eventually { stage.counters.turnedAway == 1 }
        peers.removeLast()
        try await eventually { stage.counters.openConnections == 2 }
        let next = try RawPeer(port: stage.port)
        next.send(RawPeer.request(1) + RawPeer.data(1, RawPeer.message([1])))
        #expect(await next.read { $0.data(1) == RawPeer.message([1]) })
    }

    @Test("a slow reader's queue is bounded before anything is appended; it gets all that was taken, then the reason")
    func slowReader() async throws {
        let stage = try TestServer {
            $0.backlog = 64 << 10; $0.linger = .seconds(120)
        }
        let slow = try RawPeer(port: stage.port, settings: [(4, 10_000)])
        slow.send(RawPeer.request(1, path: Array("/test.Echo/Pour".utf8)) + RawPeer.data(1, RawPeer.message([1])))
        try await eventually { stage.counters.overflows == 1 }
        #expect(await slow.read { $0.data(1).count == 10_000 })
        #expect(stage.counters.openBlockBytes <= 128 << 10)
        slow.frame(8, 0, 1, RawPeer.big32(1 << 20))
        slow.frame(8, 0, 0, RawPeer.big32(1 << 20))
        #expect(await slow.read { $0.headers(1)["grpc-status"] == "8" }, "\(slow.frames)")
        let received = slow.data(1).count
        #expect(received % 1029 == 0, "whole messages only")
        #expect(received > 64 << 10 && received <= 64 << 10 + 10_000 + 2058, "\(received)")
        try await eventually { stage.counters.openBlockBytes == 0 }
    }

    @Test("a reader whose socket is full gets everything that was taken once it reads on; others do not wait")
    func fullSocket() async throws {
        let stage = try TestServer {
            $0.backlog = 8 << 20; $0.linger = .seconds(120)
        }
        let slow = try RawPeer(port: stage.port, settings: [(4, 0x7fff_ffff)], receiveBuffer: 4096)
        slow.frame(8, 0, 0, RawPeer.big32(0x7fff_ffff - 65_535))
        slow.send(RawPeer.request(1, path: Array("/test.Echo/Pour".utf8)) + RawPeer.data(1, RawPeer.message([1])))
        try await eventually { stage.counters.overflows == 1 }
        let other = try RawPeer(port: stage.port)
        other.send(RawPeer.request(1) + RawPeer.data(1, RawPeer.message([2])))
        #expect(await other.read { $0.data(1) == RawPeer.message([2]) })
        #expect(stage.counters.openBlockBytes > 1 << 20, "the socket took all; nothing is tested")
        #expect(await slow.read(within: .seconds(100)) { !$0.frames(.headers, 1).isEmpty && $0.headers(1)["grpc-status"] == "8" })
        let received = slow.data(1).count
        #expect(received % 1029 == 0 && received > 8 << 20, "\(received)")
        try await eventually { stage.counters.openBlockBytes == 0 }
    }

    @Test("a finished stream whose reader never opens its window ends after the linger")
    func linger() async throws {
        let stage = try TestServer { $0.linger = .milliseconds(200) }
        let peer = try RawPeer(port: stage.port, settings: [(4, 0)])
        peer.send(RawPeer.request(1, path: Array("/test.Echo/Count".utf8)) + RawPeer.data(1, RawPeer.message(Array("5".utf8))))
        #expect(await peer.read { $0.headers(1)["grpc-status"] == "8" })
        try await eventually { stage.counters.openStreams == 0 && stage.counters.openBlockBytes == 0 }
    }

    @Test("a reader that stops on one stream does not hold up another of its connection")
    func independentStreams() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port, settings: [(4, 1000)])
        peer.send(RawPeer.request(1, path: Array("/test.Echo/Pour".utf8)) + RawPeer.data(1, RawPeer.message([1])))
        #expect(await peer.read { $0.data(1).count == 1000 })
        peer.send(RawPeer.request(3) + RawPeer.data(3, RawPeer.message([1])))
        #expect(await peer.read { $0.data(3) == RawPeer.message([1]) })
    }

    @Test("a new certificate is used without a restart; connections that are open go on")
    func renewedCertificate() async throws {
        let identity = try await TestIdentity()
        let context = try TLSServerContext(certificate: identity.certificate, key: identity.key)
        let stage = try TestServer {
            $0.tls = context; $0.certificateCheck = .milliseconds(50)
        }
        let old = try TLSContext(authorities: identity.certificate)
        let before = try await TestClient(port: stage.port) { $0.tls = old }
        #expect(try await before.call("/test.Echo/Unary", [1]) == [1])
        try await identity.renew()
        try await eventually("the new certificate in use") {
            let new = try TLSContext(authorities: identity.certificate)
            let after = try await TestClient(port: stage.port) { $0.tls = new }
            return try await after.call("/test.Echo/Unary", [2]) == [2]
        }
        #expect(try await before.call("/test.Echo/Unary", [3]) == [3])
        await #expect(throws: StreamError.self) { try await TestClient(port: stage.port) { $0.tls = old } }
    }

    @Test("a TLS handshake that never ends is closed")
    func silentHandshake() async throws {
        let identity = try await TestIdentity()
        let context = try TLSServerContext(certificate: identity.certificate, key: identity.key)
        let stage = try TestServer {
            $0.tls = context; $0.greetingTimeout = .milliseconds(300)
        }
        let peer = try RawPeer(port: stage.port, greets: false)
        peer.send([22, 3, 1, 2, 0])
        #expect(await peer.readUntilClosed())
        try await eventually { stage.counters.greetingTimeouts == 1 }
    }

    /// A server whose loop stands still until `gate` is signalled: whoever comes before that comes at once.
    private func busyServer() throws -> (stage: TestServer, gate: DispatchSemaphore) {
        let (stage, gate) = (try TestServer(), DispatchSemaphore(value: 0))
        stage.loops[0].execute { gate.wait() }
        return (stage, gate)
    }

    @Test("of a crowd that came at once some begin in each tick, and who has left meanwhile costs no handshake")
    func crowd() async throws {
        let (stage, gate) = try busyServer()
        var peers = try (0..<200).map { _ in try RawPeer(port: stage.port) }
        // The last hundred give up while the server is busy.
        peers.removeLast(100)
        let before = stage.counters.waits
        gate.signal()
        try await eventually { stage.counters.accepted == 200 && stage.counters.inLine == 0 && stage.counters.openConnections == 100 }
        #expect(stage.counters.leftInLine == 100)
        #expect(stage.counters.waits - before >= 100 / 32)
        withExtendedLifetime(peers) {}
    }

    @Test("a server that stops closes who waits in line")
    func lineEnds() async throws {
        let (stage, gate) = try busyServer()
        let peers = try (0..<100).map { _ in try RawPeer(port: stage.port) }
        let server = stage.server
        let stopped = Task.detached { server.stop() }
        gate.signal()
        await stopped.value
        for peer in peers { #expect(await peer.readUntilClosed()) }
    }

    @Test("s_client resumes with its ticket, also after the certificate was renewed")
    func tickets() async throws {
        let identity = try await TestIdentity()
        let context = try TLSServerContext(certificate: identity.certificate, key: identity.key)
        let stage = try TestServer { $0.tls = context }
        let session = identity.folder.file("session")
        let common = ["s_client", "-connect", "127.0.0.1:\(stage.port)", "-alpn", "h2", "-CAfile", identity.certificate]
        let first = try ChildProcess("openssl", common + ["-sess_out", session, "-ign_eof"])
        try await eventually("a ticket") { text(ofFile: session).contains("END SSL SESSION PARAMETERS") }
        try await eventually("the protocol") { first.output.contains("ALPN protocol: h2") }
        try await first.kill()
        try await identity.renew()
        #expect(try context.reloadIfChanged())
        let second = try ChildProcess("openssl", common + ["-sess_in", session, "-ign_eof"])
        try await eventually("the session again") { second.output.contains("Reused, TLSv1.3") }
        try await eventually { stage.counters.tlsResumed == 1 }
        try await second.kill()
    }
}
