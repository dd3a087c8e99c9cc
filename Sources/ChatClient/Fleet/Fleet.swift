import Cell
import Streams
import TLS

/// Many devices on one loop, who send each other messages at a rate and keep a ledger of what came of it.
public final class Fleet: @unchecked Sendable {
    // Everything mutable is touched on the loop's thread alone; `onLoop` brings callers there.

    public struct Size: Sendable {
        public var users = 100
        /// Of each user.
        public var devices = 1
        /// Messages a second, of all together.
        public var rate = 100
        public var bodyBytes = 40
        public var firstUser: UInt64 = 1
        public init() {}
    }

    let size: Size
    let loop: EventLoop
    private let connect: any ConnectService
    let tls: TLSContext?
    private let began = ContinuousClock.now
    private var generator: SplitMix64
    private(set) var devices: [Device] = []
    /// How many of `devices`, the first ones, have begun; and how many of these were opened once.
    private var begun = 0, arrived = 0
    /// Devices that begin side by side. All of 18,000 would share one thread here: each would have been given up before it came to its turn.
    private static let beginners = 500
    private var users: [UserID] = []
    public internal(set) var ledger = Ledger()
    /// From being due to being delivered on the receiver's first device.
    public internal(set) var deliveries = Latencies()
    /// From being due to the Ack.
    public internal(set) var acknowledgements = Latencies()
    private var dueAt: [MessageID: Duration] = [:]
    private var tokens: [Int: Duration] = [:]
    private var submitted = 0
    private var sendingUntil: Duration?
    private var sendingSince: Duration = .zero
    private var sentSince = 0
    /// When and where each device was opened.
    var openings: [[Opening]] = []
    /// Devices that must not come back, and why.
    public internal(set) var endings: [String] = []
    var history: HistoryClient?
    var filling: Set<Filling> = []
    public private(set) var moves = 0
    /// From being told to move to being open at the new server, of each move.
    public private(set) var gaps = Latencies()
    private var movingSince: [Int: Duration] = [:]

    struct Opening {
        let at: Duration, address: String
    }

    /// A gap that is being read from the history.
    struct Filling: Hashable {
        let device: Int, gap: HistoryGap
    }

    /// - Parameter tls: as `Device`'s.
    public init(_ size: Size, seed: UInt64, connect: any ConnectService, tls: TLSContext? = nil) throws {
        self.size = size
        self.tls = tls
        self.connect = connect
        generator = SplitMix64(seed)
        loop = try EventLoop(name: "fleet")
        loop.start()
    }

    /// Time since the fleet was made.
    public var now: Duration { .now - began }

