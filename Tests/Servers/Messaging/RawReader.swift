import Cell
import Support

@testable import Servers

/// A client that opens a stream, and then never reads and never gives the server more window.
final class RawReader {
    private let connection: RawConnection

    static func open(user: UInt64, port: Int) async throws -> RawReader {
        let reader = RawReader(try RawConnection(port: port))
        var open = Open(device: "slow", cursor: -1)
        open.session = "slow"
        let call = frame(4, flags: 0, stream: 0, []) + frame(4, flags: 1, stream: 0, []) + frame(1, flags: 4, stream: 1, headers(user))
        reader.connection.send(
            Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + call + frame(0, flags: 0, stream: 1, grpcFramed(ClientFrame.open(open).encode())))
        try await eventually("the slow one is Opened") {
            reader.connection.poll()
            return reader.connection.received.count > 100
        }
        return reader
    }

    private init(_ connection: RawConnection) { self.connection = connection }

    private static func frame(_ type: UInt8, flags: UInt8, stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
        let length = payload.count
        let head: [UInt8] = [UInt8(length >> 16), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), type, flags]
        let number: [UInt8] = [0, 0, 0, UInt8(stream)]
        return head + number + payload
    }

    /// HPACK, literals without indexing.
    private static func headers(_ user: UInt64) -> [UInt8] {
        let fields = [
            (":method", "POST"), (":scheme", "http"), (":path", MessagingService.path), (":authority", "cell"), ("content-type", "application/grpc"),
            ("te", "trailers"), ("x-user-id", "\(user)"),
        ]
        var block: [UInt8] = []
        for (name, value) in fields {
            block += [0, UInt8(name.utf8.count)]
            block += Array(name.utf8)
            block.append(UInt8(value.utf8.count))
            block += Array(value.utf8)
        }
        return block
    }
}
