import Cell
import Support
import Testing

@Suite("records of the log")
struct RecordTests {
    private static let id = MessageID("01890a5d-ac96-774b-bcce-b302099a8057")!
    private static let message = Record.message(LoggedMessage(id: id, sender: UserID(1)!, receiver: UserID(.max)!, produced_ms: 0x0102_0304, body: [9, 8, 7]))

    @Test("the layout is what it was")
    func layout() {
        #expect(
            Self.message.bytes == [1, 1] + Self.id.bytes + [1, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 255, count: 8) + [4, 3, 2, 1, 0, 0, 0, 0] + [9, 8, 7])
        #expect(Record.tick(produced_ms: 258).bytes == [1, 2, 2, 1, 0, 0, 0, 0, 0, 0])
        #expect(Record.probe(produced_ms: 1, nonce: 513).bytes == [1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0])
    }

    @Test("every record is read back", arguments: [message, .tick(produced_ms: .min), .tick(produced_ms: .max), .probe(produced_ms: 0, nonce: .max)])
    func roundTrip(_ record: Record) {
        #expect(Record(bytes: record.bytes) == record)
        #expect(record.bytes.count == (record == Self.message ? LoggedMessage.overhead_bytes + 3 : record.bytes.count))
    }

    @Test("an empty body is a body")
    func empty() {
        let record = Record.message(LoggedMessage(id: Self.id, sender: UserID(1)!, receiver: UserID(1)!, produced_ms: 0, body: []))
        #expect(record.bytes.count == LoggedMessage.overhead_bytes && Record(bytes: record.bytes) == record)
    }

    @Test("what is no record is none, whatever its bytes")
    func garbage() {
        #expect(Record(bytes: []) == nil)
        for count in 0..<LoggedMessage.overhead_bytes { #expect(Record(bytes: Array(Self.message.bytes.prefix(count))) == nil) }
        #expect(Record(bytes: Record.tick(produced_ms: 1).bytes + [0]) == nil)
        var bytes = Self.message.bytes
        bytes[0] = 2
        #expect(Record(bytes: bytes) == nil)
        bytes = Self.message.bytes
        for index in 18..<26 { bytes[index] = 0 }
        #expect(Record(bytes: bytes) == nil, "no user is 0")
        var generator = SeededRandom(3)
        for _ in 0..<2_000 {
            let random = (0..<Int.random(in: 0...60, using: &generator)).map { _ in UInt8.random(in: 0...4, using: &generator) }
            if let record = Record(bytes: random) { #expect(record.bytes == random) }
        }
    }
}
