/// What stands on one side of a connection: a server or a client. Loop thread only.
protocol ConnectionOwner: AnyObject {
    /// A request's headers are in `fields`; never called on a client.
    func open(_ id: UInt32, on connection: Connection, fields: HeaderFields, endStream: Bool)
    /// The peer's first SETTINGS are in.
    func greeted(_ connection: Connection)
    /// The peer said GOAWAY: streams above `last` were not processed and are over.
    func goingAway(_ connection: Connection, text: String)
    /// The connection is over; its streams were ended before.
    func ended(_ connection: Connection, _ error: StreamError?)
}

/// One HTTP/2 connection without its socket: bytes in, frames out into `output`, streams between. Loop thread only.
///
/// Nothing here reads a clock or a descriptor: `state.now` is the time of the tick, and whoever owns the socket hands in what came and
/// writes what is in `output`. An idle connection owns no buffer.
final class Connection {
    struct Flags: OptionSet {
        let rawValue: UInt16
        /// Preface; the peer's SETTINGS; the acknowledgement of ours.
        static let prefaced = Flags(rawValue: 1), greeted = Flags(rawValue: 2), acknowledged = Flags(rawValue: 4)
        /// The two steps of a drain, and the end of its grace.
        static let warned = Flags(rawValue: 8), drained = Flags(rawValue: 16)
        static let peerLeaves = Flags(rawValue: 32)
        /// Over: what is in `output` may still be written, nothing more is read.
        static let over = Flags(rawValue: 64)
        static let pinged = Flags(rawValue: 128)
        static let aged = Flags(rawValue: 256)
    }

    /// A header block whose CONTINUATION frames are still to come.
    struct OpenBlock {
        var stream: UInt32
        var endStream: Bool
        var frames = 0
    }

    let state: LoopState
    let rules: ConnectionRules
    let tally: Tally
    var owner: (any ConnectionOwner)?
    unowned(unsafe) var channel: Channel?

    var flags: Flags = []
    var output = ByteQueue()
    var input = ByteQueue()
    var block = ByteQueue()
    var openBlock: OpenBlock?
    /// Its own decoder, until the peer acknowledges that there is no table.
    var decoder: HeaderDecoder?

    /// Most connections carry one stream, which needs no table.
    private var single: GRPCStream?
    private var several: [UInt32: GRPCStream] = [:]
    /// Streams with queued bytes that their windows may let through, in turn.
    private var waiting: [GRPCStream] = []
    var lastPeerStream: UInt32 = 0
    var nextStream: UInt32 = 1
    /// Until the peer says otherwise there is no limit.
    var peerMaxStreams = Int(HTTP2.largestStream)

    var sendWindow = HTTP2.initialWindow
    var peerWindow = Int32(HTTP2.initialWindow)
    var receiveWindow: Int
    /// Bytes of incomplete messages on all streams.
    var assembled = 0

    var flood = FloodGuard()
    let born: Moment
    var heard: Moment
    var pinged = Moment(nanoseconds: 0)
    var ageLimit = Moment.distantFuture

    init(state: LoopState, rules: ConnectionRules, tally: Tally, owner: any ConnectionOwner) {
        self.state = state
        self.rules = rules
        self.tally = tally
        self.owner = owner
        receiveWindow = rules.connectionWindow
        born = state.now
        heard = state.now
        tally.count.openConnections += 1
        if !rules.isServer { flags.insert(.prefaced) }
    }

    /// Writes our half of the greeting.
    func greet() {
        var settings: [(Setting, UInt32)] = [(.headerTableSize, 0), (.maxHeaderListSize, UInt32(rules.headerBytes))]
        if rules.isServer {
            settings.append((.maxConcurrentStreams, UInt32(rules.maxStreams)))
        } else {
            settings.append((.enablePush, 0))
            HTTP2.preface.withUnsafeBytes { output.append($0, state.pool) }
        }
        if rules.streamWindow != HTTP2.initialWindow { settings.append((.initialWindowSize, UInt32(rules.streamWindow))) }
        output.settings(settings, state.pool)
        if rules.connectionWindow > HTTP2.initialWindow {
            output.windowUpdate(0, rules.connectionWindow - HTTP2.initialWindow, state.pool)
        }
        touch()
    }

