/// What the connections of one loop share: time, timers, blocks, the HPACK decoder, and who has something to do. Loop thread only.
final class LoopState {
    static let receiveBytes = 64 << 10
    /// The scan of all connections for keepalive, age and grace is cut into so many slices.
    private static let slices = 8

    var now = Moment.now()
    var timers = TimerQueue()
    let pool = BlockPool()
    /// The header block that is being looked at.
    let fields = HeaderFields()
    /// Known paths, so that a hundred thousand streams share one string.
    private var paths: [String: String] = [:]
    let received = UnsafeMutableRawBufferPointer.allocate(byteCount: receiveBytes, alignment: 16)
    private var shared: HeaderDecoder?
    private(set) var channels: [Channel] = []
    private var dirty: [Channel] = []
    private var unfinished: [Channel] = []
    private var retired: [Channel] = []
    private var ends: [(GRPCStream, EndReason)] = []
    private var tallies: [Tally] = []
    private(set) lazy var tls = TLSBuffers()
    /// Counts of the client connections on this loop.
    let clientTally = Tally()
    private var clientRules: ConnectionRules?
    var waits = 0

    private var scanPeriod = Duration.seconds(1)
    private var scanned = 0
    private var isScanning = false

    deinit {
        received.deallocate()
    }

    /// The decoder for connections whose peer has acknowledged that there is no table.
    var sharedDecoder: HeaderDecoder {
        if let shared { return shared }
        let made = HeaderDecoder.withoutTable()
        shared = made
        return made
    }

    /// An error leaves a decoder in an unknown state: the next block gets a new one.
    func dropSharedDecoder() { shared = nil }

    func interned(_ path: String) -> String {
        if let known = paths[path] { return known }
        if paths.count < 64, path.utf8.count <= 128 { paths[path] = path }
        return path
    }

    /// The rules of client connections; thousands of one configuration share one object.
    func rules(for configuration: ClientConfiguration) -> ConnectionRules {
        let rules = ConnectionRules(client: configuration)
        if let clientRules, clientRules == rules { return clientRules }
        clientRules = rules
        return rules
    }

    func add(_ tally: Tally) { tallies.append(tally) }
    func remove(_ tally: Tally) { tallies.removeAll { $0 === tally } }

    // MARK: channels

    func add(_ channel: Channel) {
        channel.index = channels.count
        channels.append(channel)
        scanPeriod = min(scanPeriod, max(.milliseconds(16), channel.connection.rules.shortestTime / 4))
        scanLater()
    }

    /// The channel lives until the end of the tick: epoll may already have reported it.
    func retire(_ channel: Channel) {
        let last = channels.removeLast()
        if last !== channel {
            channels[channel.index] = last
            last.index = channel.index
        }
        retired.append(channel)
    }

    func closeAll(_ reason: EndReason) {
        for channel in channels { channel.connection.terminate(reason, nil) }
        flush()
        for channel in channels { channel.close() }
    }

    // MARK: the tick

    var hasWork: Bool { !unfinished.isEmpty || !dirty.isEmpty || !ends.isEmpty }
    var hasEnds: Bool { !ends.isEmpty }

    func markDirty(_ channel: Channel) { dirty.append(channel) }
    func markUnfinished(_ channel: Channel) { unfinished.append(channel) }
    func markEnded(_ stream: GRPCStream, _ reason: EndReason) { ends.append((stream, reason)) }

    func takeUnfinished() -> [Channel] {
        guard !unfinished.isEmpty else { return [] }
        defer { unfinished = [] }
        return unfinished
    }

    func reportEnds() {
        while !ends.isEmpty {
            let batch = ends
            ends = []
            for (stream, reason) in batch { stream.reportEnd(reason) }
        }
    }

    func flush() {
        guard !dirty.isEmpty else { return }
        let batch = dirty
        dirty.removeAll(keepingCapacity: true)
        for channel in batch { channel.flush() }
    }

    func endTick() {
        if !retired.isEmpty { retired = [] }
        for tally in tallies { tally.publish(waits: waits, blockBytes: pool.usedBytes) }
    }

    // MARK: the scan

    private func scanLater() {
        guard !isScanning, !channels.isEmpty else { return }
        isScanning = true
        _ = timers.schedule(at: now + scanPeriod / Self.slices) { [unowned self] in
            isScanning = false
            scanSlice()
            scanLater()
        }
    }

    /// From the end, so that a connection that closes moves one that was looked at into its place.
    private func scanSlice() {
        if scanned <= 0 || scanned > channels.count { scanned = channels.count }
        let end = max(0, scanned - (channels.count / Self.slices + 1))
        while scanned > end {
            scanned -= 1
            if scanned < channels.count { channels[scanned].check(now) }
        }
    }
}
