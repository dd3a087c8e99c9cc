import Cell
import Support
import Testing

/// See `Fuzz` for how long and with which seed.
@Suite("protobuf and records of strangers", .serialized)
struct ProtobufFuzzTests {
    private static func samples() -> [[UInt8]] {
        var open = Open()
        (open.device, open.session, open.cursor, open.epoch) = ("phone", "s", 7, 9)
        var send = Send()
        (send.id, send.receiver, send.body, send.round) = ([UInt8](repeating: 3, count: 16), 42, Array("hello".utf8), 2)
        var message = Message()
        (message.id, message.offset, message.sender, message.receiver, message.body) = (send.id, 12, 1, 2, send.body)
        var page = Page()
        page.messages = [message, message]
        var query = InboxQuery()
        (query.from, query.to, query.limit) = (1, 9, 50)
        return [
            ClientFrame.open(open).encode(), ClientFrame.send(send).encode(), ServerFrame.message(message).encode(), page.encode(), query.encode(),
        ]
    }

    @Test("no frame, query or record traps, hangs or is read as something longer than it is")
    func protobuf() async throws {
        let samples = Self.samples()
        await Fuzz.run("protobuf") { random in
            let bytes = random.chance(15) ? random.bytes(upTo: 300) : random.mutated(samples[random.number(0...samples.count - 1)])
            bytes.withUnsafeBytes { raw in
                _ = try? ClientFrame.decode(raw)
                _ = try? ServerFrame.decode(raw)
            }
            if let query = try? InboxQuery(decoding: bytes), let again = try? InboxQuery(decoding: query.encode()), again != query {
                return "a query changed by being written: \(query)"
            }
            _ = try? DialogQuery(decoding: bytes)
            _ = try? FindQuery(decoding: bytes)
            if let page = try? Page(decoding: bytes), page.messages.reduce(0, { $0 + $1.body.count }) > bytes.count { return "a page longer than its bytes" }
            if case .message(let message)? = Record(bytes: bytes), message.body.count > bytes.count { return "a body longer than its record" }
            return nil
        }
    }
}
