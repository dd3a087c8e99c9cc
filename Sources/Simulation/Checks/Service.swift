import Cell
import Operator

/// Who is served, in truth: a partition is, while a server that runs obeys an assignment by which it owns it, and has read it.
struct Service {
    private var unservedSince: [Int64]
    /// How many servers serve each, and how many partitions none does.
    private var serverCounts: [Int32]
    private var unserved: Int
    /// What each server serves.
    private var served: [ServerLife: PartitionSet] = [:]
    private(set) var isWhole = false
    private(set) var nextSweep_us: Int64 = 0
    /// When something last kept the operator from acting, as far as is known.
    private var hindered_us: Int64 = 0
    /// When a server last read nothing of the log.
    private var silent_us: Int64 = -100_000_000
    private(set) var longest_us: Int64 = 0
    private(set) var longestUnexcused_us: Int64 = 0
    /// Partitions that were without service at some time since `beginCount`, and the longest.
    private(set) var affected: Set<Int32> = []

    init(partitions: Int) {
        unservedSince = Array(repeating: 0, count: partitions)
        serverCounts = Array(repeating: 0, count: partitions)
        unserved = partitions
    }

    mutating func beginCount() {
        affected = []
        longest_us = 0
    }

    /// Takes in what `servers` serve now.
    mutating func update(_ servers: [ServerModel], now_us: Int64) {
        var touched: [ClosedRange<Int32>] = []
        for server in servers {
            let before = served[server.life] ?? PartitionSet()
            let after = server.serves
            guard before != after else { continue }
            served[server.life] = after.isEmpty ? nil : after
            for (ranges, change) in [(after.subtracting(before).ranges, 1 as Int32), (before.subtracting(after).ranges, -1)] {
                touched += ranges
                for range in ranges { for place in range { count(Int(place), change) } }
            }
        }
        if !isWhole {
            isWhole = unserved == 0
        } else {
            // What went from one to the other at once was served all the time.
            for range in touched { for place in range { judge(Int(place), now_us) } }
        }
    }

    private mutating func count(_ place: Int, _ change: Int32) {
        if serverCounts[place] == 0 { unserved -= 1 }
        serverCounts[place] += change
        if serverCounts[place] == 0 { unserved += 1 }
    }

    private mutating func judge(_ place: Int, _ now_us: Int64) {
        if serverCounts[place] > 0 {
            if unservedSince[place] > 0 { end(place, now_us) }
            unservedSince[place] = 0
        } else if unservedSince[place] == 0 {
            unservedSince[place] = max(1, now_us)
            affected.insert(Int32(place))
        }
    }

    private mutating func end(_ place: Int, _ now_us: Int64) {
        longest_us = max(longest_us, now_us - unservedSince[place])
        longestUnexcused_us = max(longestUnexcused_us, now_us - max(unservedSince[place], hindered_us))
    }

    /// - Returns: what is wrong.
    mutating func sweep(_ world: World) -> String? {
        nextSweep_us = world.now_us + 500_000
        if isHindered(world) { hindered_us = world.now_us }
        guard isWhole, unserved > 0 else { return nil }
        guard let worst = unservedSince.indices.filter({ unservedSince[$0] > 0 }).min(by: { unservedSince[$0] < unservedSince[$1] }) else { return nil }
        let since_us = max(unservedSince[worst], hindered_us)
        // Silence is noticed by the next probe but one.
        if world.substrate.living.contains(where: { $0.cutsFromLog > 0 }) { silent_us = world.now_us }
        let isSilent = world.now_us - silent_us < 30_000_000
        let bound_us = world.spec.failover.lease.microseconds * 4 + (isSilent ? 35_000_000 : 10_000_000)
        guard world.now_us - since_us > bound_us else { return nil }
        return "nobody serves partition \(worst) and \(unserved - 1) others for \((world.now_us - since_us) / 1_000) ms, though nothing hinders the operator"
    }

    /// Only by somebody who reads it can be seen that what `server` owns can be read.
    private func isReadElsewhere(_ server: ServerModel, _ world: World) -> Bool {
        guard let owns = server.member?.owns, !owns.isEmpty else { return true }
        return world.substrate.living.contains { $0 !== server && $0.isReady && $0.reads && !$0.warm.isDisjoint(with: owns) }
    }

    private func isHindered(_ world: World) -> Bool {
        let climate = world.climate
        if !world.redisIsUp || climate.slowNetwork > 0 || climate.lostReplies > 0 || climate.slowWarming > 0 || climate.kafkaAway > 0 { return true }
        guard let leader = world.leader, leader.reachesRedis, leader.undecidedUntil == nil, leader.cutsFromLog == 0 else { return true }
        if leader.lastPlan?.findings.contains(where: { $0.reason == "Braked" }) == true { return true }
        var ready = false
        for server in world.substrate.living where server.life.id.kind == .messaging {
            if server.isWarming || server.cutsFromLog > 0 && !isReadElsewhere(server, world) { return true }
            if server.works, !server.reachesRedis || server.deaf > 0 || server.cutsFromOperators > 0 { return true }
            if server.isReady, world.now_us - server.readySince_us > 3_000_000 { ready = true }
        }
        return !ready
    }
}
