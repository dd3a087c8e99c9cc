import Cell
import Testing

@testable import Servers

/// A core on a table: its actions sorted, its time moved by hand.
final class CoreBench {
    static let began_ms: Int64 = 1_764_000_000_000
    static let me = ServerID(.messaging, 1)
    static let mine = Incarnation("aaaa")!
    static let other = ServerID(.messaging, 2)
    static let theirs = Incarnation("bbbb")!
    static let log = LogID(UUIDv7(high: UInt64(began_ms) << 16 | 0x7000, low: 1 << 63)!)

    let core: MessagingCore
    var now: Now
    var settings = Settings()
    private(set) var actions: [Action] = []
    private var lastStream: UInt64 = 0
    private var ids = SystemRandomNumberGenerator()

    init(partitions: Int = 4, embedded: Bool = false, descriptorLimit: Int = .max, _ change: (inout Settings) -> Void = { _ in }) {
        now = Now(monotonic_ms: 1_000_000, wall_ms: Self.began_ms + 3_600_000)
        change(&settings)
        let identity = MessagingIdentity(
            server: Self.me, incarnation: Self.mine, partitions: partitions, idWindow: .seconds(60), embedded: embedded, descriptorLimit: descriptorLimit)
        core = MessagingCore(identity, settings: settings, now: now)
        core.producerReady(at: now)
        gather()
    }

    /// One that owns every partition, read up to `end`.
    static func owner(partitions: Int = 4, end: Int64 = 100, embedded: Bool = false, _ change: (inout Settings) -> Void = { _ in }) -> CoreBench {
        let bench = CoreBench(partitions: partitions, embedded: embedded, change)
        bench.assign(epoch: 1) { $0.owns = PartitionSet(all: partitions) }
        for partition in 0..<partitions { bench.begin(Partition(partition), start: end, end: end) }
        bench.take()
        return bench
    }

    // MARK: what happens

    /// Publishes: this server is as `mine` says, the other one owns `theirs`.
    func assign(
        epoch: Int64, log: LogID = CoreBench.log, theirs: PartitionSet = PartitionSet(), incarnation: Incarnation = CoreBench.mine,
        mine change: (inout Member) -> Void
    ) {
        var member = Member(incarnation: incarnation, address: "me:1", http: "me:2", role: .owner)
        change(&member)
        var other = Member(incarnation: Self.theirs, address: "other:1", http: "other:2", role: .owner)
        other.owns = theirs
        core.assigned(Assignment(epoch: Epoch(epoch), term: Term(1), log: log, members: [Self.me: member, Self.other: other]), at: now)
        gather()
    }

    func begin(_ partition: Partition, start: Int64, end: Int64) {
        core.readingBegan(partition, reading: reading(of: partition), start: start, end: end, at: now)
        gather()
    }

    func reading(of partition: Partition) -> UInt64 { core.partitions[partition]?.reading ?? 0 }

    func read(_ partition: Partition, _ records: [LogEntry], caughtUp: Int64? = nil) {
        core.read(partition, reading: reading(of: partition), records, caughtUp: caughtUp, at: now)
        gather()
    }

    @discardableResult
    func stream(_ user: UInt64, until_ms: Int64? = nil) -> StreamID {
        lastStream += 1
        let id = StreamID(number: lastStream)
        core.began(id, user: UserID(user)!, until_ms: until_ms, at: now)
        gather()
        return id
    }

    /// A stream with its Open.
    @discardableResult
    func open(
        _ user: UInt64, cursor: Int64? = nil, log: LogID? = CoreBench.log, device: String = "phone", session: String = "s", attempt: UInt32 = 0,
        epoch: Int64 = 0
    ) -> StreamID {
        let id = stream(user)
        var open = Open()
        open.device = device
        open.session = session
        open.attempt = attempt
        open.cursor = cursor
        open.log = cursor == nil ? "" : log?.description ?? ""
        open.epoch = epoch
        say(.open(open), on: id)
        return id
    }

    /// A stream that is Opened at the log's end, and has said so.
    func opened(_ user: UInt64, device: String = "phone") -> StreamID {
        let position = core.partitions[partition(user)]?.position ?? 0
        let id = open(user, cursor: position - 1, device: device)
        let frames = frames(to: id)
        guard case .opened = frames.first else { preconditionFailure("stream of \(user) was not opened: \(frames)") }
        return id
    }

    func say(_ frame: ClientFrame, on id: StreamID) {
        core.received(frame, on: id, at: now)
        gather()
    }

    func newID() -> MessageID { MessageID(time_ms: now.wall_ms, using: &ids) }

    @discardableResult
    func send(_ id: MessageID? = nil, to receiver: UInt64, _ body: String = "hello", round: UInt32 = 0, on stream: StreamID) -> MessageID {
        let id = id ?? newID()
        sendRaw(id.bytes, to: receiver, Array(body.utf8), round: round, on: stream)
        return id
    }

