/// Which channels Redis has confirmed, and when it was last heard. Pure; time is an argument.
struct SubscriptionState {
    enum Action: Equatable {
        case send([RedisCommand])
        /// Every wanted channel is confirmed: whatever was published before may have been missed.
        case subscribed
        case message(channel: String, [UInt8])
        case fail(RedisError)
    }

    let patience: Duration
    let address: RedisAddress
    private var wanted: Set<String>
    private var confirmed: Set<String> = []
    private var announced = false
    private var heard: ContinuousClock.Instant
    private var asked: ContinuousClock.Instant?

    init(_ channels: Set<String>, at address: RedisAddress, patience: Duration, now: ContinuousClock.Instant) {
        self.address = address
        self.patience = patience
        wanted = channels
        heard = now
    }

    /// What to say first on a new connection.
    mutating func begin() -> [Action] {
        wanted.isEmpty ? complete() : [.send([command("SUBSCRIBE", wanted)])]
    }

    /// Wants other channels from now on. Confirmations come in the order of what was sent, so changes may cross them.
    mutating func want(_ channels: Set<String>) -> [Action] {
        let added = channels.subtracting(wanted)
        let removed = wanted.subtracting(channels)
        wanted = channels
        if !added.isEmpty { announced = false }
        let commands = [("SUBSCRIBE", added), ("UNSUBSCRIBE", removed)].filter { !$0.1.isEmpty }.map { command($0.0, $0.1) }
        return (commands.isEmpty ? [] : [.send(commands)]) + complete()
    }

    mutating func received(_ value: RedisValue, now: ContinuousClock.Instant) -> [Action] {
        heard = now
        asked = nil
        if case .error(let error) = value { return [.fail(error)] }
        guard let parts = value.array, let kind = parts.first?.string else {
            // Without any channel yet PING is answered by a status.
            return value == .status("PONG") ? [] : [.fail(garbled)]
        }
        switch (kind, parts.count) {
        case ("pong", 2): return []
        case ("message", 3):
            guard let channel = parts[1].string, let bytes = parts[2].bytes else { return [.fail(garbled)] }
            return wanted.contains(channel) ? [.message(channel: channel, bytes)] : []
        case ("subscribe", 3):
            guard let channel = parts[1].string else { return [.fail(garbled)] }
            confirmed.insert(channel)
            return complete()
        case ("unsubscribe", 3):
            confirmed.remove(parts[1].string ?? "")
            return []
        default: return [.fail(garbled)]
        }
    }

    /// Asks when nothing was heard for half the patience; gives up when that is not answered in the other half. It never gives up unasked: silence
    /// while this thread did not run says nothing about Redis.
    mutating func tick(_ now: ContinuousClock.Instant) -> [Action] {
        guard now >= deadline else { return [] }
        guard asked == nil else { return [.fail(RedisError(.timeout, "nothing heard for \(patience)", at: address))] }
        asked = now
        return [.send([RedisCommand("PING")])]
    }

    /// When ``tick(_:)`` has something to do next.
    var deadline: ContinuousClock.Instant { (asked ?? heard) + patience / 2 }

    private mutating func complete() -> [Action] {
        guard !announced, wanted.isSubset(of: confirmed) else { return [] }
        announced = true
        return [.subscribed]
    }

    private func command(_ name: String, _ channels: Set<String>) -> RedisCommand {
        RedisCommand(arguments: [name] + channels.sorted())
    }

    private var garbled: RedisError { RedisError(.garbled, "an answer that does not belong to a subscription", at: address) }
}
