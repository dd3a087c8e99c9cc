extension Connection {
    /// Takes what the peer sent. Whole frames are handled where they lie; only the rest is copied.
    func receive(_ bytes: UnsafeRawBufferPointer) {
        heard = state.now
        flags.remove(.pinged)
        var rest = bytes
        if !input.isEmpty { rest = completeInput(rest) }
        while !isOver, !rest.isEmpty {
            guard let size = unitSize(rest) else { break }
            if rest.count < size { break }
            handle(rest.first(size))
            rest = rest.from(size)
        }
        if !isOver { input.append(rest, state.pool) }
        if output.count > ConnectionRules.unreadLimit, channel?.isBlocked ?? false, !isOver {
            tally.flood(.unreadReplies)
            terminate(.connectionLost, StreamError(.protocolViolation, "the peer reads none of the replies that it asks for"))
            dropOutput()
        }
    }

    /// Adds to the incomplete unit in `input` what it lacks and handles it; returns what is left.
    private func completeInput(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var rest = bytes
        while !isOver, !rest.isEmpty {
            let target = unitSize(input.bytes) ?? (flags.contains(.prefaced) ? FrameHeader.size : HTTP2.preface.count)
            if isOver { break }
            let piece = rest.first(min(rest.count, max(0, target - input.count)))
            input.append(piece, state.pool)
            rest = rest.from(piece.count)
            guard let size = unitSize(input.bytes), input.count == size else { continue }
            // Taken out first: handling it may end the connection, which gives `input` back.
            var unit = input
            input = ByteQueue()
            handle(unit.bytes)
            unit.removeAll(state.pool)
            break
        }
        return rest
    }

    /// The size of the preface or frame that `bytes` begin with; nil while that cannot be said, or when the connection failed over it.
    private func unitSize(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard flags.contains(.prefaced) else {
            let count = min(bytes.count, HTTP2.preface.count)
            guard HTTP2.preface.prefix(count).elementsEqual(bytes.first(count)) else {
                fail(.protocolError, "the connection does not begin with HTTP/2's preface")
                return nil
            }
            return HTTP2.preface.count
        }
        guard bytes.count >= FrameHeader.size else { return nil }
        let length = Int(bytes[0]) << 16 | Int(bytes[1]) << 8 | Int(bytes[2])
        guard length <= HTTP2.frameSize else {
            fail(.frameSize, "a frame of \(length) bytes; at most \(HTTP2.frameSize) are accepted")
            return nil
        }
        return FrameHeader.size + length
    }

    private func handle(_ unit: UnsafeRawBufferPointer) {
        guard flags.contains(.prefaced) else {
            flags.insert(.prefaced)
            return
        }
        let header = FrameHeader(unit)
        let body = unit.from(FrameHeader.size)
        let type = FrameType(rawValue: header.type)
        if let openBlock, type != .continuation || header.stream != openBlock.stream {
            return fail(.protocolError, "a header block is interrupted by another frame")
        }
        if !flags.contains(.greeted), type != .settings {
            return fail(.protocolError, "the first frame is not SETTINGS")
        }
        switch type {
        case .data: receiveData(header, body)
        case .headers: receiveHeaders(header, body)
        case .continuation: receiveContinuation(header, body)
        case .settings: receiveSettings(header, body)
        case .windowUpdate: receiveWindowUpdate(header, body)
        case .ping: receivePing(header, body)
        case .reset: receiveReset(header, body)
        case .goAway: receiveGoAway(header, body)
        case .pushPromise: fail(.protocolError, "PUSH_PROMISE is not accepted")
        case .priority:
            if header.stream == 0 { return fail(.protocolError, "PRIORITY on stream 0") }
            if body.count != 5 { return resetStream(header.stream, .frameSize) }
            countOther()
        case nil: countOther()
        }
    }

    /// Frames that cost nothing but time.
    func countOther() {
        if !flood.other(state.now) { fail(.enhanceYourCalm, "too_many_other_frames", flood: .otherFrames) }
    }

    /// The body without padding; nil when the connection failed over it.
    func unpadded(_ header: FrameHeader, _ body: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard header.flags.contains(.padded) else { return body }
        guard let padding = body.first, Int(padding) < body.count else {
            fail(.protocolError, "padding is longer than its frame")
            return nil
        }
        return body.from(1).first(body.count - 1 - Int(padding))
    }

    /// Whether a frame on `id` concerns a stream that never was.
    func isIdle(_ id: UInt32) -> Bool {
        (id & 1 == 1) == rules.isServer ? id > lastPeerStream : id >= nextStream || !rules.isServer && id & 1 == 0
    }
}
