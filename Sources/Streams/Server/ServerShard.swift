import Glibc
import TLS

/// A server's part on one loop: its service, its connections, its counts. Loop thread only.
final class ServerShard: ConnectionOwner {
    let loop: EventLoop
    let service: any GRPCService
    let tally = Tally()
    let rules: ConnectionRules
    private let configuration: ServerConfiguration
    /// The stream whose `begin` runs now, and whose metadata can be asked.
    private(set) var beginning: ServerStream?
    /// Called when the last connection is gone.
    private var drained: (() -> Void)?
    private var isDraining = false
    private let closed: @Sendable () -> Void
    /// Connections that were accepted and whose turn has not come, the longest wait first.
    private var line: ArraySlice<Int32> = []
    private var isTurnDue = false
    /// How many begin in one tick. When thousands come at once, each handshake is through soon after it has begun instead of all of them at the end,
    /// when many have been given up; and who is here already waits a few milliseconds for them, not for all.
    private static let turn = 32

    /// - Parameter closed: told for every connection that ended.
    init(loop: EventLoop, service: any GRPCService, configuration: ServerConfiguration, closed: @escaping @Sendable () -> Void) {
        self.loop = loop
        self.service = service
        self.configuration = configuration
        self.closed = closed
        rules = ConnectionRules(server: configuration)
    }

    /// From now on its counts are published.
    func begin() { loop.state.add(tally) }

    /// New connections. During a drain they are closed at once.
    func take(_ descriptors: [Int32]) {
        tally.count.accepted += descriptors.count
        line += descriptors
        if isDraining { closeLine() } else if !isTurnDue { serveLine(isLate: false) }
    }

    private func serveLine(isLate: Bool) {
        isTurnDue = false
        var places = Self.turn
        while places > 0, let descriptor = line.popFirst() {
            guard !isLate || !Socket.hasLeft(descriptor) else {
                tally.count.leftInLine += 1
                close(descriptor)
                closed()
                continue
            }
            places -= 1
            begin(descriptor)
        }
        tally.count.inLine = line.count
        guard !line.isEmpty else { return line = [] }
        isTurnDue = true
        _ = loop.schedule(after: .zero) { [weak self] in self?.serveLine(isLate: true) }
    }

    private func closeLine() {
        for descriptor in line {
            close(descriptor)
            closed()
        }
        line = []
        tally.count.inLine = 0
    }

    private func begin(_ descriptor: Int32) {
        let state = loop.state
        let connection = Connection(state: state, rules: rules, tally: tally, owner: self)
        if let age = rules.maximumAge {
            connection.ageLimit = state.now + .nanoseconds(Int64(Double(age.nanoseconds) * Double.random(in: 0.9...1.1)))
        }
        let session = configuration.tls.map { TLSSession($0.context, transport: state.tls.transport) }
        let channel = Channel(descriptor: descriptor, state: state, connection: connection, tls: session, isConnecting: false)
        if !loop.watch(channel) { channel.close() }
    }

    // MARK: calls

    func open(_ id: UInt32, on connection: Connection, fields: HeaderFields, endStream: Bool) {
        guard fields.isWellFormed(pseudo: [":method", ":scheme", ":path", ":authority"]), let path = fields.first(":path"),
            fields.first(":method") != nil, fields.first(":scheme") != nil
        else {
            return connection.resetStream(id, .protocolError)
        }
        if let status = httpRefusal(fields) { return refuse(id, on: connection, status, endStream: endStream) }
        let timeout = fields.first("grpc-timeout")
        let deadline = timeout.flatMap { text in text.withUnsafeBytes { CallTimeout.decode($0) } }
        let stream = ServerStream(
            id: id, connection: connection, shard: self,
            path: connection.state.interned(String(decoding: path, as: UTF8.self)), deadline: deadline)
        if let encoding = fields.first("grpc-encoding"), !encoding.elementsEqual("identity".utf8) { stream.flags.insert(.encoded) }
        connection.add(stream)
        begin(stream, malformed: timeout != nil && deadline == nil)
        if endStream { stream.closeRemote() }
    }

    private func begin(_ stream: ServerStream, malformed: Bool) {
        beginning = stream
        service.begin(stream)
        let size = stream.connection.state.fields.listSize
        beginning = nil
        if malformed { return stream.refuse(GRPCStatus(.invalidArgument, "grpc-timeout is malformed")) }
        if size > rules.headerBytes {
            stream.refuse(GRPCStatus(.invalidArgument, "metadata of \(size) bytes; at most \(rules.headerBytes) are accepted"))
        }
    }

    /// The HTTP status for what is no gRPC; nil when it is.
    private func httpRefusal(_ fields: HeaderFields) -> String? {
        guard fields.first(":method")?.elementsEqual("POST".utf8) == true else { return "405" }
        guard let type = fields.first("content-type"), type.starts(with: "application/grpc".utf8) else { return "415" }
        return nil
    }

    private func refuse(_ id: UInt32, on connection: Connection, _ status: String, endStream: Bool) {
        var headers = HeaderWriter()
        headers.status(status)
        connection.output.headers(id, headers.block, endStream: true, connection.state.pool)
        if !endStream { connection.output.reset(id, .none, connection.state.pool) }
        connection.tally.count.refusedStreams += 1
        connection.touch()
    }

    // MARK: connections

    func greeted(_ connection: Connection) {}
    func goingAway(_ connection: Connection, text: String) {}

    func ended(_ connection: Connection, _ error: StreamError?) {
        closed()
        reportDrained()
    }

    private var connections: [Connection] {
        loop.state.channels.map(\.connection).filter { $0.owner === self }
    }

    /// GOAWAY to everybody; after `grace` the streams that are left end with UNAVAILABLE.
    func drain(grace: Duration, done: @escaping () -> Void) {
        isDraining = true
        closeLine()
        drained = done
        for connection in connections { connection.leave() }
        _ = loop.state.timers.schedule(at: .now() + grace) { [weak self] in self?.endAll() }
        reportDrained()
    }

    private func endAll() {
        for connection in connections { connection.endStreams() }
    }

    private func reportDrained() {
        guard isDraining, tally.count.openConnections == 0, let drained else { return }
        self.drained = nil
        drained()
    }

    func stop() {
        isDraining = true
        closeLine()
        for connection in connections {
            for stream in connection.streams { stream.endForDrain() }
            connection.output.goAway(last: connection.lastPeerStream, .none, "the server stops", connection.state.pool)
            connection.terminate(.stopped, nil)
        }
    }
}
