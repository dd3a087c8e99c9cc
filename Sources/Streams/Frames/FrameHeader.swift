/// The nine bytes before every HTTP/2 frame (RFC 9113, 4.1).
struct FrameHeader: Equatable {
    static let size = 9

    var length: Int
    var type: UInt8
    var flags: FrameFlags
    var stream: UInt32

    init(length: Int, type: FrameType, flags: FrameFlags = [], stream: UInt32 = 0) {
        self.length = length
        self.type = type.rawValue
        self.flags = flags
        self.stream = stream
    }

    /// Reads the first nine of `bytes`, which must be there. The reserved bit is ignored, as the standard asks.
    init(_ bytes: UnsafeRawBufferPointer) {
        length = Int(bytes[0]) << 16 | Int(bytes[1]) << 8 | Int(bytes[2])
        type = bytes[3]
        flags = FrameFlags(rawValue: bytes[4])
        stream = bytes.bigEndian32(at: 5) & 0x7fff_ffff
    }

    func write(to target: UnsafeMutableRawPointer) {
        target.storeBytes(of: UInt32(length) << 8 | UInt32(type), big: 0)
        target.storeBytes(of: flags.rawValue, toByteOffset: 4, as: UInt8.self)
        target.storeBytes(of: stream, big: 5)
    }
}

enum FrameType: UInt8 {
    case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
}

struct FrameFlags: OptionSet {
    let rawValue: UInt8
    static let endStream = FrameFlags(rawValue: 0x1)
    static let acknowledge = FrameFlags(rawValue: 0x1)
    static let endHeaders = FrameFlags(rawValue: 0x4)
    static let padded = FrameFlags(rawValue: 0x8)
    static let priority = FrameFlags(rawValue: 0x20)
}

/// Why a stream or connection is over (RFC 9113, 7).
enum ErrorCode: UInt32 {
    case none, protocolError, internalError, flowControl, settingsTimeout, streamClosed, frameSize, refusedStream, cancel
    case compression, connect, enhanceYourCalm, inadequateSecurity, http11Required
}

enum Setting: UInt16 {
    case headerTableSize = 1, enablePush, maxConcurrentStreams, initialWindowSize, maxFrameSize, maxHeaderListSize
}

enum HTTP2 {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    static let frameSize = 16_384
    static let initialWindow = 65_535
    static let largestWindow = 0x7fff_ffff
    static let largestStream: UInt32 = 0x7fff_ffff
}

extension UnsafeRawBufferPointer {
    func bigEndian32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    func bigEndian16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
    /// The part from `offset` on.
    func from(_ offset: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[offset...]) }
    func first(_ count: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[..<count]) }
}

extension UnsafeMutableRawPointer {
    func storeBytes(of value: UInt32, big offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }
}
