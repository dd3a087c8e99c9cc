import Support

@testable import Streams

/// Connections without sockets, fed by random peers, and what must hold whatever they send.
final class FuzzBench {
    private let loop: EventLoop
    private let journal = EchoService.Journal()
    private let shard: ServerShard
    private var state: LoopState { loop.state }
    /// The most that one peer made a connection hold.
    private let bound = 8 << 20

    init() throws {
        loop = try EventLoop(name: "fuzz")
        var configuration = ServerConfiguration()
        configuration.messageLimit = 64 << 10
        shard = ServerShard(loop: loop, service: EchoService(journal), configuration: configuration, closed: {})
    }

    // MARK: a server's side

    /// One random client; what went wrong, or nil.
    func serve(_ random: inout SeededRandom) -> String? {
        let connection = Connection(state: state, rules: shard.rules, tally: shard.tally, owner: shard)
        connection.greet()
        var granted = Granted()
        var sent = HTTP2.preface + RawPeer.frame(4, 0, 0)
        if FuzzFrames.chance(5, &random) { FuzzFrames.mutate(&sent, &random, percent: 100) }
        if FuzzFrames.chance(80, &random) { sent += RawPeer.frame(4, 1, 0) }
        var next: UInt32 = 1
        for _ in 0..<Int.random(in: 1...60, using: &random) {
            if FuzzFrames.chance(30, &random) {
                sent += RawPeer.frame(1, 4, next, FuzzFrames.headerBlock(&random, wild: false))
                next += 2
            } else {
                let stream =
                    FuzzFrames.chance(80, &random) ? UInt32.random(in: 0...max(2, next), using: &random) | 1 : UInt32.random(in: 0...40, using: &random)
                var frame = FuzzFrames.frame(&random, stream: stream, server: true)
                FuzzFrames.mutate(&frame, &random, percent: 2)
                sent += frame
            }
            if FuzzFrames.chance(40, &random) {
                if let problem = feed(sent, to: connection, &granted, &random) { return problem }
                sent = []
            }
        }
        if let problem = feed(sent, to: connection, &granted, &random) { return problem }
        return finish(connection)
    }

    private func feed(_ bytes: [UInt8], to connection: Connection, _ granted: inout Granted, _ random: inout SeededRandom) -> String? {
        granted.read(bytes)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = FuzzFrames.chance(50, &random) ? rest.count : Int.random(in: 1...rest.count, using: &random)
            Array(rest.prefix(count)).withUnsafeBytes { if !connection.isOver { connection.receive($0) } }
            rest = rest.dropFirst(count)
            state.now = state.now + .milliseconds(Int.random(in: 0...40, using: &random))
            while let work = state.timers.popDue(state.now) { work() }
            connection.check()
            state.reportEnds()
            if !connection.isOver { connection.pump() }
            if let problem = granted.write(connection.output.bytes) { return problem }
            connection.output.removeAll(state.pool)
            if state.pool.usedBytes > bound { return "\(state.pool.usedBytes) bytes held" }
        }
        return nil
    }

    private func finish(_ connection: Connection) -> String? {
        connection.terminate(.connectionLost, nil)
        connection.dropOutput()
        state.reportEnds()
        let count = shard.tally.count
        if state.pool.usedBytes != 0 { return "\(state.pool.usedBytes) bytes are still held" }
        if count.openStreams != 0 || count.openConnections != 0 {
            return "\(count.openStreams) streams, \(count.openConnections) connections are still counted"
        }
        if journal.begun != journal.endedCount { return "\(journal.begun) streams began, \(journal.endedCount) ended" }
        return nil
    }

    // MARK: a client's side

    /// One random server; what went wrong, or nil.
    func call(_ random: inout SeededRandom) -> String? {
        let owner = Caller()
        let tally = Tally()
        let connection = Connection(state: state, rules: ConnectionRules(client: ClientConfiguration()), tally: tally, owner: owner)
        connection.greet()
        var sent = RawPeer.frame(4, 0, 0) + RawPeer.frame(4, 1, 0)
        for _ in 0..<Int.random(in: 1...50, using: &random) {
            if FuzzFrames.chance(30, &random), !connection.isOver { owner.open(on: connection) }
            sent += FuzzFrames.frame(&random, stream: UInt32.random(in: 0...max(2, connection.nextStream), using: &random) | 1, server: false)
            sent.withUnsafeBytes { if !connection.isOver { connection.receive($0) } }
            sent = []
            state.now = state.now + .milliseconds(20)
            while let work = state.timers.popDue(state.now) { work() }
            state.reportEnds()
            if !connection.isOver { connection.pump() }
            connection.output.removeAll(state.pool)
        }
        connection.terminate(.connectionLost, nil)
        connection.dropOutput()
        state.reportEnds()
        if state.pool.usedBytes != 0 { return "\(state.pool.usedBytes) bytes are still held" }
        if tally.count.openStreams != 0 { return "\(tally.count.openStreams) streams are still counted" }
        return owner.opened == owner.ended ? nil : "\(owner.opened) calls, \(owner.ended) ends"
    }

    private final class Caller: ConnectionOwner, ClientStreamHandler {
        var opened = 0, ended = 0

        func open(on connection: Connection) {
            opened += 1
            let stream = ClientStream(id: connection.nextStream, connection: connection, path: "/x", deadline: nil, handler: self)
            connection.nextStream += 2
            connection.add(stream)
            _ = stream.send([UInt8](repeating: 1, count: 30_000))
            if opened % 2 == 0 { stream.halfClose() }
        }
        func receive(_ message: UnsafeRawBufferPointer, on stream: ClientStream) {}
        func ended(_ stream: ClientStream, _ status: GRPCStatus, trailers: Metadata) { ended += 1 }
        func open(_ id: UInt32, on connection: Connection, fields: HeaderFields, endStream: Bool) {}
        func greeted(_ connection: Connection) {}
        func goingAway(_ connection: Connection, text: String) {}
        func ended(_ connection: Connection, _ error: StreamError?) {}
    }
}

