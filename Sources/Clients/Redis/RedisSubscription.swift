import CLinux
import Glibc
import Synchronization
import Threads

/// Listens to channels of one Redis, and goes on listening: after every reconnect it subscribes again, name, AUTH and all.
///
/// Published messages are hints: whoever gets `subscribed` reads everything that the channels are about again. It ends with its last
/// reference, or with ``close()``.
public final class RedisSubscription: Sendable {
    public enum Event: Sendable, Equatable {
        /// All channels are heard from now on; what was published before may have been missed.
        case subscribed
        case message(channel: String, [UInt8])
        /// Nothing is heard any more; it comes again only when the reason changes. `subscribed` follows when it is mended.
        case lost(RedisError)
    }

    /// What happens, for one reader; ends when the subscription is closed.
    ///
    /// A reader that falls behind by more than 4,096 events loses some, and then gets `subscribed`.
    public let events: AsyncStream<Event>
    private let orders: SubscriptionOrders

    /// - Parameter patience: how long silence lasts until the connection counts as lost, also without a FIN; a PING asks at half of it.
    /// - Throws: ``RedisError`` with code `local` when the machine has no thread or descriptor left.
    public init(
        to channels: Set<String>, at address: RedisAddress, patience: Duration = .milliseconds(1600), options: RedisOptions = RedisOptions()
    ) throws(RedisError) {
        let (events, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingOldest(4096))
        do {
            let orders = try SubscriptionOrders(channels)
            try OwnThread.start("redis listen") {
                SubscriptionLoop(address, patience: patience, options: options, orders: orders, events: continuation).run()
            }
            self.events = events
            self.orders = orders
        } catch {
            throw RedisError(.local, "\(error)", at: address)
        }
    }

    deinit { close() }

    /// Listens to these channels instead; `subscribed` follows when there are new ones.
    public func listen(to channels: Set<String>) {
        orders.change { $0.channels = channels }
    }

    public func close() {
        orders.change { $0.isClosed = true }
    }
}

/// What the owner wants of a subscription's thread.
final class SubscriptionOrders: Sendable {
    struct Contents {
        var channels: Set<String>
        var isClosed = false
    }

    let bell: Doorbell
    private let contents: Mutex<Contents>

    init(_ channels: Set<String>) throws(ThreadError) {
        bell = try Doorbell()
        contents = Mutex(Contents(channels: channels))
    }

    func change(_ body: (inout Contents) -> Void) {
        contents.withLock { body(&$0) }
        bell.ring()
    }

    var current: Contents { contents.withLock { $0 } }
}

/// The body of a subscription's thread.
final class SubscriptionLoop {
    private let address: RedisAddress
    private let patience: Duration
    private let options: RedisOptions
    private let orders: SubscriptionOrders
    private let events: AsyncStream<RedisSubscription.Event>.Continuation
    private var lastLoss: RedisError.Code?
    private var missed = false

    init(
        _ address: RedisAddress, patience: Duration, options: RedisOptions, orders: SubscriptionOrders,
        events: AsyncStream<RedisSubscription.Event>.Continuation
    ) {
        self.address = address
        self.patience = patience
        self.options = options
        self.orders = orders
        self.events = events
    }

    func run() {
        var pause = options.retryAfter
        while !orders.current.isClosed {
            do {
                let connection = try RedisConnection.open(address, timeout: options.connectTimeout)
                try listen(on: connection) { pause = options.retryAfter }
            } catch {
                report(error)
                sleep(pause)
                pause = min(pause * 2, .seconds(1))
            }
        }
        events.finish()
    }

    /// Returns when the subscription is closed.
    private func listen(on connection: RedisConnection, whenSubscribed: () -> Void) throws(RedisError) {
        var state = SubscriptionState(orders.current.channels, at: address, patience: patience, now: .now)
        try perform(state.begin(), on: connection, whenSubscribed)
        while true {
            let ready = wait(for: connection, until: state.deadline)
            let wish = orders.current
            if wish.isClosed { return }
            try perform(state.want(wish.channels), on: connection, whenSubscribed)
            if ready {
                try connection.receive()
                while let value = try connection.nextReply(script: false) {
                    try perform(state.received(value, now: .now), on: connection, whenSubscribed)
                }
            }
            try perform(state.tick(.now), on: connection, whenSubscribed)
            if connection.hasUnsent { try connection.flush() }
            if missed { tell(.subscribed) }
        }
    }

    private func wait(for connection: RedisConnection, until deadline: ContinuousClock.Instant) -> Bool {
        var watched = [
            pollfd(fd: orders.bell.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: connection.descriptor, events: Int16(POLLIN | (connection.hasUnsent ? POLLOUT : 0)), revents: 0),
        ]
        let left = max(deadline - .now, .zero)
        poll(&watched, 2, (missed ? min(left, .milliseconds(100)) : left).pollMilliseconds)
        if watched[0].revents != 0 { orders.bell.quiet() }
        return watched[1].revents & ~Int16(POLLOUT) != 0
    }

    private func perform(_ actions: [SubscriptionState.Action], on connection: RedisConnection, _ whenSubscribed: () -> Void) throws(RedisError) {
        for action in actions {
            switch action {
            case .send(let commands): for command in commands { connection.append(command) }
            case .subscribed:
                lastLoss = nil
                whenSubscribed()
                tell(.subscribed)
            case .message(let channel, let bytes): tell(.message(channel: channel, bytes))
            case .fail(let error): throw error
            }
        }
    }

    private func report(_ error: RedisError) {
        guard lastLoss != error.code else { return }
        lastLoss = error.code
        tell(.lost(error))
    }

    private func tell(_ event: RedisSubscription.Event) {
        if case .dropped = events.yield(event) {
            missed = true
        } else if event == .subscribed {
            missed = false
        }
    }

    /// Sleeps with jitter, so that many who lost one Redis do not return together; ends early when the owner wants something.
    private func sleep(_ pause: Duration) {
        var bell = pollfd(fd: orders.bell.descriptor, events: Int16(POLLIN), revents: 0)
        poll(&bell, 1, (pause * Double.random(in: 0.5...1)).pollMilliseconds)
        if bell.revents != 0 { orders.bell.quiet() }
    }
}