    /// Makes the devices and opens their streams; returns when all are open.
    ///
    /// - Parameter progress: told how many are open, now and then.
    public func open(within limit: Duration = .seconds(60), progress: @Sendable (Int) -> Void = { _ in }) async throws {
        await onLoop { $0.enlist() }
        let deadline = now + limit
        while true {
            let open = await onLoop { fleet in fleet.devices.count { $0.machine.current != nil } }
            progress(open)
            if open == size.users * size.devices { return }
            if now > deadline { throw FleetError("only \(open) of \(size.users * size.devices) devices were opened within \(limit)") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Sends at the fleet's rate for `time`, without waiting for its end.
    public func send(for time: Duration) async {
        await onLoop { fleet in
            fleet.sendingSince = fleet.now
            fleet.sentSince = 0
            fleet.sendingUntil = fleet.now + time
        }
    }

    public func stopSending() async { await onLoop { $0.sendingUntil = nil } }

    /// Waits until every message that was sent is acknowledged or refused, and those that were accepted are delivered.
    ///
    /// - Returns: how long that took, at most `limit`.
    public func quiescence(within limit: Duration) async throws -> Duration {
        let began = now
        while now - began < limit {
            let isOver = await onLoop { fleet in
                fleet.deliveries.count >= fleet.acknowledgements.count && fleet.devices.allSatisfy { $0.machine.state.unacknowledged.isEmpty }
            }
            if isOver { break }
            try await Task.sleep(for: .milliseconds(5))
        }
        return now - began
    }

    /// Closes every stream, and ends the loop.
    public func stop() async {
        await onLoop { fleet in
            for device in fleet.devices { device.stop() }
            fleet.history?.close()
        }
        loop.stop()
    }

    /// Runs `work` on the loop's thread.
    public func onLoop<Result: Sendable>(_ work: @escaping @Sendable (Fleet) -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            loop.execute { continuation.resume(returning: work(self)) }
        }
    }

    // MARK: On the loop

    private func enlist() {
        for index in 0..<size.users {
            guard let user = UserID(size.firstUser + UInt64(index)) else { continue }
            users.append(user)
            for number in 0..<size.devices { enlist(number, of: user) }
        }
        beginMore()
        repeatEvery(.milliseconds(100)) { $0.devices.forEach { $0.tick() } }
        repeatEvery(.milliseconds(2)) { $0.sendWhatIsDue() }
    }

    private func enlist(_ number: Int, of user: UserID) {
        let index = devices.count
        let state = DeviceState(user: user, device: "device-\(number)", session: String(generator.next(), radix: 16))
        let device = Device(state, credentials: .user(user), seed: generator.next(), on: loop, connect: connect, tls: tls, since: began) {
            [weak self] device, action in
            self?.happened(action, on: index, device)
        }
        devices.append(device)
        openings.append([])
        ledger.enlist(index, of: user)
    }

    private func beginMore() {
        while begun < devices.count, begun - arrived < Self.beginners {
            begun += 1
            devices[begun - 1].start()
        }
    }

    private func repeatEvery(_ interval: Duration, _ work: @escaping (Fleet) -> Void) {
        _ = loop.schedule(after: interval) { [weak self] in
            guard let self else { return }
            work(self)
            self.repeatEvery(interval, work)
        }
    }

    private func sendWhatIsDue() {
        guard let until = sendingUntil, now < until else { return }
        let elapsed = Double((now - sendingSince).milliseconds)
        let due = Int(elapsed * Double(size.rate) / 1_000)
        while sentSince < due {
            sentSince += 1
            let receiver = Int.random(in: 1..<max(users.count, 2), using: &generator)
            let sender = Int.random(in: 0..<users.count, using: &generator)
            let device = devices[sender * size.devices + Int.random(in: 0..<size.devices, using: &generator)]
            submitted += 1
            tokens[submitted] = sendingSince + .milliseconds(sentSince * 1_000 / max(size.rate, 1))
            let body = (0..<size.bodyBytes).map { _ in UInt8.random(in: 97...122, using: &generator) }
            device.submit(submitted, to: users[(sender + receiver) % users.count], body: body)
        }
    }

    private func happened(_ action: DeviceAction, on index: Int, _ device: Device) {
        switch action {
        case .send(_, let send):
            guard let id = MessageID(bytes: send.id), let receiver = UserID(send.receiver), dueAt[id] == nil else { return }
            let token = device.machine.state.unacknowledged.first { $0.id == id }?.token ?? 0
            dueAt[id] = tokens.removeValue(forKey: token) ?? now
            ledger.sent(id, by: index, of: device.machine.state.user, to: receiver)
        case .acknowledged(_, let id):
            ledger.acknowledged(id)
            if let due = dueAt[id] { acknowledgements.add(now - due) }
        case .deliver(let message): delivered(message, on: index, device)
        case .refused(_, let id, _): ledger.refused(id)
        case .opened(_, let address):
            if openings[index].isEmpty { arrived += 1 }
            openings[index].append(Opening(at: now, address: address))
            beginMore()
            if let since = movingSince.removeValue(forKey: index) { gaps.add(now - since) }
        case .moved:
            moves += 1
            movingSince[index] = now
        case .ended(let code, let detail): endings.append("user \(device.machine.state.user): \(code) \(detail)")
        case .gap, .askConnect, .open, .drop: break
        }
    }

    private func delivered(_ message: Message, on index: Int, _ device: Device) {
        guard let log = device.machine.state.log, let id = MessageID(bytes: message.id) else { return }
        ledger.delivered(message, log: log, on: index)
        if message.receiver == device.machine.state.user.value, index % size.devices == 0, let due = dueAt[id] { deliveries.add(now - due) }
    }
}

public struct FleetError: Error, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
