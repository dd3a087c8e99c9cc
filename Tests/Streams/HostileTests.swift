import Support
import Testing
@testable import Streams

/// Frames that a careful client never sends: each is bounded, counted, answered as the standard says, and harmless to the others.
@Suite("a peer that breaks the rules", .serialized)
struct HostileTests {
    /// Floods: what is sent over and over, how it ends, and under which name it is counted.
    struct Flood: Sendable, CustomTestStringConvertible {
        var name: String
        var kind: FloodKind
        var text: String
        var first: @Sendable () -> [UInt8] = { [] }
        var each: @Sendable (Int) -> [UInt8]
        var testDescription: String { name }

        static let all: [Flood] = [
            Flood(name: "idle pings", kind: .pings, text: "too_many_pings") { _ in RawPeer.frame(6, 0, 0, Array(repeating: 0, count: 8)) },
            Flood(name: "pings beside a stream", kind: .pings, text: "too_many_pings", first: { RawPeer.request(1) + RawPeer.data(1, RawPeer.message([1])) }) {
                _ in
                RawPeer.frame(6, 0, 0, Array(repeating: 0, count: 8))
            },
            Flood(name: "settings", kind: .settings, text: "too_many_settings") { _ in RawPeer.frame(4, 0, 0, [0, 4, 0, 0, 0xff, 0xff]) },
            Flood(name: "rapid reset", kind: .resets, text: "too_many_resets") {
                RawPeer.request(UInt32(2 * $0 + 1)) + RawPeer.frame(3, 0, UInt32(2 * $0 + 1), RawPeer.big32(8))
            },
            Flood(name: "made reset", kind: .madeResets, text: "too_many_resets") {
                RawPeer.request(UInt32(2 * $0 + 1)) + RawPeer.frame(8, 0, UInt32(2 * $0 + 1), RawPeer.big32(0))
            },
            Flood(name: "continuation", kind: .continuations, text: "too_many_continuations", first: { RawPeer.request(1, flags: 0) }) {
                RawPeer.frame(9, 0, 1, RawPeer.literal("x-\($0)", [UInt8](repeating: 97, count: 600)))
            },
            Flood(name: "empty continuation", kind: .continuations, text: "too_many_continuations", first: { RawPeer.request(1, flags: 0) }) { _ in
                RawPeer.frame(9, 0, 1)
            },
            Flood(name: "empty data", kind: .emptyData, text: "too_much_empty_data", first: { RawPeer.request(1) }) { _ in RawPeer.frame(0, 0, 1) },
            Flood(name: "window updates", kind: .windowUpdates, text: "too_many_window_updates") { _ in RawPeer.frame(8, 0, 0, RawPeer.big32(1)) },
            Flood(name: "unknown frames", kind: .otherFrames, text: "too_many_other_frames") { _ in RawPeer.frame(99, 0, 0, [1, 2, 3]) },
            Flood(name: "priority", kind: .otherFrames, text: "too_many_other_frames") { _ in RawPeer.frame(2, 0, 1, [0, 0, 0, 0, 16]) },
            Flood(name: "header bomb", kind: .headers, text: "header block of more than", first: { RawPeer.request(1, flags: 0) }) { _ in
                RawPeer.frame(9, 0, 1, [UInt8](repeating: 0x40, count: 9000))
            },
        ]
    }

    @Test("a flood ends with ENHANCE_YOUR_CALM, is counted, and another client chats on", arguments: Flood.all)
    func flood(_ flood: Flood) async throws {
        let stage = try TestServer()
        let other = try RawPeer(port: stage.port)
        other.send(RawPeer.request(1) + RawPeer.data(1, RawPeer.message([1])))
        #expect(await other.read { $0.data(1) == RawPeer.message([1]) })

        let peer = try RawPeer(port: stage.port)
        await peer.read { $0.frames.contains { $0.type == .settings && $0.flags & 1 == 1 } }
        peer.answers = false
        peer.send(flood.first())
        for number in 0..<20_000 where !peer.send(flood.each(number)) { break }
        #expect(await peer.readUntilClosed(), "\(flood.name)")
        #expect(peer.goAway?.code == .enhanceYourCalm)
        #expect(peer.goAway?.text.contains(flood.text) == true, "\(peer.goAway?.text ?? "no GOAWAY")")
        try await eventually("the count") { stage.counters.floods[flood.kind] == 1 }

        other.send(RawPeer.data(1, RawPeer.message([2])))
        #expect(await other.read { $0.data(1) == RawPeer.message([1]) + RawPeer.message([2]) })
    }

