import TLS

/// The memory that all TLS sessions of one loop share.
final class TLSBuffers {
    let transport = TLSTransport()
    let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    deinit {
        plain.deallocate()
    }
}
