import Cell
import FoundationEssentials
import Support
import Testing

/// A message of ours and what Google's compiler calls the same.
struct Spoken: Sendable, CustomTestStringConvertible {
    let type: String, bytes: [UInt8], text: String
    /// Reads bytes and writes them again.
    let again: @Sendable ([UInt8]) throws -> [UInt8]
    var testDescription: String { "\(type) \(text.prefix(60))" }

    init<Message: ChatMessage>(_ type: String, _ message: Message, _ text: String) {
        self.type = type
        bytes = message.encode()
        self.text = text
        again = { try Message(decoding: $0).encode() }
    }

    init(_ frame: ClientFrame, _ text: String) {
        (type, bytes, self.text) = ("ClientFrame", frame.encode(), text)
        again = { bytes in try bytes.withUnsafeBytes { try ClientFrame.decode($0) }?.encode() ?? [] }
    }

    init(_ frame: ServerFrame, _ text: String) {
        (type, bytes, self.text) = ("ServerFrame", frame.encode(), text)
        again = { bytes in try bytes.withUnsafeBytes { try ServerFrame.decode($0) }?.encode() ?? [] }
    }
}

/// `message` with some of its fields set.
private func with<Message>(_ message: Message, _ change: (inout Message) -> Void) -> Message {
    var message = message
    change(&message)
    return message
}

@Suite("chat.proto")
struct ChatCodecTests {
    static let contract = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/") + "/contract"

    static let open = with(Open()) {
        $0.device = "phone"; $0.log = "l"; $0.cursor = 0; $0.session = "s"; $0.attempt = .max; $0.epoch = -1
    }
    static let message = with(Message()) {
        $0.id = [0, 255, 34, 92, 10]; $0.offset = .max; $0.sender = .max; $0.receiver = 1; $0.body = Array("é\u{0}".utf8); $0.time_ms = -5
    }
    static let messageText = #"id: "\000\377\"\\\n" offset: 9223372036854775807 sender: 18446744073709551615 receiver: 1 body: "\303\251\000" time_ms: -5"#

