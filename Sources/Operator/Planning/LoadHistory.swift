import Cell

/// What an autoscaled cell's load asked for in the last while. Pure: it holds samples, and time is an argument.
///
///     wanted   ──────┐     ┌─┐
///                    └─────┘ └───────
///              ├── down ──┤            falls only to the highest of this window
///                  ├─ up ─┤            rises only to the lowest of this one
///
/// A window counts once it was watched as a whole: a new operator changes nothing before.
public struct LoadHistory: Equatable, Sendable {
    struct Sample: Equatable, Sendable {
        var at: Moment
        var wanted: Int
    }

    /// So many in the longer window; what lies between two is not looked at.
    static let samples = 600
    private(set) var samples: [Sample] = []

    public init() {}

    /// How many messaging servers `clients` and `messages` (a second) ask for, within the bounds.
    public static func wanted(_ scale: MessagingSpec.Autoscale, clients: Int, messages: Int) -> Int {
        func servers(_ amount: Int, _ target: Int?) -> Int { target.map { (amount + max(1, $0) - 1) / max(1, $0) } ?? 0 }
        let asked = max(servers(clients, scale.targetConnections), servers(messages, scale.targetMessagesPerSecond))
        return min(scale.max, max(scale.min, asked))
    }

    /// Takes in what servers report now. While the load is not known (nil), nothing is learned, and a window with a hole in it begins anew.
    public mutating func observe(_ load: (clients: Int, messages: Int)?, _ scale: MessagingSpec.Autoscale, now: Moment) {
        let step = Self.step(scale)
        if let last = samples.last {
            if now - last.at > step * 5 { samples = [] } else if now - last.at < step { return }
        }
        guard let load else { return }
        samples.append(Sample(at: now, wanted: Self.wanted(scale, clients: load.clients, messages: load.messages)))
        // One older than the longer window stays, to show that all of it was watched.
        let start = now - max(scale.up, scale.down)
        if let first = samples.lastIndex(where: { $0.at <= start }) { samples.removeFirst(first) }
    }

    /// Time in which nothing happens was skipped.
    mutating func putOff(by delay: Duration) { for index in samples.indices { samples[index].at = samples[index].at + delay } }

    /// How many servers there are to be when there are `current`.
    public func decision(_ scale: MessagingSpec.Autoscale, current: Int, now: Moment) -> Int {
        // Whoever scaled by hand beyond the bounds is answered once, not twice: with what the load asks for, where that is known.
        let current = min(scale.max, max(scale.min, current))
        if let lowest = extreme(scale.up, now, by: <), lowest > current { return lowest }
        if let highest = extreme(scale.down, now, by: >), highest < current { return highest }
        return current
    }

    /// Of the window, the first by `order`; nil before the window was watched as a whole.
    private func extreme(_ window: Duration, _ now: Moment, by order: (Int, Int) -> Bool) -> Int? {
        let start = now - window
        guard let first = samples.first, first.at <= start else { return nil }
        // The last one before the window tells how it began.
        let from = samples.lastIndex { $0.at <= start } ?? 0
        return samples[from...].map(\.wanted).min(by: order)
    }

    private static func step(_ scale: MessagingSpec.Autoscale) -> Duration {
        .milliseconds(max(1_000, max(scale.up, scale.down).milliseconds / Int64(samples)))
    }
}

extension ObservedCell {
    /// Clients and messages a second of all messaging servers; nil while one that owns partitions does not tell.
    package var load: (clients: Int, messages: Int)? {
        guard redisBack != nil else { return nil }
        var load = (clients: 0, messages: 0)
        for (id, member) in assignment.members where id.kind == .messaging {
            guard let report = reports[id], report.incarnation == member.incarnation else {
                if member.owns.isEmpty { continue }
                return nil
            }
            load.clients += report.connections
            load.messages += report.messagesPerSecond
        }
        return load
    }
}

extension CellSpec {
    /// As the autoscaler has it: with as many messaging servers as it decided.
    package func scaled(to servers: Int?) -> CellSpec {
        guard let scale = messaging.autoscale, let servers else { return self }
        var result = self
        result.messaging.servers = min(scale.max, max(scale.min, servers))
        result.messaging.standbys = min(messaging.standbys, result.messaging.servers)
        return result
    }
}
