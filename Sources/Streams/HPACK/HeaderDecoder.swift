import CHPACK

/// HPACK decoding by libnghttp2.
///
/// We advertise a table of size 0. Until the peer acknowledges that, its connection needs a decoder of its own; afterwards a block
/// refers to no earlier one, and one decoder serves the whole loop.
final class HeaderDecoder {
    enum Failure: Error { case malformed, tooLong }

    private var inflater: OpaquePointer?

    /// With HTTP/2's initial table of 4,096 bytes.
    init() {
        nghttp2_hd_inflate_new(&inflater)
    }

    /// One that holds no table and serves every connection whose peer has acknowledged size 0.
    ///
    /// It is told "the table now has size 0" as by a peer first: else libnghttp2 demands that word at the start of the next block, and peers
    /// that never used a table need not say it.
    static func withoutTable() -> HeaderDecoder {
        let decoder = HeaderDecoder()
        let nothing: [UInt8] = [0x20]
        nothing.withUnsafeBytes { try? decoder.decode($0, into: HeaderFields(), limit: 0) }
        nghttp2_hd_inflate_change_table_size(decoder.inflater, 0)
        return decoder
    }

    deinit {
        nghttp2_hd_inflate_del(inflater)
    }

    /// Replaces `fields` by those of a whole header block. After an error this decoder is of no use.
    /// - Parameter limit: the largest header list, as SETTINGS_MAX_HEADER_LIST_SIZE counts it, that is still read.
    func decode(_ block: UnsafeRawBufferPointer, into fields: HeaderFields, limit: Int) throws(Failure) {
        fields.removeAll()
        guard var next = block.bindMemory(to: UInt8.self).baseAddress else { return }
        var left = block.count
        while true {
            var pair = nghttp2_nv()
            var flags: Int32 = 0
            let used = nghttp2_hd_inflate_hd2(inflater, &pair, &flags, next, left, 1)
            if used < 0 { throw .malformed }
            next += used
            left -= used
            if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) != 0 {
                fields.append(
                    name: UnsafeBufferPointer(start: pair.name, count: pair.namelen),
                    value: UnsafeBufferPointer(start: pair.value, count: pair.valuelen))
                if fields.listSize > limit { throw .tooLong }
            }
            if flags & Int32(NGHTTP2_HD_INFLATE_FINAL.rawValue) != 0 { break }
            if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) == 0, left == 0 { break }
        }
        nghttp2_hd_inflate_end_headers(inflater)
    }
}
