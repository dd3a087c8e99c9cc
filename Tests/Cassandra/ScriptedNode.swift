import Glibc
import Support
import Synchronization
import Threads

@testable import Cassandra

/// A node that says what a real one cannot be made to say. It answers the handshake and who it is; the rest is the script's.
final class ScriptedNode: Sendable {
    typealias Script = @Sendable (Frame) -> [Frame]

    let port: Int
    private let listener: Int32
    private let script: Script
    private let seen = Mutex<[Frame]>([])

    /// The requests that the script has got.
    var requests: [Frame] { seen.withLock { $0 } }

    init(_ script: @escaping Script) throws {
        self.script = script
        let port = freePort()
        self.port = port
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        self.listener = listener
        var on: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, 4)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
        }
        guard bound, listen(listener, 8) == 0 else { throw ThreadError(call: "listen", code: errno) }
        try OwnThread.start("scripted-node") { [weak self] in
            while case let client = accept(listener, nil, nil), client >= 0 { self?.serve(client) }
        }
    }

    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    /// One client at a time is enough.
    private func serve(_ client: Int32) {
        defer { close(client) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = recv(client, &buffer, buffer.count, 0), count > 0 {
            bytes += buffer.prefix(count)
            while bytes.count >= 9 {
                let length = bytes[5..<9].reduce(0) { $0 << 8 | Int($1) }
                guard bytes.count >= 9 + length, let opcode = Frame.Opcode(rawValue: bytes[4]) else { break }
                let frame = Frame(stream: Int16(bytes[2]) << 8 | Int16(bytes[3]), opcode: opcode, body: Array(bytes[9..<9 + length]))
                bytes.removeFirst(9 + length)
                for answer in self.answers(to: frame) {
                    let out = Self.bytes(of: answer)
                    guard send(client, out, out.count, Int32(MSG_NOSIGNAL)) == out.count else { return }
                }
            }
        }
    }

    private func answers(to frame: Frame) -> [Frame] {
        switch frame.opcode {
        case .startup: return [Frame(stream: frame.stream, opcode: .ready, body: [])]
        case .options: return [Frame(stream: frame.stream, opcode: .supported, body: [0, 0])]
        case .query where frame.text.contains("system.local"): return [Self.own(frame.stream)]
        case .query where frame.text.contains("system.peers"):
            return [Frame(stream: frame.stream, opcode: .result, body: hex("00000002 00000004 00000005 00000000"))]
        default:
            seen.withLock { $0.append(frame) }
            return script(frame)
        }
    }

    /// host_id and data_center, as a real node has them.
    private static func own(_ stream: Int16) -> Frame {
        let columns = "0001 73 0001 6c" + "0007 686f73745f6964 000c" + "000b 646174615f63656e746572 000d"
        return Frame(
            stream: stream, opcode: .result,
            body: hex("00000002 00000001 00000002" + columns + "00000001 00000010" + String(repeating: "07", count: 16) + "00000001 61"))
    }

    private static func bytes(of frame: Frame) -> [UInt8] {
        var writer = Writer()
        writer.byte(Frame.responseVersion)
        writer.byte(0)
        writer.short(UInt16(bitPattern: frame.stream))
        writer.byte(frame.opcode.rawValue)
        writer.int(Int32(frame.body.count))
        return writer.bytes + frame.body
    }
}

extension Frame {
    /// The long string with which a QUERY or PREPARE begins.
    var text: String { String(decoding: body.dropFirst(4), as: UTF8.self) }
}
