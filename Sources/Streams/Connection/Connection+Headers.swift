extension Connection {
    func receiveHeaders(_ header: FrameHeader, _ body: UnsafeRawBufferPointer) {
        guard header.stream != 0, header.stream & 1 == 1 else {
            return fail(.protocolError, "HEADERS on stream \(header.stream)")
        }
        if !rules.isServer, isIdle(header.stream) { return fail(.protocolError, "HEADERS on stream \(header.stream), which was never opened") }
        guard var fragment = unpadded(header, body) else { return }
        if header.flags.contains(.priority) {
            guard fragment.count >= 5 else { return fail(.frameSize, "HEADERS is shorter than its priority") }
            fragment = fragment.from(5)
        }
        let endStream = header.flags.contains(.endStream)
        if header.flags.contains(.endHeaders) {
            return complete(header.stream, fragment, endStream: endStream)
        }
        openBlock = OpenBlock(stream: header.stream, endStream: endStream)
        collect(fragment)
    }

    func receiveContinuation(_ header: FrameHeader, _ body: UnsafeRawBufferPointer) {
        guard var open = openBlock else { return fail(.protocolError, "CONTINUATION without a header block") }
        open.frames += 1
        guard open.frames <= ConnectionRules.continuationLimit else {
            return fail(.enhanceYourCalm, "too_many_continuations", flood: .continuations)
        }
        openBlock = open
        collect(body)
        guard !isOver, header.flags.contains(.endHeaders) else { return }
        openBlock = nil
        var whole = block
        block = ByteQueue()
        complete(open.stream, whole.bytes, endStream: open.endStream)
        whole.removeAll(state.pool)
    }

    private func collect(_ fragment: UnsafeRawBufferPointer) {
        guard block.count + fragment.count <= rules.headerBytes else {
            return fail(.enhanceYourCalm, "a header block of more than \(rules.headerBytes) bytes", flood: .headers)
        }
        block.append(fragment, state.pool)
    }

    private func complete(_ id: UInt32, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        guard bytes.count <= rules.headerBytes else {
            return fail(.enhanceYourCalm, "a header block of more than \(rules.headerBytes) bytes", flood: .headers)
        }
        guard decode(bytes) else { return }
        if let stream = stream(id) {
            if stream.flags.contains(.remoteClosed) { return resetStream(id, .streamClosed) }
            return stream.receiveHeaders(state.fields, endStream: endStream)
        }
        guard rules.isServer, id > lastPeerStream else {
            // The trailers of a stream that we have ended meanwhile: a race, not a fault.
            if !flood.reset(cost: 1, state.now) { fail(.enhanceYourCalm, "too_many_resets", flood: .resets) }
            return
        }
        lastPeerStream = id
        if flags.contains(.drained) || streamCount >= rules.maxStreams {
            return resetStream(id, .refusedStream)
        }
        owner?.open(id, on: self, fields: state.fields, endStream: endStream)
    }

    /// Into `state.fields`. Four times the advertised list is still read, so that its sender can be told.
    private func decode(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let own = flags.contains(.acknowledged) ? nil : decoder ?? HeaderDecoder()
        if own != nil { decoder = own }
        do {
            try (own ?? state.sharedDecoder).decode(bytes, into: state.fields, limit: 4 * rules.headerBytes)
            return true
        } catch {
            if own == nil { state.dropSharedDecoder() }
            switch error {
            case .malformed: fail(.compression, "a header block is no HPACK")
            case .tooLong: fail(.enhanceYourCalm, "a header list of more than \(4 * rules.headerBytes) bytes", flood: .headers)
            }
            return false
        }
    }
}
