import Cell
import Streams
import TLS

/// Visitors: each asks the connect server, opens a stream, sends a message, hears that it is accepted, and leaves. Every tenth leaves without a word
/// as soon as it has sent.
public final class Churn: @unchecked Sendable {
    // Everything mutable is touched on the loop's thread alone; `onLoop` brings callers there.

    public struct Size: Sendable {
        /// Visitors a second.
        public var rate = 100
        /// Who is there at most at the same time. Users come again after ten times as many.
        public var places = 200
        public var bodyBytes = 40
        public var firstUser: UInt64 = 1
        public init() {}
    }

    public struct Tally: Sendable {
        /// Visitors who were accepted or left on purpose.
        public var visits = 0
        /// Those who were given up after `patience`, or refused.
        public var failures = 0
        /// Visits that were due and found no place: the cell is slower than the rate.
        public var late = 0
        /// From coming to the Ack.
        public var times = Latencies()
    }

    private struct Visit {
        let device: Device, began: Duration, leavesEarly: Bool
    }

    /// A visitor who is not accepted for so long is given up.
    private static let patience = Duration.seconds(60)

    private let size: Size
    private let loop: EventLoop
    private let connect: any ConnectService
    private let tls: TLSContext?
    private let began = ContinuousClock.now
    private var generator: SplitMix64
    private var visits: [Int: Visit] = [:]
    private var free: [Int]
    private var started = 0
    private var isOver = false
    private var tally = Tally()

    public init(_ size: Size, seed: UInt64, connect: any ConnectService, tls: TLSContext? = nil) throws {
        self.size = size
        self.connect = connect
        self.tls = tls
        generator = SplitMix64(seed)
        free = Array((0..<size.places).reversed())
        loop = try EventLoop(name: "churn")
        loop.start()
    }

    /// Lets visitors come from now on.
    public func start() {
        loop.execute {
            self.repeatEvery(.milliseconds(10)) { $0.letIn() }
            self.repeatEvery(.milliseconds(100)) { $0.look() }
        }
    }

    public func soFar() async -> Tally {
        await withCheckedContinuation { continuation in
            loop.execute { continuation.resume(returning: self.tally) }
        }
    }

    /// Everybody leaves.
    public func stop() async {
        await withCheckedContinuation { continuation in
            loop.execute {
                self.isOver = true
                for visit in self.visits.values { visit.device.stop() }
                continuation.resume()
            }
        }
        loop.stop()
    }

    // MARK: On the loop

    private var now: Duration { .now - began }

    private func repeatEvery(_ interval: Duration, _ work: @escaping (Churn) -> Void) {
        _ = loop.schedule(after: interval) { [weak self] in
            guard let self, !self.isOver else { return }
            work(self)
            self.repeatEvery(interval, work)
        }
    }

    private func letIn() {
        let due = Int(now.milliseconds) * size.rate / 1_000
        while started + tally.late < due {
            if let place = free.popLast() { visit(place) } else { tally.late += 1 }
        }
    }

    private func visit(_ place: Int) {
        let round = UInt64(started / size.places % 10)
        started += 1
        let user = size.firstUser + round * UInt64(size.places) + UInt64(place)
        guard let user = UserID(user), let receiver = UserID(size.firstUser + UInt64.random(in: 0..<UInt64(size.places * 10), using: &generator)) else {
            return
        }
        let state = DeviceState(user: user, device: "churn", session: String(generator.next(), radix: 16))
        let device = Device(state, credentials: .user(user), seed: generator.next(), on: loop, connect: connect, tls: tls, since: began) {
            [weak self] device, action in
            self?.happened(action, at: place, device)
        }
        visits[place] = Visit(device: device, began: now, leavesEarly: started % 10 == 0)
        device.start()
        device.submit(started, to: receiver, body: [UInt8](repeating: 120, count: size.bodyBytes))
    }

    private func happened(_ action: DeviceAction, at place: Int, _ device: Device) {
        guard let visit = visits[place], visit.device === device else { return }
        switch action {
        case .send where visit.leavesEarly: leave(place, accepted: true)
        case .acknowledged:
            tally.times.add(now - visit.began)
            leave(place, accepted: true)
        case .refused, .ended: leave(place, accepted: false)
        default: break
        }
    }

    private func leave(_ place: Int, accepted: Bool) {
        guard let visit = visits.removeValue(forKey: place) else { return }
        if accepted { tally.visits += 1 } else { tally.failures += 1 }
        // Its device is in the middle of telling what happened.
        _ = loop.schedule(after: .zero) { [weak self] in
            visit.device.stop()
            self?.free.append(place)
        }
    }

    private func look() {
        for (place, visit) in visits.sorted(by: { $0.key < $1.key }) {
            visit.device.tick()
            if now - visit.began > Self.patience { leave(place, accepted: false) }
        }
    }
}