    /// Violations of the standard, and the error that it names.
    struct Violation: Sendable, CustomTestStringConvertible {
        var name: String
        var bytes: [UInt8]
        /// A stream's error, or the connection's.
        var stream: UInt32?
        var code: ErrorCode
        var testDescription: String { name }

        static let all: [Violation] = [
            Violation(name: "DATA on stream 0", bytes: RawPeer.frame(0, 0, 0, [1]), code: .protocolError),
            Violation(name: "DATA on an idle stream", bytes: RawPeer.frame(0, 0, 5, [1]), code: .protocolError),
            Violation(name: "HEADERS on an even stream", bytes: RawPeer.request(2), code: .protocolError),
            Violation(name: "HEADERS on stream 0", bytes: RawPeer.request(0), code: .protocolError),
            Violation(name: "padding longer than the frame", bytes: RawPeer.request(1) + RawPeer.frame(0, 8, 1, [9, 1]), code: .protocolError),
            Violation(name: "RST_STREAM on an idle stream", bytes: RawPeer.frame(3, 0, 7, RawPeer.big32(8)), code: .protocolError),
            Violation(name: "RST_STREAM of 3 bytes", bytes: RawPeer.request(1) + RawPeer.frame(3, 0, 1, [0, 0, 0]), code: .frameSize),
            Violation(name: "SETTINGS of 5 bytes", bytes: RawPeer.frame(4, 0, 0, [0, 4, 0, 0, 0]), code: .frameSize),
            Violation(name: "SETTINGS on a stream", bytes: RawPeer.frame(4, 0, 1), code: .protocolError),
            Violation(name: "SETTINGS acknowledged with a body", bytes: RawPeer.frame(4, 1, 0, [0, 4, 0, 0, 0, 0]), code: .frameSize),
            Violation(name: "an initial window above 2^31-1", bytes: RawPeer.frame(4, 0, 0, [0, 4, 0xff, 0xff, 0xff, 0xff]), code: .flowControl),
            Violation(name: "a largest frame of 100", bytes: RawPeer.frame(4, 0, 0, [0, 5, 0, 0, 0, 100]), code: .protocolError),
            Violation(name: "PING of 7 bytes", bytes: RawPeer.frame(6, 0, 0, [0, 0, 0, 0, 0, 0, 0]), code: .frameSize),
            Violation(name: "PING on a stream", bytes: RawPeer.frame(6, 0, 1, [0, 0, 0, 0, 0, 0, 0, 0]), code: .protocolError),
            Violation(name: "PUSH_PROMISE", bytes: RawPeer.frame(5, 4, 1, [0, 0, 0, 2]), code: .protocolError),
            Violation(name: "GOAWAY of 3 bytes", bytes: RawPeer.frame(7, 0, 0, [0, 0, 0]), code: .frameSize),
            Violation(name: "CONTINUATION without HEADERS", bytes: RawPeer.frame(9, 4, 1, [0x88]), code: .protocolError),
            Violation(
                name: "a header block interrupted", bytes: RawPeer.request(1, flags: 0) + RawPeer.frame(6, 0, 0, Array(repeating: 0, count: 8)),
                code: .protocolError),
            Violation(name: "a frame of 17,000 bytes", bytes: RawPeer.frame(0, 0, 1, Array(repeating: 0, count: 17_000)), code: .frameSize),
            Violation(name: "HPACK that refers to nothing", bytes: RawPeer.frame(1, 4, 1, [0xff, 0xff, 0xff, 0x7f]), code: .compression),
            Violation(name: "the connection's window by 0", bytes: RawPeer.frame(8, 0, 0, RawPeer.big32(0)), code: .protocolError),
            Violation(name: "the connection's window above 2^31-1", bytes: RawPeer.frame(8, 0, 0, RawPeer.big32(0x7fff_ffff)), code: .flowControl),
            Violation(name: "WINDOW_UPDATE of 3 bytes", bytes: RawPeer.frame(8, 0, 0, [0, 0, 1]), code: .frameSize),
            Violation(name: "WINDOW_UPDATE on an idle stream", bytes: RawPeer.frame(8, 0, 9, RawPeer.big32(1)), code: .protocolError),
            Violation(name: "a stream's window by 0", bytes: RawPeer.request(1) + RawPeer.frame(8, 0, 1, RawPeer.big32(0)), stream: 1, code: .protocolError),
            Violation(
                name: "a stream's window above 2^31-1", bytes: RawPeer.request(1) + RawPeer.frame(8, 0, 1, RawPeer.big32(0x7fff_ffff)), stream: 1,
                code: .flowControl),
            Violation(
                name: "DATA after END_STREAM", bytes: RawPeer.request(1, path: Array("/test.Echo/Hang".utf8), flags: 5) + RawPeer.data(1, [1]), stream: 1,
                code: .streamClosed),
            Violation(name: "trailers without END_STREAM", bytes: RawPeer.request(1) + RawPeer.request(1), stream: 1, code: .protocolError),
            Violation(name: "an upper-case name", bytes: RawPeer.request(1, extra: [("X-Upper", [97])]), stream: 1, code: .protocolError),
            Violation(name: "a pseudo-field after others", bytes: RawPeer.request(1, extra: [(":authority", [97])]), stream: 1, code: .protocolError),
            Violation(
                name: "an unknown pseudo-field", bytes: RawPeer.frame(1, 4, 1, RawPeer.literal(":x", [97]) + RawPeer.requestBlock()), stream: 1,
                code: .protocolError),
            Violation(name: "connection: close", bytes: RawPeer.request(1, extra: [("connection", Array("close".utf8))]), stream: 1, code: .protocolError),
            Violation(name: "no path", bytes: RawPeer.frame(1, 4, 1, RawPeer.literal(":method", Array("POST".utf8))), stream: 1, code: .protocolError),
            Violation(name: "a line break in a value", bytes: RawPeer.request(1, extra: [("x-a", Array("a\r\nb: c".utf8))]), stream: 1, code: .protocolError),
        ]
    }