    static let spoken =
        [
            Spoken(.open(open), #"open { device: "phone" log: "l" cursor: 0 session: "s" attempt: 4294967295 epoch: -1 }"#),
            Spoken(.open(Open()), "open { }"),
            Spoken(.open(with(Open()) { $0.cursor = -1 }), "open { cursor: -1 }"),
            Spoken(
                .send(
                    with(Send()) {
                        $0.id = [1]; $0.receiver = 300; $0.body = [2, 3]; $0.round = 7
                    }), #"send { id: "\001" receiver: 300 body: "\002\003" round: 7 }"#),
            Spoken(
                .opened(
                    with(Opened()) {
                        $0.log = "l"; $0.next = 2; $0.partition = -3; $0.time_ms = 4; $0.idWindow_ms = 5; $0.alive_ms = 6; $0.maxBodyBytes = 7;
                        $0.fallback = "f"; $0.maxUnacknowledged = 9; $0.epoch = 10
                    }),
                #"opened { log: "l" next: 2 partition: -3 time_ms: 4 id_window_ms: 5 alive_ms: 6 max_body_bytes: 7 fallback: "f" max_unacknowledged: 9 epoch: 10 }"#
            ),
            Spoken(.message(message), "message { \(messageText) }"),
            Spoken(.ack(with(Ack()) { $0.id = [16] }), #"ack { id: "\020" }"#),
            Spoken(
                .refused(
                    with(Refused()) {
                        $0.id = [1]; $0.reason = .expired; $0.detail = "too old"; $0.retryAfter_ms = 5_000; $0.round = 2
                    }),
                #"refused { id: "\001" reason: REASON_EXPIRED detail: "too old" retry_after_ms: 5000 round: 2 }"#),
            Spoken(
                .gap(
                    with(Gap()) {
                        $0.from = 1; $0.to = .max
                    }), "gap { from: 1 to: 9223372036854775807 }"),
            Spoken(
                .moved(
                    with(Moved()) {
                        $0.messaging = "h:1"; $0.epoch = 12
                    }), #"moved { messaging: "h:1" epoch: 12 }"#),
            Spoken(
                .alive(
                    with(Alive()) {
                        $0.next = 8; $0.fallback = "f"
                    }), #"alive { next: 8 fallback: "f" }"#),
            Spoken(
                "FindQuery",
                with(FindQuery()) {
                    $0.receiver = 2; $0.id = [3]
                }, #"receiver: 2 id: "\003""#),
            Spoken(
                "Found",
                with(Found()) {
                    $0.state = .absent; $0.retryAfter_ms = 4
                }, "state: STATE_ABSENT retry_after_ms: 4"),
            Spoken(
                "InboxQuery",
                with(InboxQuery()) {
                    $0.log = "l"; $0.from = 0; $0.to = 1; $0.before_ms = 2; $0.limit = 3
                }, #"log: "l" from: 0 to: 1 before_ms: 2 limit: 3"#),
            Spoken("InboxQuery", InboxQuery(), ""),
            Spoken(
                "DialogQuery",
                with(DialogQuery()) {
                    $0.peer = 1; $0.log = "l"; $0.to = 0; $0.before_ms = -2; $0.limit = 3
                }, #"peer: 1 log: "l" to: 0 before_ms: -2 limit: 3"#),
            Spoken(
                "Page",
                with(Page()) {
                    $0.messages = [message, Message()]; $0.more = true; $0.through = .max; $0.log = "a"; $0.nextLog = "b"; $0.previousLog = "c"
                },
                #"messages { \#(messageText) } messages { } more: true through: 9223372036854775807 log: "a" next_log: "b" previous_log: "c""#),
        ]
        + [(Reason.invalid, "INVALID"), (.tooLarge, "TOO_LARGE"), (.tooFast, "TOO_FAST"), (.overloaded, "OVERLOADED"), (.unknownOutcome, "UNKNOWN_OUTCOME")].map
    { reason, name in
        Spoken("Refused", with(Refused()) { $0.reason = reason }, "reason: REASON_\(name)")
    }
        + [(Found.State.notYet, "NOT_YET"), (.accepted, "ACCEPTED")].map { state, name in
            Spoken("Found", with(Found()) { $0.state = state }, "state: STATE_\(name)")
        }

    @Test("protoc --encode writes what we write, and we read it", arguments: spoken)
    func encodes(_ spoken: Spoken) async throws {
        let bytes = try await protoc("--encode", spoken.type, Array(spoken.text.utf8))
        #expect(bytes == spoken.bytes)
        #expect(try spoken.again(bytes) == spoken.bytes)
    }

    @Test("protoc --decode reads every field that we write", arguments: spoken)
    func decodes(_ spoken: Spoken) async throws {
        let text = try await protoc("--decode", spoken.type, spoken.bytes)
        // Its own words, written by protoc again, are ours: nothing was unknown to it or lost.
        #expect(try await protoc("--encode", spoken.type, text) == spoken.bytes)
        #expect(!String(decoding: text, as: UTF8.self).split(separator: "\n").contains { $0.trimmingPrefix(while: { $0 == " " }).first?.isNumber == true })
    }

    @Test("fields that are unknown are skipped, and of one that comes twice the last counts")
    func unknown() throws {
        // 15: varint, 16: 8 bytes, 17: chunk, 18: group with a group in it, 19: 4 bytes; then the id twice.
        let unknown: [UInt8] = [0x78, 1, 0x81, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0x8a, 1, 2, 9, 9, 0x93, 1, 0x9b, 1, 0x9c, 1, 0x94, 1, 0x9d, 1, 1, 2, 3, 4]
        #expect(try Ack(decoding: unknown + [0x0a, 1, 5, 0x0a, 1, 6]).id == [6])
        let frames = ServerFrame.ack(Ack()).encode() + ServerFrame.gap(Gap()).encode()
        #expect(try frames.withUnsafeBytes { try ServerFrame.decode($0) } == .gap(Gap()))
        #expect(try [UInt8]().withUnsafeBytes { try ClientFrame.decode($0) } == nil)
    }

    @Test(
        "what is malformed is refused",
        arguments: [
            [0x0a], [0x0a, 2, 1], [0x08], [0x08, 0x80], [0x08] + [UInt8](repeating: 0xff, count: 10), [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], [0x00, 1], [0x0c],
            [0x0b, 0x14],
            [UInt8](repeating: 0x0b, count: 1_000), [0x0e, 1], [0x09, 1], [0x0d, 1],
        ] as [[UInt8]])
    func malformed(_ bytes: [UInt8]) { #expect(throws: ProtobufError.self) { try Ack(decoding: bytes) } }

    @Test("a string that is no UTF-8 is refused")
    func notUTF8() { #expect(throws: ProtobufError.self) { try Moved(decoding: [0x0a, 1, 0xff]) } }

    @Test("random bytes never trap")
    func random() {
        var generator = SeededRandom(11)
        for _ in 0..<5_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            _ = try? Page(decoding: bytes)
            _ = bytes.withUnsafeBytes { try? ClientFrame.decode($0) }
            _ = bytes.withUnsafeBytes { try? ServerFrame.decode($0) }
        }
    }

    /// Runs Google's compiler on one message.
    private func protoc(_ way: String, _ type: String, _ input: [UInt8]) async throws -> [UInt8] {
        let folder = try TemporaryFolder("protoc")
        try Data(input).write(to: URL(filePath: folder.file("in")))
        let command = "protoc --proto_path=\(Self.contract) \(way)=cecochat.v1.\(type) chat.proto < in > out"
        let outcome = try await ChildProcess.run("sh", ["-c", command], in: folder.path)
        try #require(outcome.exit == .code(0), "\(outcome.errors)")
        return Array(try Data(contentsOf: URL(filePath: folder.file("out"))))
    }
}
