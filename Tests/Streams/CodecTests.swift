import Testing
@testable import Streams

@Suite("frames, texts, times, header blocks")
struct CodecTests {
    struct Header: Sendable, CustomTestStringConvertible {
        var name: String
        var bytes: [UInt8]
        var length: Int
        var type: FrameType?
        var flags: UInt8
        var stream: UInt32
        var testDescription: String { name }

        static let all = [
            Header(name: "DATA", bytes: [0, 0, 5, 0, 1, 0, 0, 0, 3], length: 5, type: .data, flags: 1, stream: 3),
            Header(name: "the longest length", bytes: [0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1], length: 16_777_215, type: .headers, flags: 4, stream: 1),
            Header(name: "the reserved bit is ignored", bytes: [0, 0, 8, 6, 0, 0x80, 0, 0, 0], length: 8, type: .ping, flags: 0, stream: 0),
            Header(name: "the largest stream", bytes: [0, 0, 4, 3, 0, 0x7f, 0xff, 0xff, 0xff], length: 4, type: .reset, flags: 0, stream: 0x7fff_ffff),
            Header(name: "an unknown type", bytes: [0, 1, 0, 0xfa, 0xff, 0, 0, 1, 0], length: 256, type: nil, flags: 0xff, stream: 256),
        ]
    }

    @Test("nine bytes are a frame header, and back", arguments: Header.all)
    func header(_ example: Header) {
        let read = example.bytes.withUnsafeBytes { FrameHeader($0) }
        #expect(read.length == example.length)
        #expect(FrameType(rawValue: read.type) == example.type)
        #expect(read.flags.rawValue == example.flags)
        #expect(read.stream == example.stream)
        guard let type = example.type else { return }
        var written = [UInt8](repeating: 0, count: 9)
        written.withUnsafeMutableBytes { FrameHeader(length: read.length, type: type, flags: read.flags, stream: read.stream).write(to: $0.baseAddress!) }
        var expected = example.bytes
        expected[5] &= 0x7f
        #expect(written == expected)
    }

    struct Written: Sendable, CustomTestStringConvertible {
        var name: String
        var bytes: [UInt8]
        var write: @Sendable (inout ByteQueue, BlockPool) -> Void
        var testDescription: String { name }

        static let all = [
            Written(name: "SETTINGS", bytes: [0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]) {
                $0.settings([(.headerTableSize, 0), (.maxConcurrentStreams, 100)], $1)
            },
            Written(name: "SETTINGS acknowledged", bytes: [0, 0, 0, 4, 1, 0, 0, 0, 0]) { $0.settingsAcknowledgement($1) },
            Written(name: "WINDOW_UPDATE", bytes: [0, 0, 4, 8, 0, 0, 0, 0, 7, 0, 1, 0, 0]) { $0.windowUpdate(7, 65_536, $1) },
            Written(name: "RST_STREAM", bytes: [0, 0, 4, 3, 0, 0, 0, 0, 9, 0, 0, 0, 7]) { $0.reset(9, .refusedStream, $1) },
            Written(name: "GOAWAY", bytes: [0, 0, 10, 7, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 11, 104, 105]) { $0.goAway(last: 5, .enhanceYourCalm, "hi", $1) },
            Written(name: "PING's answer", bytes: [0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]) { $0.ping(1, acknowledge: true, $1) },
            Written(name: "HEADERS", bytes: [0, 0, 2, 1, 5, 0, 0, 0, 1, 0x20, 0x88]) { $0.headers(1, [0x20, 0x88], endStream: true, $1) },
        ]
    }

    @Test("frames are written as the standard has them", arguments: Written.all)
    func written(_ example: Written) {
        let pool = BlockPool()
        var queue = ByteQueue()
        example.write(&queue, pool)
        #expect(Array(queue.bytes) == example.bytes)
        queue.removeAll(pool)
        #expect(pool.usedBytes == 0)
    }

    @Test("a long header block goes on in CONTINUATION frames")
    func continuation() {
        let pool = BlockPool()
        var queue = ByteQueue()
        queue.headers(1, [UInt8](repeating: 1, count: 40_000), endStream: true, pool)
        var rest = queue.bytes
        var seen: [(UInt8, UInt8, Int)] = []
        while !rest.isEmpty {
            let header = FrameHeader(rest)
            seen.append((header.type, header.flags.rawValue, header.length))
            rest = rest.from(9 + header.length)
        }
        #expect(seen.map(\.0) == [1, 9, 9])
        #expect(seen.map(\.1) == [1, 0, 4])
        #expect(seen.map(\.2) == [16_384, 16_384, 7_232])
        queue.removeAll(pool)
    }

    @Test(
        "texts of a status",
        arguments: [
            ("plain", "plain"), ("100%", "100%25"), ("a\nb", "a%0Ab"), ("nul\0", "nul%00"), ("é", "%C3%A9"), ("🎈", "%F0%9F%8E%88"), ("~ ", "~ "),
            ("\u{7f}", "%7F"), ("", ""),
        ])
    func statusText(plain: String, wire: String) {
        #expect(String(decoding: StatusText.encode(plain), as: UTF8.self) == wire)
        #expect(StatusText.decode(wire.utf8) == plain)
    }