    @Test("a violation gets the error that the standard names, on its own level", arguments: Violation.all)
    func violation(_ violation: Violation) async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        await peer.read { $0.frames.contains { $0.type == .settings && $0.flags & 1 == 1 } }
        peer.send(violation.bytes)
        guard let stream = violation.stream else {
            #expect(await peer.readUntilClosed())
            #expect(peer.goAway?.code == violation.code, "\(peer.frames)")
            return
        }
        #expect(await peer.read { !$0.frames(.reset, stream).isEmpty }, "\(peer.frames)")
        #expect(peer.frames(.reset, stream).first?.code == violation.code)
        peer.send(RawPeer.request(101) + RawPeer.data(101, RawPeer.message([3])))
        #expect(await peer.read { $0.data(101) == RawPeer.message([3]) }, "the connection lives on: \(peer.frames)")
    }

    @Test("half a window that was used comes back, for stream and connection")
    func replenished() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        var bytes = RawPeer.request(1, path: Array("/test.Echo/Hang".utf8)) + RawPeer.data(1, [0] + RawPeer.big32(1_000_000))
        for _ in 0..<12 { bytes += RawPeer.data(1, [UInt8](repeating: 1, count: 16_384)) }
        peer.send(bytes)
        #expect(await peer.read { $0.frames(.windowUpdate, 1).count >= 3 && $0.frames(.windowUpdate, 0).count >= 2 }, "\(peer.frames)")
        #expect(peer.frames(.reset, 1).isEmpty)
    }

    @Test("a wrong preface ends the connection at once")
    func preface() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port, greets: false)
        peer.send(Array("PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n".utf8))
        #expect(await peer.readUntilClosed())
        #expect(peer.goAway?.code == .protocolError)
    }

    @Test("a length prefix of 2 GiB is INVALID_ARGUMENT as soon as its five bytes are there, and costs nothing")
    func lengthPrefix() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        for stream in stride(from: UInt32(1), to: 101, by: 2) {
            peer.send(RawPeer.request(stream) + RawPeer.data(stream, [0, 0x7f, 0xff, 0xff, 0xff]))
            #expect(await peer.read { $0.headers(stream)["grpc-status"] == "3" }, "\(peer.frames)")
        }
        #expect(peer.headers(1)["grpc-message"]?.contains("2147483647") == true)
        try await eventually("the count") { stage.counters.refusedStreams == 50 }
        #expect(await stage.settledCounters().openBlockBytes < 4096)
    }

    @Test("a compressed message is INTERNAL without grpc-encoding, UNIMPLEMENTED with one")
    func compressed() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        peer.send(RawPeer.request(1) + RawPeer.data(1, RawPeer.message([1, 2], flag: 1)))
        peer.send(RawPeer.request(3, extra: [("grpc-encoding", Array("gzip".utf8))]) + RawPeer.data(3, RawPeer.message([1, 2], flag: 1)))
        #expect(await peer.read { $0.headers(1)["grpc-status"] == "13" && $0.headers(3)["grpc-status"] == "12" }, "\(peer.frames)")
        #expect(peer.headers(3)["grpc-accept-encoding"] == "identity")
        #expect(peer.headers(1)["content-type"] == "application/grpc")
    }

    @Test("a message in frames of one byte, padded or not, is one message", arguments: [0, 7, 255])
    func split(_ padding: Int) async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        peer.send(RawPeer.request(1))
        let message = RawPeer.message(Array("hello".utf8))
        for byte in message {
            peer.send(padding == 0 ? RawPeer.data(1, [byte]) : RawPeer.data(1, [UInt8(padding), byte] + [UInt8](repeating: 0, count: padding), flags: 8))
        }
        #expect(await peer.read { $0.data(1) == message }, "\(peer.frames)")
    }

    @Test("a window of 0 holds the answer back until it is raised")
    func windowOfNothing() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port, settings: [(4, 0)])
        peer.send(RawPeer.request(1) + RawPeer.data(1, RawPeer.message([5])))
        await peer.settle()
        #expect(peer.data(1).isEmpty)
        peer.frame(4, 0, 0, RawPeer.big16(4) + RawPeer.big32(65_535))
        #expect(await peer.read { $0.data(1) == RawPeer.message([5]) }, "\(peer.frames)")
    }

    @Test("a window lowered below what was used is neither overrun nor stuck")
    func negativeWindow() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port, settings: [(4, 100)])
        peer.send(RawPeer.request(1) + RawPeer.data(1, RawPeer.message([UInt8](repeating: 1, count: 200))))
        await peer.settle()
        #expect(peer.data(1).count == 100)
        peer.frame(4, 0, 0, RawPeer.big16(4) + RawPeer.big32(10))  // now 90 below zero
        peer.frame(8, 0, 1, RawPeer.big32(50))  // still 40 below
        await peer.settle()
        #expect(peer.data(1).count == 100)
        peer.frame(4, 0, 0, RawPeer.big16(4) + RawPeer.big32(60))  // 10 above
        await peer.settle()
        #expect(peer.data(1).count == 110)
        peer.frame(4, 0, 0, RawPeer.big16(4) + RawPeer.big32(65_535))
        #expect(await peer.read { $0.data(1).count == 205 })
    }

    @Test("bytes for streams that are over come back to the connection's window")
    func lateData() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        await peer.read { $0.frames.contains { $0.type == .settings && $0.flags & 1 == 1 } }
        var returned = 0
        for number in 0..<80 {
            let stream = UInt32(2 * number + 1)
            peer.send(RawPeer.request(stream) + RawPeer.frame(3, 0, stream, RawPeer.big32(8)) + RawPeer.data(stream, [UInt8](repeating: 0, count: 8000)))
        }
        peer.send(RawPeer.request(1001) + RawPeer.data(1001, RawPeer.message([9])))
        #expect(await peer.read { $0.data(1001) == RawPeer.message([9]) }, "\(peer.frames)")
        for frame in peer.frames(.windowUpdate, 0).dropFirst() { returned += Int(frame.last) }
        #expect(returned >= 640_000 - 256 * 1024)
    }

    @Test("header values of 15,000 bytes are read, larger ones refused", arguments: [15_000, 16_300])
    func bigHeader(_ size: Int) async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        peer.send(RawPeer.request(1, extra: [("x-big", [UInt8](repeating: 97, count: size))]) + RawPeer.data(1, RawPeer.message([1])))
        if size == 15_000 {
            #expect(await peer.read { $0.data(1) == RawPeer.message([1]) }, "\(peer.frames)")
        } else {
            #expect(await peer.read { $0.goAway != nil || $0.headers(1)["grpc-status"] == "3" || !$0.isClosed }, "\(peer.frames)")
            #expect(await peer.read { $0.goAway != nil || $0.headers(1)["grpc-status"] == "3" }, "\(peer.frames)")
        }
    }

    @Test("a path that is no UTF-8 is answered in clean text")
    func badPath() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        peer.send(RawPeer.request(1, path: Array("/test.Echo/".utf8) + [0xff, 0xfe, 0x25]))
        #expect(await peer.read { $0.headers(1)["grpc-status"] == "12" }, "\(peer.frames)")
        #expect(peer.headers(1)["grpc-message"] == "unknown method /test.Echo/%EF%BF%BD%EF%BF%BD%25")
    }

    @Test("after the peer's GOAWAY its open stream goes on")
    func peerLeaves() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        peer.send(RawPeer.request(1) + RawPeer.frame(7, 0, 0, RawPeer.big32(0) + RawPeer.big32(0)) + RawPeer.data(1, RawPeer.message([1])))
        #expect(await peer.read { $0.data(1) == RawPeer.message([1]) })
        peer.send(RawPeer.data(1, [], flags: 1))
        #expect(await peer.read { $0.headers(1)["grpc-status"] == "0" })
    }

    @Test("what is no gRPC gets an HTTP status")
    func notGRPC() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        let get = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x")].flatMap { RawPeer.literal($0, Array($1.utf8)) }
        let post = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "x"), ("content-type", "text/plain")].flatMap {
            RawPeer.literal($0, Array($1.utf8))
        }
        peer.send(RawPeer.frame(1, 5, 1, get) + RawPeer.frame(1, 5, 3, post))
        #expect(await peer.read { $0.headers(1)[":status"] == "405" && $0.headers(3)[":status"] == "415" }, "\(peer.frames)")
    }

    @Test("one stream more than allowed is REFUSED_STREAM")
    func tooManyStreams() async throws {
        let stage = try TestServer { $0.streamsPerConnection = 5 }
        let peer = try RawPeer(port: stage.port)
        for number in 0..<6 { peer.send(RawPeer.request(UInt32(2 * number + 1))) }
        #expect(await peer.read { !$0.frames(.reset, 11).isEmpty })
        #expect(peer.frames(.reset, 11).first?.code == .refusedStream)
        #expect(stage.journal.begun == 5)
    }

    @Test("a peer that makes us answer and reads nothing is dropped")
    func unreadReplies() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port, receiveBuffer: 4096)
        peer.answers = false
        // Requests for methods that do not exist: each asks for trailers of about 100 bytes.
        var number: UInt32 = 1
        try await eventually("the flood's end", within: .seconds(60)) {
            var bytes: [UInt8] = []
            for _ in 0..<200 {
                bytes += RawPeer.request(number, path: Array("/nothing".utf8), flags: 5)
                number += 2
            }
            return !peer.send(bytes)
        }
        try await eventually { stage.counters.floods[.unreadReplies] == 1 }
    }
}
