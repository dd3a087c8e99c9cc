extension Connection {
    /// Whether DATA of `size` may go into `output` now instead of waiting on its stream.
    func takesData(_ size: Int) -> Bool {
        size <= sendWindow && output.count + size <= ConnectionRules.highWater && !(channel?.isBlocked ?? false)
    }

    /// One DATA frame with one message; the caller has asked both windows.
    func writeData(_ bytes: UnsafeRawBufferPointer, prefixed: Bool, on stream: GRPCStream) {
        let size = bytes.count + (prefixed ? 5 : 0)
        var body = output.frame(.data, stream: stream.id, length: size, state.pool)
        if prefixed {
            body.storeBytes(of: 0, as: UInt8.self)
            body.storeBytes(of: UInt32(bytes.count), big: 1)
            body += 5
        }
        if let source = bytes.baseAddress { body.copyMemory(from: source, byteCount: bytes.count) }
        spent(size, on: stream)
    }

    func writeHeaders(_ block: [UInt8], endStream: Bool, on stream: GRPCStream) {
        output.headers(stream.id, block, endStream: endStream, state.pool)
        if endStream { stream.flags.insert(.localClosed) }
        touch()
    }

    func writeEndOfData(on stream: GRPCStream) {
        _ = output.frame(.data, flags: .endStream, stream: stream.id, length: 0, state.pool)
        stream.flags.insert(.localClosed)
        touch()
    }

    /// Moves what waits on streams into `output`, a frame of each in turn, as far as windows and `highWater` allow.
    func pump() {
        guard !(channel?.isBlocked ?? false) else { return }
        while sendWindow > 0, output.count < ConnectionRules.highWater, let stream = nextWaiting() {
            let count = min(stream.queue.count, sendWindow, Int(stream.sendWindow), HTTP2.frameSize)
            guard count > 0 else {
                rotateWaiting(again: false)
                continue
            }
            let body = output.frame(.data, stream: stream.id, length: count, state.pool)
            body.copyMemory(from: stream.queue.bytes.baseAddress!, byteCount: count)
            stream.queue.drop(count, state.pool)
            spent(count, on: stream)
            rotateWaiting(again: !stream.queue.isEmpty)
            if stream.queue.isEmpty, stream.flags.contains(.closing) { stream.writeEnd() }
        }
    }

    private func spent(_ count: Int, on stream: GRPCStream) {
        sendWindow -= count
        stream.sendWindow -= Int32(count)
        flood.sentData()
        touch()
    }
}
