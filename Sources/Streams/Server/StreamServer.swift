import CLinux
import Dispatch
import Glibc
import Synchronization
import TLS

/// A gRPC server on several loops: one socket listens, connections are dealt to the loops in turn.
public final class StreamServer: @unchecked Sendable {
    // Why @unchecked: each shard is used on its loop's thread only; the rest is immutable or synchronised.
    private let configuration: ServerConfiguration
    private let loops: [EventLoop]
    private let shards: [ServerShard]
    private let open: OpenCount
    private let turn = Atomic<Int>(0)
    private let turnedAway = Atomic<Int>(0)
    // Touched on the first loop's thread only.
    private nonisolated(unsafe) var acceptor: Acceptor?
    private nonisolated(unsafe) var trimPace = TrimPace()
    private let trims = Atomic<Int>(0)
    private let trimTime_ns = Atomic<Int64>(0)

    /// - Parameters:
    ///   - loops: at least one; who made them starts and stops them. They may serve others too.
    ///   - service: makes the service of each loop, here and now: before the loop starts, if it calls the loop.
    public init(configuration: ServerConfiguration, loops: [EventLoop], service: (EventLoop) -> any GRPCService) {
        precondition(!loops.isEmpty, "a server needs a loop")
        let open = OpenCount()
        self.configuration = configuration
        self.loops = loops
        self.open = open
        shards = loops.map { ServerShard(loop: $0, service: service($0), configuration: configuration, closed: { open.count.subtract(1, ordering: .relaxed) }) }
    }

    /// Listens.
    /// - Parameter port: 0 takes a free one.
    /// - Returns: the port.
    /// - Throws: `addressTaken`, `unresolved`, `system`.
    @discardableResult
    public func start(host: String, port: UInt16) throws(StreamError) -> UInt16 {
        let (descriptor, chosen) = try Socket.listen(host: host, port: port)
        for shard in shards {
            // The shard goes to its loop's thread, where it stays.
            nonisolated(unsafe) let shard = shard
            shard.loop.execute { shard.begin() }
        }
        let first = loops[0]
        first.execute { [self] in
            let acceptor = Acceptor(descriptor: descriptor) { [unowned self] in deal($0) }
            self.acceptor = acceptor
            first.watch(acceptor)
            watchCertificate(on: first)
            watchMemory(on: first)
        }
        return chosen
    }

    /// Stops listening and leaves politely: GOAWAY with the largest id, a ping, the final GOAWAY; streams go on until they end by themselves or
    /// `grace` has passed, then end with UNAVAILABLE. `done` is called on one of the loops when the last connection is gone.
    public func drain(grace: Duration, done: @escaping @Sendable () -> Void) {
        let left = OpenCount(shards.count)
        loops[0].execute { [self] in acceptor?.close() }
        for index in shards.indices {
            loops[index].execute { [self] in
                shards[index].drain(grace: grace) {
                    if left.count.subtract(1, ordering: .relaxed).newValue == 0 { done() }
                }
            }
        }
    }

    /// Stops listening and ends every connection: its streams with UNAVAILABLE, then GOAWAY. Returns when the loops have done so; not to be
    /// called on one of them. The loops go on.
    public func stop() {
        let finished = DispatchSemaphore(value: 0)
        for index in shards.indices {
            loops[index].execute { [self] in
                if index == 0 { acceptor?.close() }
                shards[index].stop()
                finished.signal()
            }
        }
        // A loop that was stopped before never runs this: it has closed everything itself.
        for index in shards.indices where loops[index].isRunning { _ = finished.wait(timeout: .now() + 5) }
    }

    /// Of all loops; as of the end of their last tick.
    public var counters: StreamCounters {
        var sum = shards.map(\.tally.published).reduce(StreamCounters(), +)
        sum.turnedAway += turnedAway.load(ordering: .relaxed)
        sum.trims += trims.load(ordering: .relaxed)
        sum.trimTime_ns += Int(trimTime_ns.load(ordering: .relaxed))
        return sum
    }

    // MARK: accepting, on the first loop

    private func deal(_ batch: [Int32]) {
        var shares = [[Int32]](repeating: [], count: shards.count)
        for descriptor in batch {
            guard descriptor >= 0, open.count.load(ordering: .relaxed) < configuration.maximumConnections else {
                if descriptor >= 0 { Glibc.close(descriptor) }
                turnedAway.add(1, ordering: .relaxed)
                continue
            }
            open.count.add(1, ordering: .relaxed)
            shares[turn.add(1, ordering: .relaxed).oldValue % shards.count].append(descriptor)
        }
        for (index, share) in shares.enumerated() where !share.isEmpty {
            if index == 0 {
                shards[0].take(share)
            } else {
                loops[index].execute { [self] in shards[index].take(share) }
            }
        }
    }

    /// A certificate that cannot be loaded leaves the old one in use; it is tried again.
    private func watchCertificate(on loop: EventLoop) {
        guard let tls = configuration.tls else { return }
        _ = loop.schedule(after: configuration.certificateCheck) { [weak self] in
            _ = try? tls.reloadIfChanged()
            self?.watchCertificate(on: loop)
        }
    }

    /// Trims on a thread that is not a loop's, for as long as this server is there.
    private func watchMemory(on loop: EventLoop) {
        _ = loop.schedule(after: TrimPace.interval) { [weak self] in
            guard let self else { return }
            let now = counters
            let turnover = 2 * now.accepted - now.openConnections
            guard trimPace.isDue(turnover: turnover, streams: now.begun, open: now.openConnections) else { return watchMemory(on: loop) }
            DispatchQueue.global(qos: .utility).async { [weak self] in
                let start = Moment.now()
                malloc_trim(0)
                self?.trims.add(1, ordering: .relaxed)
                self?.trimTime_ns.add(Moment.now().nanoseconds - start.nanoseconds, ordering: .relaxed)
                loop.execute { [weak self] in self?.watchMemory(on: loop) }
            }
        }
    }
}

/// A number that several threads change.
final class OpenCount: Sendable {
    let count: Atomic<Int>
    init(_ start: Int = 0) { count = Atomic(start) }
}
