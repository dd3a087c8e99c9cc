extension Connection {
    func receiveSettings(_ header: FrameHeader, _ body: UnsafeRawBufferPointer) {
        guard header.stream == 0 else { return fail(.protocolError, "SETTINGS on stream \(header.stream)") }
        if header.flags.contains(.acknowledge) {
            guard body.isEmpty else { return fail(.frameSize, "an acknowledgement of SETTINGS with \(body.count) bytes") }
            guard flags.contains(.greeted) else { return fail(.protocolError, "the first frame is not SETTINGS") }
            flags.insert(.acknowledged)
            decoder = nil
            return countOther()
        }
        guard body.count % 6 == 0 else { return fail(.frameSize, "SETTINGS of \(body.count) bytes") }
        guard flood.setting(state.now) else { return fail(.enhanceYourCalm, "too_many_settings", flood: .settings) }
        for offset in stride(from: 0, to: body.count, by: 6) {
            guard apply(Setting(rawValue: body.bigEndian16(at: offset)), body.bigEndian32(at: offset + 2)) else { return }
        }
        output.settingsAcknowledgement(state.pool)
        touch()
        if !flags.contains(.greeted) {
            flags.insert(.greeted)
            owner?.greeted(self)
        }
    }

    /// False when the connection failed over it.
    private func apply(_ setting: Setting?, _ value: UInt32) -> Bool {
        switch setting {
        case .initialWindowSize:
            guard value <= HTTP2.largestWindow else {
                fail(.flowControl, "an initial window of \(value)")
                return false
            }
            return changeWindow(to: Int32(value))
        case .maxFrameSize where !(16_384...16_777_215).contains(value):
            fail(.protocolError, "a largest frame of \(value)")
            return false
        case .enablePush where value > 1 || !rules.isServer && value != 0:
            fail(.protocolError, "SETTINGS_ENABLE_PUSH of \(value)")
            return false
        case .maxConcurrentStreams:
            peerMaxStreams = Int(value)
        default:
            break
        }
        return true
    }

    /// Windows of open streams move by the difference, below zero if need be; the connection's does not move.
    private func changeWindow(to window: Int32) -> Bool {
        let difference = Int(window) - Int(peerWindow)
        peerWindow = window
        for stream in streams {
            let changed = Int(stream.sendWindow) + difference
            guard changed <= HTTP2.largestWindow else {
                fail(.flowControl, "an initial window that takes stream \(stream.id) above 2^31-1")
                return false
            }
            stream.sendWindow = Int32(changed)
            wake(stream)
        }
        return true
    }

    func receivePing(_ header: FrameHeader, _ body: UnsafeRawBufferPointer) {
        guard header.stream == 0 else { return fail(.protocolError, "PING on stream \(header.stream)") }
        guard body.count == 8 else { return fail(.frameSize, "PING of \(body.count) bytes") }
        let payload = body.loadUnaligned(as: UInt64.self)
        if header.flags.contains(.acknowledge) {
            countOther()
            if payload == Self.drainPing { finishGoAway() }
            return
        }
        guard flood.ping(every: rules.permittedPingInterval, burst: rules.pingBurst, state.now) else {
            return fail(.enhanceYourCalm, "too_many_pings", flood: .pings)
        }
        output.ping(payload, acknowledge: true, state.pool)
        touch()
    }

    func receiveReset(_ header: FrameHeader, _ body: UnsafeRawBufferPointer) {
        guard body.count == 4 else { return fail(.frameSize, "RST_STREAM of \(body.count) bytes") }
        guard header.stream != 0, !isIdle(header.stream) else {
            return fail(.protocolError, "RST_STREAM on stream \(header.stream), which was never opened")
        }
        let stream = stream(header.stream)
        let wasted = stream.map { !$0.flags.contains(.carried) } ?? false
        if rules.isServer, !flood.reset(cost: wasted ? ConnectionRules.wastedReset : 1, state.now) {
            return fail(.enhanceYourCalm, "too_many_resets", flood: .resets)
        }
        guard let stream else { return }
        stream.receiveReset(ErrorCode(rawValue: body.bigEndian32(at: 0)) ?? .internalError)
    }

    /// Ends a stream because of what its peer did.
    func resetStream(_ id: UInt32, _ code: ErrorCode) {
        output.reset(id, code, state.pool)
        touch()
        if let stream = stream(id) {
            tally.count.refusedStreams += 1
            remove(stream, .refused(GRPCStatus(.internal, "the stream broke HTTP/2: \(code)")))
        }
        let cost = code == .refusedStream ? 10 : ConnectionRules.wastedReset
        if !flood.reset(cost: cost, state.now) { fail(.enhanceYourCalm, "too_many_resets", flood: .madeResets) }
    }

    func receiveGoAway(_ header: FrameHeader, _ body: UnsafeRawBufferPointer) {
        guard header.stream == 0 else { return fail(.protocolError, "GOAWAY on stream \(header.stream)") }
        guard body.count >= 8 else { return fail(.frameSize, "GOAWAY of \(body.count) bytes") }
        guard flood.other(state.now) else { return fail(.enhanceYourCalm, "too_many_other_frames", flood: .otherFrames) }
        flags.insert(.peerLeaves)
        if !rules.isServer {
            let last = body.bigEndian32(at: 0) & 0x7fff_ffff
            for stream in streams where stream.id > last { stream.receiveReset(.refusedStream) }
        }
        owner?.goingAway(self, text: StatusText.decode(body.from(8)))
        closeIfDrained()
    }
}
