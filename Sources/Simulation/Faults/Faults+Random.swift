import Cell

/// A few faults that overlap, after a time of rest.
public struct Episode: Sendable, Equatable {
    /// How long the cell has been at rest when it begins; most of it is skipped.
    var quiet_us: Int64
    /// By time since the episode's begin.
    var faults: [Fault]
    /// When everything that lasts is over: from then on rest may be awaited.
    var end_us: Int64 { faults.map(\.end_us).max() ?? 0 }

    /// How long a cell may take to rest after that: everything may have died, and a tenth of the partitions moves at once.
    static let patience_us: Int64 = 300_000_000

    /// The disasters of `seed`, more than fit into `hours`.
    static func all(seed: UInt64, spec: CellSpec, operators: Int, hours: Double) -> [Episode] {
        var random = Seeded(seed ^ 0xd15a_57e5)
        var otherRandom = Seeded(seed ^ 0x1095)
        var heatRandom = Seeded(seed ^ 0x4ea7)
        return (0..<max(4, Int(hours * 40))).map { _ in
            if random.once(in: 6) { return Episode(quiet_us: random.pick(10_000_000...350_000_000), faults: [people(&random, at_us: 1_100_000, spec)]) }
            let count = random.once(in: 16) ? 8 : random.choose(1...4)
            var faults = (0..<count).map { _ in fault(&random, at_us: random.pick(1_100_000...15_000_000), spec, operators) }
            if otherRandom.once(in: 6) { faults.append(another(&otherRandom, operators)) }
            // Too short to move anything.
            if heatRandom.once(in: 4) {
                let heat = Fault.Kind.heat(partition: heatRandom.choose(0...999), times: heatRandom.choose(5...60))
                faults.append(Fault(heat, at_us: heatRandom.pick(1_100_000...15_000_000), lasts_us: heatRandom.pick(2_000_000...45_000_000)))
            }
            return Episode(quiet_us: random.pick(10_000_000...350_000_000), faults: faults.sorted { $0.at_us < $1.at_us })
        }
    }