    func sendRaw(_ id: [UInt8], to receiver: UInt64, _ body: [UInt8], round: UInt32 = 0, on stream: StreamID) {
        var send = Send()
        send.id = id
        send.receiver = receiver
        send.body = body
        send.round = round
        say(.send(send), on: stream)
    }

    func report(_ ticket: Ticket, offset: Int64?, time_ms: Int64? = nil) {
        core.reported(ticket, .landed(offset: offset, time_ms: time_ms ?? (offset == nil ? nil : now.wall_ms)), at: now)
        gather()
    }

    func pass(_ milliseconds: Int64) {
        let end = now.monotonic_ms + milliseconds
        while let due = core.nextDue_ms, due <= end {
            move(to: max(due, now.monotonic_ms))
            core.advance(to: now)
            gather()
        }
        move(to: end)
        core.advance(to: now)
        gather()
    }

    private func move(to monotonic_ms: Int64) {
        now.wall_ms += monotonic_ms - now.monotonic_ms
        now.monotonic_ms = monotonic_ms
    }

    func gather() { actions += core.takeActions() }

    /// The actions since the last look.
    @discardableResult
    func take() -> [Action] {
        gather()
        defer { actions = [] }
        return actions
    }

    // MARK: what came of it

    func partition(_ user: UInt64) -> Partition { UserID(user)!.partition(of: core.identity.partitions) }

    /// Frames since the last look; they are taken out, the other actions stay.
    func frames(to stream: StreamID) -> [ServerFrame] {
        gather()
        var found: [ServerFrame] = []
        actions.removeAll { action in
            switch action {
            case .send(stream, let bytes), .deliver(stream, let bytes, _):
                if let frame = Self.frame(bytes) { found.append(frame) }
                return true
            default: return false
            }
        }
        return found
    }

    static func frame(_ framed: [UInt8]) -> ServerFrame? {
        framed.withUnsafeBytes { bytes in
            bytes.count < 5 ? nil : try? ServerFrame.decode(UnsafeRawBufferPointer(rebasing: bytes[5...]))
        }
    }

    func end(of stream: StreamID) -> StreamEnd? {
        gather()
        for case .finish(stream, let end) in actions { return end }
        return nil
    }

    /// How it ended, by name; empty when it has not.
    func ending(of stream: StreamID) -> String { end(of: stream)?.name ?? "" }

    struct Produced: Equatable {
        var partition: Partition
        var record: Record
        var ticket: Ticket
    }

    /// Records since the last look; they are taken out.
    func produced() -> [Produced] {
        gather()
        var found: [Produced] = []
        actions.removeAll { action in
            guard case .produce(let partition, let bytes, let ticket) = action, let record = Record(bytes: bytes) else { return false }
            found.append(Produced(partition: partition, record: record, ticket: ticket))
            return true
        }
        return found
    }

    func queries() -> [(Partition, UInt64)] {
        gather()
        return actions.compactMap { if case .askEnd(let partition, let query) = $0 { (partition, query) } else { nil } }
    }

    /// Answers every question for a partition's end.
    func answerEnds(_ end: Int64?) {
        let asked = queries()
        actions.removeAll { if case .askEnd = $0 { true } else { false } }
        for (partition, query) in asked { core.endAnswered(partition, query: query, end: end, at: now) }
        gather()
    }

    /// A record as a reader hands it over.
    func entry(_ offset: Int64, from sender: UInt64, to receiver: UInt64, _ body: String = "hi", id: MessageID? = nil, time_ms: Int64? = nil) -> LogEntry {
        let message = LoggedMessage(
            id: id ?? newID(), sender: UserID(sender)!, receiver: UserID(receiver)!, produced_ms: time_ms ?? now.wall_ms, body: Array(body.utf8))
        return LogEntry(offset: offset, time_ms: time_ms ?? now.wall_ms, bytes: Record.message(message).bytes)
    }
}

extension ServerFrame {
    var opened: Opened? { if case .opened(let frame) = self { frame } else { nil } }
    var message: Message? { if case .message(let frame) = self { frame } else { nil } }
    var ack: Ack? { if case .ack(let frame) = self { frame } else { nil } }
    var refused: Refused? { if case .refused(let frame) = self { frame } else { nil } }
    var gap: Gap? { if case .gap(let frame) = self { frame } else { nil } }
    var moved: Moved? { if case .moved(let frame) = self { frame } else { nil } }
    var alive: Alive? { if case .alive(let frame) = self { frame } else { nil } }

    /// One word for each kind, for tests of order.
    var word: String {
        switch self {
        case .opened: "opened"
        case .message(let message): "message \(message.offset)"
        case .ack: "ack"
        case .refused(let refused): "refused \(refused.reason)"
        case .gap(let gap): "gap \(gap.from)-\(gap.to)"
        case .moved(let moved): "moved \(moved.messaging)"
        case .alive(let alive): "alive \(alive.next)"
        }
    }
}
