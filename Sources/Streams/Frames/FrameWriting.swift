/// Whole frames appended to what a connection will write.
extension ByteQueue {
    mutating func frame(_ type: FrameType, flags: FrameFlags = [], stream: UInt32 = 0, length: Int, _ pool: BlockPool) -> UnsafeMutableRawPointer {
        let start = extend(FrameHeader.size + length, pool)
        FrameHeader(length: length, type: type, flags: flags, stream: stream).write(to: start)
        return start + FrameHeader.size
    }

    mutating func settings(_ values: [(Setting, UInt32)], _ pool: BlockPool) {
        var body = frame(.settings, length: 6 * values.count, pool)
        for (name, value) in values {
            body.storeBytes(of: name.rawValue.bigEndian, as: UInt16.self)
            body.storeBytes(of: value, big: 2)
            body += 6
        }
    }

    mutating func settingsAcknowledgement(_ pool: BlockPool) {
        _ = frame(.settings, flags: .acknowledge, length: 0, pool)
    }

    mutating func ping(_ payload: UInt64, acknowledge: Bool, _ pool: BlockPool) {
        frame(.ping, flags: acknowledge ? .acknowledge : [], length: 8, pool).storeBytes(of: payload, as: UInt64.self)
    }

    mutating func windowUpdate(_ stream: UInt32, _ increment: Int, _ pool: BlockPool) {
        frame(.windowUpdate, stream: stream, length: 4, pool).storeBytes(of: UInt32(increment), big: 0)
    }

    mutating func reset(_ stream: UInt32, _ code: ErrorCode, _ pool: BlockPool) {
        frame(.reset, stream: stream, length: 4, pool).storeBytes(of: code.rawValue, big: 0)
    }

    mutating func goAway(last: UInt32, _ code: ErrorCode, _ text: String, _ pool: BlockPool) {
        let text = Array(text.utf8.prefix(1024))
        let body = frame(.goAway, length: 8 + text.count, pool)
        body.storeBytes(of: last, big: 0)
        body.storeBytes(of: code.rawValue, big: 4)
        text.withUnsafeBytes { if let source = $0.baseAddress { (body + 8).copyMemory(from: source, byteCount: $0.count) } }
    }

    /// A header block as one HEADERS frame and as many CONTINUATION frames as it needs.
    mutating func headers(_ stream: UInt32, _ block: [UInt8], endStream: Bool, _ pool: BlockPool) {
        block.withUnsafeBytes { bytes in
            var rest = bytes
            var type = FrameType.headers
            repeat {
                let part = rest.first(min(rest.count, HTTP2.frameSize))
                rest = rest.from(part.count)
                let flags: FrameFlags = rest.isEmpty ? .endHeaders : []
                let body = frame(type, flags: type == .headers && endStream ? flags.union(.endStream) : flags, stream: stream, length: part.count, pool)
                if let source = part.baseAddress { body.copyMemory(from: source, byteCount: part.count) }
                type = .continuation
            } while !rest.isEmpty
        }
    }
}
