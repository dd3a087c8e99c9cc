extension Connection {
    static let drainPing: UInt64 = 0x6e69_6172_6421_2121
    static let alivePing: UInt64 = 0x6576_696c_6121_2121

    /// Looked at by the loop's scan: greeting, keepalive, age.
    func check() {
        guard !isOver else { return }
        let now = state.now
        if flags.isDisjoint(with: .acknowledged) {
            guard now - born >= rules.greetingTimeout else { return }
            tally.count.greetingTimeouts += 1
            if flags.contains(.greeted) { output.goAway(last: lastPeerStream, .settingsTimeout, "SETTINGS were not acknowledged", state.pool) }
            return terminate(.connectionLost, StreamError(.timedOut, "the peer did not finish HTTP/2's greeting in \(rules.greetingTimeout)"))
        }
        if flags.contains(.pinged) {
            if now - pinged >= rules.keepaliveTimeout {
                tally.count.keepaliveTimeouts += 1
                dropOutput()
                return terminate(.connectionLost, StreamError(.unresponsive, "the peer answered no ping in \(rules.keepaliveTimeout)"))
            }
        } else if let interval = rules.keepaliveInterval, now - heard >= interval {
            pinged = now
            flags.insert(.pinged)
            output.ping(Self.alivePing, acknowledge: false, state.pool)
            touch()
        }
        if now >= ageLimit, !flags.contains(.aged) {
            flags.insert(.aged)
            leave()
            _ = state.timers.schedule(at: now + rules.maximumAgeGrace) { [weak self] in self?.endStreams() }
        }
    }

    /// Step one of a drain: whatever the peer has sent already is still taken. A ping tells when it has read this; then comes step two.
    func leave() {
        guard !isOver, !flags.contains(.warned) else { return }
        // Who has not greeted yet has no stream to lose, and perhaps no TLS to be told by.
        guard flags.contains(.greeted) else { return terminate(.drained, nil) }
        flags.insert(.warned)
        output.goAway(last: HTTP2.largestStream, .none, "", state.pool)
        output.ping(Self.drainPing, acknowledge: false, state.pool)
        touch()
        _ = state.timers.schedule(at: state.now + rules.farewellTimeout) { [weak self] in self?.finishGoAway() }
    }

    /// Step two: streams opened from now on are refused, and the connection ends with its last stream.
    func finishGoAway() {
        guard !isOver, flags.contains(.warned), !flags.contains(.drained) else { return }
        flags.insert(.drained)
        output.goAway(last: lastPeerStream, .none, "", state.pool)
        touch()
        closeIfDrained()
    }

    /// The grace is over: what is left is told UNAVAILABLE, and the connection ends.
    func endStreams() {
        guard !isOver else { return }
        finishGoAway()
        for stream in streams { stream.endForDrain() }
        closeIfDrained()
    }

    func closeIfDrained() {
        guard !isOver, streamCount == 0 else { return }
        if flags.contains(.drained) { return terminate(.drained, nil) }
        if flags.contains(.peerLeaves), !rules.isServer { terminate(.connectionLost, StreamError(.goingAway, "the server is going away")) }
    }
}