    private static func fault(_ random: inout Seeded, at_us: Int64, _ spec: CellSpec, _ operators: Int) -> Fault {
        let number = random.choose(0...999)
        let short: Int64 = random.pick(200_000...6_000_000)
        let long: Int64 = random.pick(2_000_000...25_000_000)
        let which = random.choose(0...(operators - 1))
        let servers = spec.messaging.servers
        switch random.choose(0...52) {
        case 0...2: return Fault(.kill(number), at_us: at_us)
        case 3: return Fault(.killAny(number), at_us: at_us)
        case 4: return Fault(.killShare(random.choose(10...70)), at_us: at_us)
        case 5: return Fault(.killZone(number), at_us: at_us)
        case 6: return random.once(in: 2) ? Fault(.killEverything, at_us: at_us) : Fault(.reborn(number), at_us: at_us)
        case 7, 8: return Fault(.hang(number), at_us: at_us, lasts_us: long)
        case 9: return Fault(.hangShare(random.choose(20...100)), at_us: at_us, lasts_us: long)
        case 10: return Fault(.leaves(number), at_us: at_us)
        case 11: return Fault(.deaf(number), at_us: at_us, lasts_us: long)
        case 12: return Fault(.serverWithoutRedis(number), at_us: at_us, lasts_us: long)
        case 13: return Fault(.zoneWithoutRedis(number), at_us: at_us, lasts_us: long)
        case 14: return Fault(.allServersWithoutRedis, at_us: at_us, lasts_us: long)
        case 15: return Fault(.serverWithoutOperators(number), at_us: at_us, lasts_us: long)
        case 16: return Fault(.serverAlone(number), at_us: at_us, lasts_us: long)
        case 17: return Fault(.operatorWithoutRedis(which), at_us: at_us, lasts_us: long)
        case 18: return Fault(.operatorWithoutDriver(which), at_us: at_us, lasts_us: long)
        case 19: return Fault(.operatorDies(which, keepsFolder: true), at_us: at_us, lasts_us: random.pick(100_000...8_000_000))
        case 20: return Fault(.operatorDies(which, keepsFolder: random.once(in: 2)), at_us: at_us, lasts_us: short)
        case 21, 22: return Fault(.operatorHangs(which), at_us: at_us, lasts_us: random.pick(300_000...9_000_000))
        case 23, 24: return Fault(.redisAway(refuses: random.once(in: 2)), at_us: at_us, lasts_us: short)
        case 25: return Fault(.redisAway(refuses: random.once(in: 2)), at_us: at_us, lasts_us: long)
        case 26: return Fault(.redisLosesASecond, at_us: at_us, lasts_us: random.pick(10_000...900_000))
        case 27: return Fault(.redisLosesEverything, at_us: at_us, lasts_us: random.pick(10_000...900_000))
        case 28:
            let jumps: [Int64] = [-3_600_000, -10_000, -1_200, 700, 2_000, 60_000, 3_600_000]
            return Fault(.redisClock(jump_ms: jumps[random.choose(0...6)]), at_us: at_us, lasts_us: long)
        case 29: return Fault(.lostReplies, at_us: at_us, lasts_us: short)
        case 30: return Fault(.slowNetwork, at_us: at_us, lasts_us: long)
        case 31: return Fault(.notices(late: true), at_us: at_us, lasts_us: long)
        case 32: return Fault(.doubledNotices, at_us: at_us, lasts_us: long)
        case 33: return Fault(.lostNotices, at_us: at_us, lasts_us: long)
        case 34: return Fault(.slowBirths, at_us: at_us, lasts_us: long)
        case 35: return Fault(.noBirths, at_us: at_us, lasts_us: long)
        case 36: return Fault(.muteBirths, at_us: at_us, lasts_us: short)
        case 37: return Fault(.crashingBirths, at_us: at_us, lasts_us: long)
        case 38: return Fault(.youngDeaths, at_us: at_us, lasts_us: long)
        case 39: return Fault(.startsFail, at_us: at_us, lasts_us: long)
        case 40: return Fault(.slowWarming, at_us: at_us, lasts_us: long)
        case 41: return Fault(.kafkaAway, at_us: at_us, lasts_us: long)
        case 42: return Fault(.topicAnew, at_us: at_us, lasts_us: 12_000_000)
        case 43, 44: return Fault(.scale(servers: random.choose(max(1, servers / 2)...(servers + servers / 2))), at_us: at_us)
        case 46: return Fault(.operatorsWithoutServers(refuses: random.once(in: 2)), at_us: at_us, lasts_us: long)
        case 45: return Fault(.standbys(random.choose(0...min(3, servers))), at_us: at_us)
        case 47: return Fault(.failover(lease_ms: [900, 1_500, 3_000][random.choose(0...2)]), at_us: at_us)
        case 48: return Fault(.rolloutPaused, at_us: at_us, lasts_us: long)
        case 49: return Fault(.autoscale(random.once(in: 2)), at_us: at_us)
        case 50: return Fault(.load(percent: random.choose(40...180)), at_us: at_us)
        default: return people(&random, at_us: at_us, spec)
        }
    }

    /// Somebody is cut off from the log and from nothing else, or a name is given twice.
    private static func another(_ random: inout Seeded, _ operators: Int) -> Fault {
        let at_us = random.pick(1_100_000...15_000_000)
        let lasts_us = random.pick(3_000_000...60_000_000)
        let number = random.choose(0...999)
        switch random.choose(0...6) {
        case 0: return Fault(.zoneWithoutLog(number), at_us: at_us, lasts_us: lasts_us)
        case 1: return Fault(.operatorWithoutLog(number % operators), at_us: at_us, lasts_us: lasts_us)
        case 2: return Fault(.twin(number), at_us: at_us, lasts_us: lasts_us / 3)
        default: return Fault(.serverWithoutLog(number), at_us: at_us, lasts_us: lasts_us)
        }
    }

    private static func people(_ random: inout Seeded, at_us: Int64, _ spec: CellSpec) -> Fault {
        let number = random.choose(0...999)
        let servers = spec.messaging.servers
        switch random.choose(0...15) {
        case 0...3: return Fault(.scale(servers: random.choose(max(1, servers / 2)...(servers + servers / 2))), at_us: at_us)
        case 4: return Fault(.standbys(random.choose(0...min(3, servers))), at_us: at_us)
        case 5...7: return Fault(.drain(number), at_us: at_us)
        case 8: return Fault(.drainZone(number), at_us: at_us)
        case 9...10: return Fault(.moveByHand(number), at_us: at_us)
        case 11...13: return Fault(.takeBack, at_us: at_us)
        case 14: return Fault(.upgrade, at_us: at_us)
        default: return Fault(.restart, at_us: at_us)
        }
    }
}
