import Glibc
import Streams
import Synchronization

/// How many streams each user has on each loop: what the loops share.
final class Directory: Sendable {
    private let users = Mutex<[UInt64: [Int]]>([:])
    private let loops: Int

    init(loops: Int) {
        self.loops = loops
    }

    func enter(_ user: UInt64, loop: Int) {
        users.withLock { $0[user, default: Array(repeating: 0, count: loops)][loop] += 1 }
    }

    func leave(_ user: UInt64, loop: Int) {
        users.withLock { $0[user]?[loop] -= 1 }
    }

    /// The loops that hold streams of `user`.
    func loops(of user: UInt64) -> [Int] {
        if loops == 1 { return [0] }
        let counts = users.withLock { $0[user] } ?? []
        return counts.indices.filter { counts[$0] > 0 }
    }
}

/// `Messaging.Converse` routed in memory, on one loop.
final class Router: GRPCService, @unchecked Sendable {
    // Why @unchecked: used on its loop's thread only; other loops hand it messages through that loop's mailbox.
    private let directory: Directory
    private let loop: EventLoop
    private let place: Int
    private var streams: [UInt64: [ServerStream]] = [:]
    /// Each user's last offset on this loop.
    private var offsets: [UInt64: UInt64] = [:]
    private var outbox: [[Delivery]]
    /// The routers of all loops, in their order; set before the loops start.
    nonisolated(unsafe) static var all: [Router] = []

    private struct Delivery: Sendable {
        var id: [UInt8]
        var sender: UInt64
        var receiver: UInt64
        var body: [UInt8]
    }

    private final class Session {
        let user: UInt64
        var isOpen = false
        init(_ user: UInt64) { self.user = user }
    }

    init(directory: Directory, loop: EventLoop, place: Int, loops: Int) {
        self.directory = directory
        self.loop = loop
        self.place = place
        outbox = Array(repeating: [], count: loops)
        loop.onTick { [unowned self] in passOn() }
    }

    func begin(_ stream: ServerStream) {
        guard stream.path == "/cecochat.v1.Messaging/Converse" else {
            return stream.finish(GRPCStatus(.unimplemented, "unknown method \(stream.path)"))
        }
        guard let user = stream.metadata("x-user-id").flatMap({ UInt64($0) }), user > 0 else {
            return stream.finish(GRPCStatus(.unauthenticated, "x-user-id is no user"))
        }
        stream.context = Session(user)
    }

    func receive(_ message: UnsafeRawBufferPointer, on stream: ServerStream) {
        guard let session = stream.context as? Session else { return }
        var rest = message
        guard let field = Wire.next(&rest) else { return stream.finish(GRPCStatus(.invalidArgument, "no ClientFrame")) }
        switch (field.number, session.isOpen) {
        case (1, false): open(session, stream)
        case (2, true): send(field.bytes, session, stream)
        default: stream.finish(GRPCStatus(.invalidArgument, "a frame out of order"))
        }
    }

    func halfClosed(_ stream: ServerStream) { stream.finish(.ok) }

    func ended(_ stream: ServerStream, _ reason: EndReason) {
        guard let session = stream.context as? Session, session.isOpen else { return }
        directory.leave(session.user, loop: place)
        streams[session.user]?.removeAll { $0 === stream }
        if streams[session.user]?.isEmpty == true { streams[session.user] = nil }
    }

    private func open(_ session: Session, _ stream: ServerStream) {
        session.isOpen = true
        streams[session.user, default: []].append(stream)
        directory.enter(session.user, loop: place)
        var opened = FrameWriter()
        opened.number(2, offsets[session.user, default: 0] + 1)
        opened.number(4, Self.milliseconds())
        opened.number(7, 4096)
        _ = stream.send(framed: FrameWriter.framed(1, opened))
    }

    private func send(_ bytes: UnsafeRawBufferPointer, _ session: Session, _ stream: ServerStream) {
        var id = UnsafeRawBufferPointer(start: nil, count: 0), body = id, receiver: UInt64 = 0
        var rest = bytes
        while let field = Wire.next(&rest) {
            switch field.number {
            case 1: id = field.bytes
            case 2: receiver = field.value
            case 3: body = field.bytes
            default: break
            }
        }
        guard id.count == 16 else {
            var refused = FrameWriter()
            refused.data(1, id)
            refused.number(2, 1)
            _ = stream.send(framed: FrameWriter.framed(4, refused))
            return
        }
        for target in directory.loops(of: receiver) {
            if target == place {
                deliver(id, session.user, receiver, body)
            } else {
                outbox[target].append(Delivery(id: Array(id), sender: session.user, receiver: receiver, body: Array(body)))
            }
        }
        var ack = FrameWriter()
        ack.data(1, id)
        _ = stream.send(framed: FrameWriter.framed(3, ack))
    }

    private func deliver(_ id: UnsafeRawBufferPointer, _ sender: UInt64, _ receiver: UInt64, _ body: UnsafeRawBufferPointer) {
        guard let receivers = streams[receiver] else { return }
        offsets[receiver, default: 0] += 1
        var message = FrameWriter()
        message.data(1, id)
        message.number(2, offsets[receiver]!)
        message.number(3, sender)
        message.number(4, receiver)
        message.data(5, body)
        message.number(6, Self.milliseconds())
        let framed = FrameWriter.framed(2, message)
        for stream in receivers { _ = stream.send(framed: framed) }
    }

    /// Once a tick: what other loops are to deliver, a batch for each.
    private func passOn() {
        for target in outbox.indices where !outbox[target].isEmpty {
            let batch = outbox[target]
            outbox[target] = []
            let router = Self.all[target]
            router.loop.execute {
                for one in batch {
                    one.id.withUnsafeBytes { id in one.body.withUnsafeBytes { router.deliver(id, one.sender, one.receiver, $0) } }
                }
            }
        }
    }

    private static func milliseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }
}
