import CLinux
import Glibc
import TLS

/// A socket and its connection: reads into the loop's buffer, writes once a tick. Decides nothing.
final class Channel: Pollable {
    let state: LoopState
    let connection: Connection
    /// Its place in `state.channels`.
    var index = 0
    private var tls: TLSSession?
    /// Sealed bytes that the socket did not take yet.
    private var sealed = ByteQueue()
    /// The socket takes nothing until epoll says so.
    private(set) var isBlocked: Bool
    private var isConnecting: Bool
    private var isDirty = false
    /// TLS lets us speak.
    private var maySpeak = false
    private var isSecured = false
    private var isHangingUp = false
    private var isLingering = false
    private(set) var isClosed = false

    override var interest: UInt32 { EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue }

    init(descriptor: Int32, state: LoopState, connection: Connection, tls: TLSSession?, isConnecting: Bool) {
        self.state = state
        self.connection = connection
        self.tls = tls
        self.isConnecting = isConnecting
        isBlocked = isConnecting
        super.init(descriptor: descriptor)
        connection.channel = self
        state.add(self)
        if !isConnecting { connected() }
    }

    private func connected() {
        isConnecting = false
        isBlocked = false
        guard let tls else { return connection.greet() }
        if !connection.rules.isServer {
            if let error = tls.handshake() { return fail(error) }
            takeSealed()
        }
    }

    func markDirty() {
        guard !isDirty, !isClosed else { return }
        isDirty = true
        state.markDirty(self)
    }

    func check(_ now: Moment) { connection.check() }

