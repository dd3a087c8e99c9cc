import COpenSSL

/// The memory between OpenSSL and a socket: one for all sessions of a thread, so that an idle session owns no buffer.
///
/// `feed` what the socket gave, read from the session until it wants more, then send `output` and `clearOutput`.
/// Used by one thread at a time.
public final class TLSTransport {
    let bio: OpaquePointer
    private var input = UnsafeRawBufferPointer(start: nil, count: 0)
    private var block = UnsafeMutableRawPointer.allocate(byteCount: TLSTransport.smallest, alignment: 16)
    private var capacity = TLSTransport.smallest
    private var count = 0
    private static let smallest = 32 << 10

    public init() {
        bio = BIO_new(TLSMethod.shared)!
        BIO_set_init(bio, 1)
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        BIO_free(bio)
        block.deallocate()
    }

    /// Lends received bytes to the session that reads next; they must stay until it wants more. OpenSSL takes all of them.
    public func feed(_ bytes: UnsafeRawBufferPointer) { input = bytes }

    /// What sessions have written since the last `clearOutput`.
    public var output: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: block, count: count) }

    public func clearOutput() {
        count = 0
        guard capacity > 1 << 20 else { return }
        block.deallocate()
        block = .allocate(byteCount: Self.smallest, alignment: 16)
        capacity = Self.smallest
    }

    fileprivate func read(_ target: UnsafeMutableRawPointer, _ most: Int) -> Int {
        let taken = min(most, input.count)
        guard taken > 0, let source = input.baseAddress else { return 0 }
        target.copyMemory(from: source, byteCount: taken)
        input = UnsafeRawBufferPointer(rebasing: input[taken...])
        return taken
    }

    fileprivate func write(_ source: UnsafeRawPointer, _ length: Int) {
        if count + length > capacity {
            capacity = max(2 * capacity, count + length)
            let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
            larger.copyMemory(from: block, byteCount: count)
            block.deallocate()
            block = larger
        }
        (block + count).copyMemory(from: source, byteCount: length)
        count += length
    }
}

/// The BIO type that reads and writes a transport.
private enum TLSMethod {
    // Made once and never changed; OpenSSL only reads it.
    nonisolated(unsafe) static let shared: OpaquePointer = {
        let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cell")!
        BIO_meth_set_read(method) { bio, target, most in
            guard let bio, let target, let data = BIO_get_data(bio) else { return -1 }
            cell_bio_clear_retry(bio)
            let taken = Unmanaged<TLSTransport>.fromOpaque(data).takeUnretainedValue().read(target, Int(most))
            if taken == 0 {
                cell_bio_retry_read(bio)
                return -1
            }
            return Int32(taken)
        }
        BIO_meth_set_write(method) { bio, source, length in
            guard let bio, let source, let data = BIO_get_data(bio) else { return -1 }
            cell_bio_clear_retry(bio)
            Unmanaged<TLSTransport>.fromOpaque(data).takeUnretainedValue().write(source, Int(length))
            return length
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == cell_bio_ctrl_flush() ? 1 : 0 }
        return method
    }()
}
