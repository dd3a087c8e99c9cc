import Glibc
import Synchronization
import Threads

/// A proxy on loopback whose network a test can break, also without a FIN.
public final class TCPProxy: Sendable {
    public enum Fault: Sendable, Equatable {
        /// Everything passes; what was held goes on.
        case none
        /// Every byte is held both ways; connections stay open, new ones are accepted and held too.
        case hole
        /// As `hole`, only from the target to the clients.
        case deafHole
        /// New connections are reset at once, as are those that exist.
        case refuse
    }

    public let port: Int
    private let bell: Doorbell
    private let orders = Mutex(Orders())

    struct Orders {
        var fault = Fault.none
        var delay = Duration.zero
        var target: Int
        var halve = false
        var reset = false
        var isClosed = false
        var connections = 0
        /// How often something was asked, and how much of it the loop has seen to.
        var asked = 0
        var done = 0

        init(target: Int = 0) { self.target = target }
    }

    /// Listens on `port` (a free one when nil) and passes everything on to `target` on loopback.
    public init(to target: Int, on port: Int? = nil) throws {
        let port = port ?? freePort()
        let listener = try Self.listen(on: port)
        self.port = port
        bell = try Doorbell()
        orders.withLock { $0.target = target }
        let loop = ProxyLoop.Start(
            listener: listener, bell: bell,
            turn: { [weak self] body in
                guard let self else { return false }
                self.orders.withLock { body(&$0) }
                return true
            })
        try OwnThread.start("proxy") { ProxyLoop(loop).run() }
    }

    deinit { bell.ring() }

    /// What goes wrong from now on.
    public func fault(_ fault: Fault) { change { $0.fault = fault } }
    /// Holds every chunk from the target this long.
    public func delay(_ duration: Duration) { change { $0.delay = duration } }
    /// Holds every byte of the connections of this moment for good; new ones work.
    public func half() { change { $0.halve = true } }
    /// Resets (RST) every connection; new ones work.
    public func reset() { change { $0.reset = true } }
    /// New connections go to this port.
    public func lead(to target: Int) { change { $0.target = target } }
    /// Connections that are open now, as the proxy saw them at its last turn.
    public var connections: Int { orders.withLock { $0.connections } }

    /// Returns when the loop has done it: no byte passes by the old orders any more, and a connection that comes later is a new one.
    private func change(_ body: (inout Orders) -> Void) {
        let number = orders.withLock { orders in
            body(&orders)
            orders.asked += 1
            return orders.asked
        }
        bell.ring()
        while orders.withLock({ $0.done < number }) { usleep(200) }
    }

    private static func listen(on port: Int) throws -> Int32 {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var reuse: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, 4)
        guard withLoopback(port, { bind(listener, $0, $1) }) == 0, Glibc.listen(listener, 512) == 0 else {
            defer { close(listener) }
            throw ThreadError(call: "proxy on port \(port)", code: errno)
        }
        return listener
    }
}

/// The body of a proxy's thread.
final class ProxyLoop {
    struct Start: Sendable {
        var listener: Int32
        var bell: Doorbell
        /// Runs one turn of the loop with the owner's orders, which cannot change meanwhile; false when the owner is gone.
        var turn: @Sendable ((inout TCPProxy.Orders) -> Void) -> Bool
    }

    /// One direction of a connection.
    private struct Pipe {
        var from: Int32
        var to: Int32
        var held: [(due: ContinuousClock.Instant, bytes: ArraySlice<UInt8>)] = []
        var heldBytes = 0
        var ended = false
        var isFinished = false

        var wantsRead: Bool { !ended && heldBytes < 1 << 20 }
    }

    private struct Connection {
        var up: Pipe
        var down: Pipe
        var isHalf = false
        var isBroken = false

        var isOver: Bool { isBroken || (up.isFinished && down.isFinished) }
    }

    private let start: Start
    private var connections: [Connection] = []

    init(_ start: Start) { self.start = start }

    func run() {
        defer {
            for connection in connections { end(connection, reset: true) }
            close(start.listener)
        }
        while start.turn({ turn(&$0) }) { wait() }
    }

    private func turn(_ orders: inout TCPProxy.Orders) {
        start.bell.quiet()
        accept(orders)
        if orders.halve { for at in connections.indices { connections[at].isHalf = true } }
        for at in connections.indices { move(&connections[at], orders) }
        if orders.reset || orders.fault == .refuse { for at in connections.indices { connections[at].isBroken = true } }
        for connection in connections where connection.isOver { end(connection, reset: connection.isBroken) }
        connections.removeAll(where: \.isOver)
        (orders.halve, orders.reset, orders.connections, orders.done) = (false, false, connections.count, orders.asked)
    }

    private func wait() {
        var watched = [start.bell.descriptor, start.listener].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        for connection in connections {
            for pipe in [connection.up, connection.down] where pipe.wantsRead {
                watched.append(pollfd(fd: pipe.from, events: Int16(POLLIN), revents: 0))
            }
        }
        // While bytes are held the loop looks again every few milliseconds; that is exact enough for tests.
        let busy = connections.contains { ($0.up.heldBytes > 0 || $0.down.heldBytes > 0) && !$0.isHalf }
        poll(&watched, nfds_t(watched.count), busy ? 2 : 1000)
    }

    private func accept(_ orders: TCPProxy.Orders) {
        while case let client = Glibc.accept(start.listener, nil, nil), client >= 0 {
            let target = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            var connection = Connection(up: Pipe(from: client, to: target), down: Pipe(from: target, to: client))
            guard orders.fault != .refuse, withLoopback(orders.target, { connect(target, $0, $1) }) == 0 else {
                connection.isBroken = true
                end(connection, reset: true)
                continue
            }
            for descriptor in [client, target] { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
            connections.append(connection)
        }
    }

    private func move(_ connection: inout Connection, _ orders: TCPProxy.Orders) {
        let now = ContinuousClock.now
        let holdsUp = connection.isHalf || orders.fault == .hole
        let holdsDown = holdsUp || orders.fault == .deafHole
        guard pass(&connection.up, held: holdsUp, due: now, now: now), pass(&connection.down, held: holdsDown, due: now + orders.delay, now: now) else {
            connection.isBroken = true
            return
        }
    }

    /// False when a side is broken.
    private func pass(_ pipe: inout Pipe, held: Bool, due: ContinuousClock.Instant, now: ContinuousClock.Instant) -> Bool {
        if pipe.wantsRead {
            var buffer = [UInt8](repeating: 0, count: 65536)
            let count = recv(pipe.from, &buffer, buffer.count, 0)
            if count > 0 {
                pipe.held.append((due, buffer[..<count]))
                pipe.heldBytes += count
            } else if count == 0 {
                pipe.ended = true
            } else if errno != EAGAIN {
                return false
            }
        }
        guard !held else { return true }
        while let first = pipe.held.first, first.due <= now {
            let sent = first.bytes.withUnsafeBytes { send(pipe.to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent < 0 { return errno == EAGAIN }
            pipe.heldBytes -= sent
            pipe.held[0].bytes = first.bytes.dropFirst(sent)
            if pipe.held[0].bytes.isEmpty { pipe.held.removeFirst() }
        }
        if pipe.ended, pipe.held.isEmpty, !pipe.isFinished {
            shutdown(pipe.to, Int32(SHUT_WR))
            pipe.isFinished = true
        }
        return true
    }

    private func end(_ connection: Connection, reset: Bool) {
        for descriptor in [connection.up.from, connection.up.to] {
            if reset {
                var now = linger(l_onoff: 1, l_linger: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
            }
            close(descriptor)
        }
    }
}