    @Test("bad escapes survive", arguments: [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("a%4gb", "a%4gb"), ("%41%", "A%"), ("%ff", "\u{fffd}")])
    func badEscape(wire: String, plain: String) {
        #expect(StatusText.decode(wire.utf8) == plain)
    }

    @Test("a long text is cut at a character, before it is encoded")
    func longText() {
        let encoded = StatusText.encode("ab" + String(repeating: "é", count: 2000))
        #expect(StatusText.decode(encoded) == "ab" + String(repeating: "é", count: 511))
    }

    @Test(
        "times on the wire",
        arguments: [
            ("1H", Duration.seconds(3600)), ("2M", .seconds(120)), ("3S", .seconds(3)), ("4m", .milliseconds(4)), ("5u", .microseconds(5)),
            ("6n", .nanoseconds(6)),
            ("99999999H", .seconds(359_999_996_400)), ("00000001S", .seconds(1)),
        ])
    func timeout(wire: String, duration: Duration) {
        #expect(Array(wire.utf8).withUnsafeBytes { CallTimeout.decode($0) } == duration)
    }

    @Test("malformed times", arguments: ["", "S", "1", "1x", "-1S", "123456789S", "1.5S", " 1S", "1 S"])
    func badTimeout(wire: String) {
        #expect(Array(wire.utf8).withUnsafeBytes { CallTimeout.decode($0) } == nil)
    }

    @Test(
        "a time is sent in the finest unit that holds it, never shortened",
        arguments: [
            (Duration.nanoseconds(5), "5n"), (.milliseconds(20), "20000000n"), (.milliseconds(1500), "1500000u"), (.seconds(3600), "3600000m"),
            (.seconds(1_000_000), "1000000S"), (.nanoseconds(100_000_001), "100001u"), (.seconds(-1), "0n"),
        ])
    func sentTimeout(duration: Duration, wire: String) {
        #expect(CallTimeout.encode(duration) == wire)
    }

    @Test(
        "binary metadata, with and without padding",
        arguments: [
            ("", [UInt8]()), ("AA", [0]), ("AA==", [0]), ("AAE", [0, 1]), ("AAE=", [0, 1]), ("AAEC", [0, 1, 2]), ("_-8", [255, 239]), ("/+8", [255, 239]),
        ])
    func binary(text: String, bytes: [UInt8]) {
        #expect(BinaryMetadata.decode(text.utf8) == bytes)
        #expect(BinaryMetadata.decode(BinaryMetadata.encode(bytes)) == bytes)
    }

    @Test("what is no base64", arguments: ["A", "AA=A", "A A", "AAAAA", "ä"])
    func notBinary(text: String) {
        #expect(BinaryMetadata.decode(text.utf8) == nil)
    }

    @Test("header blocks are read back by libnghttp2, by its own table and by the shared decoder")
    func headerBlock() throws {
        var writer = HeaderWriter()
        writer.methodPost()
        writer.scheme(tls: true)
        writer.path("/a/" + String(repeating: "b", count: 300))
        writer.authority("host")
        writer.contentType()
        writer.literal("x-long", [UInt8](repeating: 65, count: 5000))
        for decoder in [HeaderDecoder(), HeaderDecoder.withoutTable()] {
            let fields = HeaderFields()
            for _ in 0..<3 {
                try writer.block.withUnsafeBytes { try decoder.decode($0, into: fields, limit: 1 << 16) }
                #expect(fields.fields.count == 6)
                #expect(fields.first(":method").map { Array($0) } == Array("POST".utf8))
                #expect(fields.first(":path")?.count == 303)
                #expect(fields.first("x-long")?.count == 5000)
                #expect(fields.first("content-type").map { Array($0) } == Array("application/grpc".utf8))
            }
        }
    }

    @Test("the shared decoder takes peers that say the table's size and peers that do not; an entry of a table is an error")
    func sharedDecoder() throws {
        let decoder = HeaderDecoder.withoutTable()
        let fields = HeaderFields()
        for block in [[0x20, 0x83], [0x83], [0x40, 1, 97, 1, 98], [0x83]] as [[UInt8]] {
            try block.withUnsafeBytes { try decoder.decode($0, into: fields, limit: 1000) }
            #expect(fields.fields.count == 1)
        }
        #expect(throws: HeaderDecoder.Failure.malformed) {
            try ([0xbe] as [UInt8]).withUnsafeBytes { try decoder.decode($0, into: fields, limit: 1000) }
        }
    }

    @Test("a header bomb stops at the limit")
    func bomb() {
        // One entry of 4,000 bytes in the table, then named 1,000 times by one byte each.
        let block = [0x40] + [1, 97] + [0x7f, 0xa1, 0x1e] + [UInt8](repeating: 98, count: 4000) + [UInt8](repeating: 0xbe, count: 1000)
        let fields = HeaderFields()
        #expect(throws: HeaderDecoder.Failure.tooLong) {
            try block.withUnsafeBytes { try HeaderDecoder().decode($0, into: fields, limit: 65_536) }
        }
        #expect(fields.listSize < 65_536 + 5000)
    }
}
