import Glibc
@testable import Streams

/// A peer that sends whatever a test wants: frames as bytes over a blocking socket, no HTTP/2 library.
final class RawPeer {
    struct Frame: CustomStringConvertible {
        var type: FrameType?
        var flags: UInt8
        var stream: UInt32
        var body: [UInt8]

        /// The error code of RST_STREAM and GOAWAY.
        var code: ErrorCode? {
            let start = type == .goAway ? 4 : 0
            guard type == .goAway || type == .reset, body.count >= start + 4 else { return nil }
            return ErrorCode(rawValue: body[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) })
        }
        /// GOAWAY's text.
        var text: String { String(decoding: body.dropFirst(8), as: UTF8.self) }
        /// GOAWAY's last stream.
        var last: UInt32 { body.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }
        var description: String { "\(type.map { "\($0)" } ?? "?") flags \(flags) stream \(stream) \(body.count) bytes \(code.map { "\($0)" } ?? "")" }
    }

    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var chunk = [UInt8](repeating: 0, count: 65_536)
    private(set) var isClosed = false
    /// Every frame so far.
    private(set) var frames: [Frame] = []
    /// Whether SETTINGS and pings are answered as they come.
    var answers = true

    /// Connects; `greets`: sends the preface and empty SETTINGS.
    init(port: UInt16, settings: [(UInt16, UInt32)] = [], greets: Bool = true, receiveBuffer: Int32? = nil) throws {
        let address = try Socket.resolve("127.0.0.1", port)
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        if var size = receiveBuffer { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
        var patience = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        guard address.with({ connect(descriptor, $0, $1) }) == 0 else { throw StreamError.system("connect", errno) }
        guard greets else { return }
        send(HTTP2.preface + Self.frame(4, 0, 0, settings.flatMap { Self.big16($0) + Self.big32($1) }))
    }

    deinit { close(descriptor) }

    // MARK: sending

    /// False when the server has closed the connection.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    @discardableResult
    func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ body: [UInt8] = []) -> Bool { send(Self.frame(type, flags, stream, body)) }

    static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ body: [UInt8] = []) -> [UInt8] {
        big32(UInt32(body.count)).dropFirst() + [type, flags] + big32(stream) + body
    }

    /// A request's HEADERS.
    static func request(_ stream: UInt32, path: [UInt8] = Array("/test.Echo/Bidi".utf8), extra: [(String, [UInt8])] = [], flags: UInt8 = 4) -> [UInt8] {
        frame(1, flags, stream, requestBlock(path: path, extra: extra))
    }

    static func requestBlock(path: [UInt8] = Array("/test.Echo/Bidi".utf8), extra: [(String, [UInt8])] = []) -> [UInt8] {
        let fields: [(String, [UInt8])] = [
            (":method", Array("POST".utf8)), (":scheme", Array("http".utf8)), (":path", path), (":authority", Array("x".utf8)),
            ("te", Array("trailers".utf8)), ("content-type", Array("application/grpc".utf8)),
        ]
        return (fields + extra).flatMap { literal($0, $1) }
    }

    static func literal(_ name: String, _ value: [UInt8]) -> [UInt8] { [0] + string(Array(name.utf8)) + string(value) }

    private static func string(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
        var rest = bytes.count - 127, length: [UInt8] = [127]
        while rest >= 128 { length.append(UInt8(rest & 127 | 128)); rest >>= 7 }
        return length + [UInt8(rest)] + bytes
    }

    static func message(_ body: [UInt8], flag: UInt8 = 0) -> [UInt8] { [flag] + big32(UInt32(body.count)) + body }
    static func data(_ stream: UInt32, _ body: [UInt8], flags: UInt8 = 0) -> [UInt8] { frame(0, flags, stream, body) }
    static func big32(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) } }
    static func big16(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }

    // MARK: receiving

    /// Reads until `found` holds, the server closes, or `limit` has passed; returns whether it holds.
    @discardableResult
    func read(within limit: Duration = .seconds(30), until found: (RawPeer) -> Bool) async -> Bool {
        let end = ContinuousClock.now + limit
        while !found(self) {
            if isClosed || ContinuousClock.now > end { return found(self) }
            // Tests share a few threads: waiting must not hold one.
            if !readSome() { try? await Task.sleep(for: .milliseconds(2)) }
        }
        return true
    }

    func readUntilClosed(within limit: Duration = .seconds(30)) async -> Bool { await read(within: limit) { $0.isClosed } }

    /// Until the server answers this ping: everything sent before has been handled.
    func settle() async {
        let mark = UInt64.random(in: 1...UInt64.max)
        let body = withUnsafeBytes(of: mark) { Array($0) }
        frame(6, 0, 0, body)
        await read { $0.frames.contains { $0.type == .ping && $0.flags & 1 == 1 && $0.body == body } }
    }

    /// False when nothing was there.
    private func readSome() -> Bool {
        let count = recv(descriptor, &chunk, chunk.count, Int32(MSG_DONTWAIT))
        if count == 0 || count < 0 && errno != EAGAIN && errno != EINTR { isClosed = true }
        guard count > 0 else { return false }
        buffer += chunk.prefix(count)
        while buffer.count >= 9 {
            let length = Int(buffer[0]) << 16 | Int(buffer[1]) << 8 | Int(buffer[2])
            guard buffer.count >= 9 + length else { break }
            take(
                Frame(
                    type: FrameType(rawValue: buffer[3]), flags: buffer[4], stream: buffer[5..<9].reduce(0) { $0 << 8 | UInt32($1) },
                    body: Array(buffer[9..<9 + length])))
            buffer.removeFirst(9 + length)
        }
        return true
    }

    private func take(_ frame: Frame) {
        frames.append(frame)
        guard answers, frame.flags & 1 == 0 else { return }
        if frame.type == .settings { self.frame(4, 1, 0) }
        if frame.type == .ping { self.frame(6, 1, 0, frame.body) }
    }

    // MARK: what came

    func frames(_ type: FrameType, _ stream: UInt32? = nil) -> [Frame] { frames.filter { $0.type == type && (stream == nil || $0.stream == stream) } }
    var goAway: Frame? { frames(.goAway).last }
    /// DATA of a stream, put together.
    func data(_ stream: UInt32) -> [UInt8] { frames(.data, stream).flatMap(\.body) }

    /// The fields of a stream's last HEADERS.
    func headers(_ stream: UInt32) -> [String: String] {
        guard let block = frames(.headers, stream).last?.body else { return [:] }
        let fields = HeaderFields()
        block.withUnsafeBytes { try? HeaderDecoder().decode($0, into: fields, limit: 1 << 20) }
        return Dictionary(fields.fields.map { (String(decoding: fields.name($0), as: UTF8.self), String(decoding: fields.value($0), as: UTF8.self)) }) { $1 }
    }
}
