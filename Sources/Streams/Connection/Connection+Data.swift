extension Connection {
    func receiveData(_ header: FrameHeader, _ body: UnsafeRawBufferPointer) {
        if header.stream == 0 || isIdle(header.stream) {
            return fail(.protocolError, "DATA on stream \(header.stream), which was never opened")
        }
        // Padding counts, and so does what comes for streams that are over (C40: else the window never opens again).
        guard body.count <= receiveWindow else { return fail(.flowControl, "DATA beyond the connection's window") }
        receiveWindow -= body.count
        replenish()
        guard let payload = unpadded(header, body) else { return }
        let endStream = header.flags.contains(.endStream)
        if payload.isEmpty, !endStream, !flood.emptyData(state.now) {
            return fail(.enhanceYourCalm, "too_much_empty_data", flood: .emptyData)
        }
        guard let stream = stream(header.stream) else { return }
        if stream.flags.contains(.remoteClosed) { return resetStream(header.stream, .streamClosed) }
        guard body.count <= Int(stream.receiveWindow) else { return resetStream(header.stream, .flowControl) }
        stream.receiveWindow -= Int32(body.count)
        if !payload.isEmpty { flood.receivedData() }
        stream.absorb(payload)
        if stream.flags.contains(.over) { return }
        if endStream { return stream.closeRemote() }
        let consumed = rules.streamWindow - Int(stream.receiveWindow)
        if consumed >= rules.streamWindow / 2 {
            stream.receiveWindow = Int32(rules.streamWindow)
            output.windowUpdate(stream.id, consumed, state.pool)
            touch()
        }
    }

    /// Everything is taken as it comes, so the peer gets its window back as soon as half of it is used.
    private func replenish() {
        let consumed = rules.connectionWindow - receiveWindow
        guard consumed >= rules.connectionWindow / 2 else { return }
        receiveWindow = rules.connectionWindow
        output.windowUpdate(0, consumed, state.pool)
        touch()
    }

    func receiveWindowUpdate(_ header: FrameHeader, _ body: UnsafeRawBufferPointer) {
        guard body.count == 4 else { return fail(.frameSize, "WINDOW_UPDATE of \(body.count) bytes") }
        let increment = Int(body.bigEndian32(at: 0) & 0x7fff_ffff)
        if header.stream != 0, isIdle(header.stream) {
            return fail(.protocolError, "WINDOW_UPDATE on stream \(header.stream), which was never opened")
        }
        guard flood.windowUpdate() else { return fail(.enhanceYourCalm, "too_many_window_updates", flood: .windowUpdates) }
        guard header.stream != 0 else {
            guard increment > 0 else { return fail(.protocolError, "WINDOW_UPDATE by 0") }
            guard sendWindow + increment <= HTTP2.largestWindow else { return fail(.flowControl, "the connection's window exceeds 2^31-1") }
            sendWindow += increment
            if hasWaiting { touch() }
            return
        }
        guard let stream = stream(header.stream) else { return }
        guard increment > 0 else { return resetStream(stream.id, .protocolError) }
        guard Int(stream.sendWindow) + increment <= HTTP2.largestWindow else { return resetStream(stream.id, .flowControl) }
        stream.sendWindow += Int32(increment)
        wake(stream)
    }

    /// Its window grew: what waits may go.
    func wake(_ stream: GRPCStream) {
        guard !stream.queue.isEmpty, stream.sendWindow > 0 else { return }
        enlist(stream)
        touch()
    }
}