/// What a peer allowed, generously, and what was sent to it: DATA must never exceed it, and output must be whole frames.
private struct Granted {
    private var connection = 65_535
    private var largestInitial = 65_535
    private var streams: [UInt32: Int] = [:]
    private var used: [UInt32: Int] = [:]
    private var total = 0
    /// Frames of the peer that are mutated are no longer followed.
    private var isFollowed = true

    /// Whatever looks like a grant is counted, so that only a clear overrun is reported.
    mutating func read(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes
            if rest.count >= 24, rest.first(24).elementsEqual(HTTP2.preface) { rest = rest.from(24) }
            while rest.count >= 9 {
                let header = FrameHeader(rest)
                guard rest.count >= 9 + header.length else { break }
                let body = rest.from(9).first(header.length)
                if header.type == FrameType.windowUpdate.rawValue, body.count == 4 {
                    let more = Int(body.bigEndian32(at: 0) & 0x7fff_ffff)
                    if header.stream == 0 { connection += more } else { streams[header.stream, default: 0] += more }
                }
                if header.type == FrameType.settings.rawValue {
                    for offset in stride(from: 0, to: body.count - 5, by: 6) where body.bigEndian16(at: offset) == 4 {
                        largestInitial = max(largestInitial, Int(body.bigEndian32(at: offset + 2)))
                    }
                }
                rest = rest.from(9 + header.length)
            }
            if !rest.isEmpty { isFollowed = false }
        }
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) -> String? {
        var rest = bytes
        while !rest.isEmpty {
            guard rest.count >= 9 else { return "output ends within a header" }
            let header = FrameHeader(rest)
            guard FrameType(rawValue: header.type) != nil, header.length <= 16_384, rest.count >= 9 + header.length else {
                return "output is no frame: \(header)"
            }
            if header.type == 0 {
                total += header.length
                used[header.stream, default: 0] += header.length
                if isFollowed, total > connection { return "\(total) bytes of DATA; \(connection) were allowed" }
                if isFollowed, used[header.stream]! > largestInitial + streams[header.stream, default: 0] { return "stream \(header.stream) was overrun" }
            }
            rest = rest.from(9 + header.length)
        }
        return nil
    }
}
