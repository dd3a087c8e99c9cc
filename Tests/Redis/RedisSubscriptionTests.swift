import Redis
import Support
import Synchronization
import Testing

/// What a subscription said, in order.
final class Heard: Sendable {
    private let events = Mutex<[RedisSubscription.Event]>([])
    let subscription: RedisSubscription

    init(_ subscription: RedisSubscription) {
        self.subscription = subscription
        // Ends with the subscription, when its stream does.
        Task { [weak self, events = subscription.events] in
            for await event in events { self?.note(event) }
        }
    }

    private func note(_ event: RedisSubscription.Event) { events.withLock { $0.append(event) } }

    var all: [RedisSubscription.Event] { events.withLock { $0 } }
    var subscribed: Int { all.count { $0 == .subscribed } }
    var messages: [String] {
        all.compactMap { if case .message(let channel, let bytes) = $0 { "\(channel) \(String(decoding: bytes, as: UTF8.self))" } else { nil } }
    }
    var losses: [RedisError.Code] { all.compactMap { if case .lost(let error) = $0 { error.code } else { nil } } }
}

/// What does not test patience itself has much of it.
private func listen(to channels: Set<String>, at address: RedisAddress) throws -> Heard {
    Heard(try RedisSubscription(to: channels, at: address, patience: .seconds(60), options: .patient))
}

@Suite("A subscription to a real Redis", .serialized)
struct RedisSubscriptionTests {
    @Test("messages arrive from when it is subscribed")
    func messages() async throws {
        let redis = try await RedisProcess()
        let heard = try listen(to: ["a", "b"], at: redis.address)
        let client = try redis.client()
        try await eventually("subscribed") { heard.subscribed == 1 }
        for number in 1...100 { try await client.command("PUBLISH", number % 2 == 0 ? "a" : "b", number) }
        try await eventually("100 messages") { heard.messages.count == 100 }
        #expect(heard.messages.first == "b 1")
        #expect(heard.messages.last == "a 100")
        #expect(heard.losses == [])
    }

    @Test("other channels can be wanted at any time")
    func listenTo() async throws {
        let redis = try await RedisProcess()
        let heard = try listen(to: [], at: redis.address)
        let client = try redis.client()
        try await eventually("subscribed to nothing") { heard.subscribed == 1 }
        for number in 1...50 { heard.subscription.listen(to: ["c\(number)", "c\(number + 1)"]) }
        try await eventually("the last two only") {
            let count = try await client.command("PUBSUB", "CHANNELS").array?.compactMap(\.string)
            return count.map(Set.init) == ["c50", "c51"] && heard.subscribed > 1
        }
        try await client.command("PUBLISH", "c51", "x")
        try await eventually("the message") { heard.messages == ["c51 x"] }
        heard.subscription.listen(to: [])
        try await eventually("nobody listens") { try await client.command("PUBSUB", "CHANNELS").array?.isEmpty == true }
        heard.subscription.listen(to: ["d"])
        try await eventually("one listens") { try await client.command("PUBSUB", "NUMSUB", "d").pairs?.first?.value.integer == 1 }
    }

    @Test("connections killed again and again leave nobody deaf")
    func killed() async throws {
        let redis = try await RedisProcess()
        let heard = try (0..<10).map { _ in try listen(to: ["c"], at: redis.address) }
        let client = try redis.client()
        for round in 1...5 {
            try await eventually("all are subscribed") { heard.allSatisfy { $0.subscribed >= round } }
            try await client.command("CLIENT", "KILL", "TYPE", "pubsub")
        }
        try await eventually("all listen") { try await client.command("PUBSUB", "NUMSUB", "c").pairs?.first?.value.integer == 10 }
        try await client.command("PUBLISH", "c", "x")
        try await eventually("all hear") { heard.allSatisfy { $0.messages == ["c x"] } }
        #expect(heard.allSatisfy { $0.losses.allSatisfy { $0 == .lost } && $0.losses.count == 5 })
    }

    @Test("a Redis that is killed and started again is listened to again")
    func restart() async throws {
        let redis = try await RedisProcess()
        let heard = try listen(to: ["c"], at: redis.address)
        try await eventually("subscribed") { heard.subscribed == 1 }
        try await redis.kill()
        try await eventually("lost") { heard.losses.first == .lost && heard.losses.last == .refused }
        try await redis.start()
        try await eventually("subscribed again") { heard.subscribed == 2 }
    }

    @Test("a dead connection without a FIN is noticed", arguments: [TCPProxy.Fault.hole, .deafHole])
    func halfOpen(_ fault: TCPProxy.Fault) async throws {
        let redis = try await RedisProcess()
        let proxy = try TCPProxy(to: redis.port)
        let heard = Heard(try RedisSubscription(to: ["c"], at: RedisAddress(host: "127.0.0.1", port: proxy.port)))
        try await eventually("subscribed") { heard.all.last == .subscribed }
        proxy.fault(fault)
        let took = try await eventually("lost") { heard.losses.last == .timeout && heard.all.last != .subscribed }
        // About 1.7 s on a quiet machine; that it is 1.6 s by the thread's own clock is for the state machine's test.
        #expect(took < .seconds(10))
        proxy.fault(.none)
        try await eventually("subscribed again") { heard.all.last == .subscribed }
    }

    @Test("a quiet but healthy connection is kept")
    func quiet() async throws {
        let redis = try await RedisProcess()
        let heard = Heard(try RedisSubscription(to: ["c"], at: redis.address, patience: .seconds(6), options: .patient))
        let client = try redis.client()
        try await eventually("subscribed") { heard.subscribed == 1 }
        try await client.command("CONFIG", "RESETSTAT")
        try await eventually("two PINGs") {
            let stats = try await client.command("INFO", "commandstats").string ?? ""
            let calls = stats.split(separator: "cmdstat_ping:calls=").dropFirst().first?.prefix { $0.isNumber }
            return calls.flatMap { Int($0) } ?? 0 >= 2
        }
        #expect(heard.all == [.subscribed])
    }

    @Test("a user without channels is told so, and listens once it may")
    func permission() async throws {
        let redis = try await RedisProcess(password: "admin")
        let admin = try redis.client()
        try await admin.command("ACL", "SETUSER", "cell", "on", ">pw", "~*", "resetchannels", "+@all")
        var address = redis.address
        (address.user, address.password) = ("cell", "pw")
        let heard = try listen(to: ["c"], at: address)
        try await eventually("NOPERM") { heard.losses == [.noPerm] }
        try await admin.command("ACL", "SETUSER", "cell", "&*")
        try await eventually("subscribed") { heard.subscribed == 1 }
        try await admin.command("ACL", "SETUSER", "cell", "resetpass", ">other")
        try await admin.command("CLIENT", "KILL", "TYPE", "pubsub")
        try await eventually("WRONGPASS") { heard.losses.last == .wrongPass }
        try await admin.command("ACL", "SETUSER", "cell", ">pw")
        try await eventually("subscribed again") { heard.subscribed == 2 }
    }

    @Test("who goes away leaves nothing behind")
    func ends() async throws {
        let redis = try await RedisProcess()
        let client = try redis.client()
        var subscription: RedisSubscription? = try RedisSubscription(to: ["c"], at: redis.address, patience: .seconds(60), options: .patient)
        var events = subscription?.events.makeAsyncIterator()
        #expect(await events?.next() == .subscribed)
        subscription = nil
        #expect(await events?.next() == nil)
        try await eventually("nobody listens") { try await client.command("PUBSUB", "NUMSUB", "c").pairs?.first?.value.integer == 0 }
    }
}
