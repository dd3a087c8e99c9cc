/// One frame of the native protocol, version 4:
///
///     version 1 | flags 1 | stream 2 | opcode 1 | length 4 | body
struct Frame: Equatable, Sendable {
    enum Opcode: UInt8, Sendable {
        case error = 0x00, startup = 0x01, ready = 0x02, authenticate = 0x03, options = 0x05, supported = 0x06
        case query = 0x07, result = 0x08, prepare = 0x09, execute = 0x0A, register = 0x0B, event = 0x0C
        case batch = 0x0D, authChallenge = 0x0E, authResponse = 0x0F, authSuccess = 0x10
    }

    static let headerSize = 9
    static let requestVersion: UInt8 = 0x04
    static let responseVersion: UInt8 = 0x84

    var flags: UInt8 = 0
    var stream: Int16
    var opcode: Opcode
    var body: [UInt8]

    /// The bytes of a request on `stream`.
    static func request(_ request: EncodedRequest, stream: Int16) -> [UInt8] {
        var writer = Writer()
        writer.byte(requestVersion)
        writer.byte(0)
        writer.short(UInt16(bitPattern: stream))
        writer.byte(request.opcode.rawValue)
        writer.int(Int32(clamping: request.body.count))
        return writer.bytes + request.body
    }
}

/// Cuts what a node sends into frames.
struct FrameReader {
    private var buffer: [UInt8] = []
    private var start = 0
    /// A frame that claims to be longer is a protocol violation; nothing is set aside for it.
    let limit: Int

    init(limit: Int) { self.limit = limit }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 20)
            start = 0
        } else if start > 1 << 16 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole frame; nil until it is there.
    mutating func next() throws(CassandraError) -> Frame? {
        guard buffer.count - start >= Frame.headerSize else { return nil }
        var header = Cursor(buffer[start..<start + Frame.headerSize])
        let version = try header.byte()
        let flags = try header.byte()
        let stream = Int16(bitPattern: try header.short())
        let code = try header.byte()
        let length = Int(try header.int())
        guard version == Frame.responseVersion else {
            throw CassandraError(.protocolViolation, "a frame of version byte \(version), not 0x84")
        }
        guard let opcode = Frame.Opcode(rawValue: code) else {
            throw CassandraError(.protocolViolation, "a frame with opcode \(code)")
        }
        guard length >= 0, length <= limit else {
            throw CassandraError(.protocolViolation, "a frame that says it has \(length) bytes; \(limit) is the limit")
        }
        guard buffer.count - start - Frame.headerSize >= length else { return nil }
        let body = Array(buffer[start + Frame.headerSize..<start + Frame.headerSize + length])
        start += Frame.headerSize + length
        return Frame(flags: flags, stream: stream, opcode: opcode, body: body)
    }
}