    var isOver: Bool { flags.contains(.over) }
    var streamCount: Int { (single == nil ? 0 : 1) + several.count }

    /// Asks for a write at the end of this tick.
    func touch() {
        channel?.markDirty()
    }

    // MARK: streams

    func stream(_ id: UInt32) -> GRPCStream? {
        if let single, single.id == id { return single }
        return several.isEmpty ? nil : several[id]
    }

    /// In the order of their ids.
    var streams: [GRPCStream] {
        ((single.map { [$0] } ?? []) + several.values).sorted { $0.id < $1.id }
    }

    func add(_ stream: GRPCStream) {
        tally.count.openStreams += 1
        tally.count.begun += 1
        if single == nil { single = stream } else { several[stream.id] = stream }
    }

    /// Ends a stream: it gives back what it holds, and its side is told at the end of the tick.
    func remove(_ stream: GRPCStream, _ reason: EndReason) {
        guard !stream.flags.contains(.over) else { return }
        stream.flags.insert(.over)
        if single === stream { single = nil } else { several[stream.id] = nil }
        if several.isEmpty { several = [:] }
        assembled -= stream.assembly.count
        stream.assembly.removeAll(state.pool)
        stream.queue.removeAll(state.pool)
        if let timer = stream.deadlineTimer { state.timers.cancel(timer) }
        stream.deadlineTimer = nil
        waiting.removeAll { $0 === stream }
        tally.count.openStreams -= 1
        state.markEnded(stream, reason)
        closeIfDrained()
    }

    func enlist(_ stream: GRPCStream) {
        guard !stream.flags.contains(.enlisted) else { return }
        stream.flags.insert(.enlisted)
        waiting.append(stream)
    }

    var hasWaiting: Bool { !waiting.isEmpty }

    func nextWaiting() -> GRPCStream? { waiting.first }

    /// The first has had its turn. `again`: it goes to the end of the line.
    func rotateWaiting(again: Bool) {
        let stream = waiting.removeFirst()
        if again { waiting.append(stream) } else { stream.flags.remove(.enlisted) }
    }

    /// False, and the stream refused, when incomplete messages would take more than one connection may hold.
    func mayAssemble(_ more: Int, on stream: GRPCStream) -> Bool {
        guard assembled + more <= 4 * (rules.messageLimit + 5) else {
            stream.refuse(GRPCStatus(.resourceExhausted, "too many messages are incomplete on this connection at once"))
            return false
        }
        assembled += more
        return true
    }

    // MARK: the end

    /// Tells the peer why, and ends the connection once that is written.
    func fail(_ code: ErrorCode, _ text: String, flood kind: FloodKind? = nil) {
        guard !isOver else { return }
        if let kind { tally.flood(kind) } else { tally.count.protocolErrors += 1 }
        output.goAway(last: lastPeerStream, code, text, state.pool)
        terminate(.connectionLost, StreamError(.protocolViolation, "the peer broke HTTP/2: \(text)"))
    }

    /// Ends every stream and the connection; what is in `output` is still written.
    func terminate(_ reason: EndReason, _ error: StreamError?) {
        guard !isOver else { return }
        flags.insert(.over)
        for stream in streams { remove(stream, reason) }
        input.removeAll(state.pool)
        block.removeAll(state.pool)
        decoder = nil
        tally.count.openConnections -= 1
        let owner = owner
        self.owner = nil
        owner?.ended(self, error)
        touch()
    }

    /// The socket is gone: nothing can be written any more.
    func dropOutput() {
        output.removeAll(state.pool)
    }
}