    override func ready(_ events: UInt32) {
        guard !isClosed else { return }
        if isConnecting {
            let error = socketError()
            if error != 0 || events & EPOLLHUP.rawValue != 0 { return lose(.connecting(error)) }
            guard events & EPOLLOUT.rawValue != 0 else { return }
            connected()
        }
        if isBlocked, events & EPOLLOUT.rawValue != 0 {
            isBlocked = false
            markDirty()
        }
        if events & (EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { isHangingUp = true }
        if isHangingUp || events & EPOLLIN.rawValue != 0 { readMore() }
    }

    // MARK: reading

    /// A few buffers full at most, so that a busy peer does not starve the others; then again in the next tick.
    func readMore() {
        for _ in 0..<4 {
            if isClosed { return }
            let count = recv(descriptor, state.received.baseAddress, LoopState.receiveBytes, 0)
            connection.tally.count.receiveCalls += 1
            if count > 0 {
                connection.tally.count.bytesReceived += count
                if !isLingering { take(UnsafeRawBufferPointer(start: state.received.baseAddress, count: count)) }
                // The edge was for what was there: a short read took it, unless the end is near too.
                if count < LoopState.receiveBytes, !isHangingUp { return }
            } else if count == 0 {
                return lose(nil)
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                return lose(.system("reading from the peer", errno))
            }
        }
        state.markUnfinished(self)
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        guard let tls else { return connection.receive(bytes) }
        let buffers = state.tls
        buffers.transport.feed(bytes)
        reading: while true {
            let outcome = tls.read(into: buffers.plain)
            if !maySpeak, tls.maySpeak { speak(tls) }
            if !isSecured, tls.isHandshakeFinished { secured(tls) }
            switch outcome {
            case .bytes(let count):
                if !connection.isOver { connection.receive(UnsafeRawBufferPointer(start: buffers.plain.baseAddress, count: count)) }
            case .wantsInput: break reading
            case .closed:
                takeSealed()
                return lose(nil)
            case .failed(let error): return fail(error)
            }
        }
        takeSealed()
    }

    /// A server's greeting goes with its part of the handshake, so that a client which waits for it is spared a round trip.
    private func speak(_ tls: TLSSession) {
        maySpeak = true
        if connection.rules.isServer || tls.chosenProtocol == "h2" { return connection.greet() }
        connection.terminate(
            .connectionLost, StreamError(.tls, "the server does not offer HTTP/2 by ALPN", remedy: "Check the address: a gRPC server is expected there."))
    }

    private func secured(_ tls: TLSSession) {
        isSecured = true
        if tls.isResumed { connection.tally.count.tlsResumed += 1 }
        // The ticket goes with what is said next: a client greets at once, and its greeting is answered.
        if connection.rules.isServer { takeSealed(later: true) }
    }

    /// What OpenSSL wrote by itself: handshake, alerts, tickets.
    private func takeSealed(later: Bool = false) {
        let transport = state.tls.transport
        guard !transport.output.isEmpty else { return }
        sealed.append(transport.output, state.pool)
        transport.clearOutput()
        if !later { markDirty() }
    }

    private func fail(_ error: TLSError) {
        if !connection.isOver { connection.tally.count.tlsFailures += 1 }
        takeSealed()
        connection.dropOutput()
        connection.terminate(.connectionLost, StreamError(.tls, error.problem, remedy: error.remedy))
    }

    // MARK: writing

    /// Writes what there is; called once a tick. More than one call of `send` happens only when streams had more waiting than fits into one.
    func flush() {
        isDirty = false
        guard !isClosed, !isConnecting, !isBlocked else { return closeIfOver() }
        var again = true
        while again, !isBlocked, !isClosed {
            if !connection.isOver { connection.pump() }
            seal()
            write()
            again = !connection.isOver && connection.hasWaiting && connection.sendWindow > 0 && !isBlocked
        }
        closeIfOver()
    }

    private func seal() {
        guard let tls, maySpeak, !connection.output.isEmpty else { return }
        let error = tls.write(connection.output.bytes)
        connection.output.removeAll(state.pool)
        if let error { return fail(error) }
        takeSealed()
    }

    private func write() {
        let error = tls == nil ? transmit(&connection.output) : transmit(&sealed)
        if error == EAGAIN {
            isBlocked = true
        } else if error != 0 {
            lose(.system("writing to the peer", error))
        }
    }

    /// Sends until nothing is left; else the reason why not.
    private func transmit(_ queue: inout ByteQueue) -> Int32 {
        while !queue.isEmpty {
            let bytes = queue.bytes
            let count = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            connection.tally.count.sendCalls += 1
            if count > 0 {
                connection.tally.count.bytesSent += count
                queue.drop(count, state.pool)
            } else if errno != EINTR {
                return errno
            }
        }
        return 0
    }

    // MARK: the end

    /// An orderly end waits a moment for the peer to read: closing over unread bytes would take the GOAWAY back.
    private func closeIfOver() {
        guard connection.isOver, !isClosed, !isLingering else { return }
        let nothingLeft = connection.output.isEmpty && sealed.isEmpty
        if isHangingUp || isConnecting { return close() }
        if nothingLeft { sayGoodbye() }
        if isClosed { return }
        isLingering = true
        _ = state.timers.schedule(at: state.now + .seconds(1)) { [weak self] in self?.close() }
    }

    private func sayGoodbye() {
        if let tls, isSecured {
            tls.close()
            sealed.append(state.tls.transport.output, state.pool)
            state.tls.transport.clearOutput()
            write()
        }
        if !isClosed { shutdown(descriptor, Int32(SHUT_WR)) }
    }

    /// The peer is gone.
    private func lose(_ error: StreamError?) {
        connection.dropOutput()
        connection.terminate(.connectionLost, error ?? StreamError(.closed, "the peer closed the connection"))
        close()
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        connection.terminate(.connectionLost, StreamError(.closed, "the connection was closed"))
        connection.dropOutput()
        sealed.removeAll(state.pool)
        connection.channel = nil
        tls = nil
        closeDescriptor()
        state.retire(self)
    }

    private func socketError() -> Int32 {
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
        return error
    }
}

extension StreamError {
    static func connecting(_ number: Int32) -> StreamError {
        let why = String(cString: strerror(number == 0 ? ECONNREFUSED : number))
        return StreamError(number == ETIMEDOUT ? .timedOut : .refused, "connecting failed: \(why)", remedy: "Check that a server listens there.")
    }
}
