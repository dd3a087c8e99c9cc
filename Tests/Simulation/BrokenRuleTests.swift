import Cell
import Operator
import Testing

@testable import Simulation

/// What each of the planner's rules is for: a short history that goes wrong without it, and well with it.
@Suite("Broken rules")
struct BrokenRuleTests {
    @Test("a planner that breaks one of its rules is caught", arguments: Rule.allCases)
    func caught(_ rule: Rule) {
        let story = Story(rule)
        let violation = story.run(Rules.all.without(rule)).violation
        #expect(violation != nil, "without \(rule.rawValue) nothing is noticed:\n\(story.run(Rules.all.without(rule)).timeline.joined(separator: "\n"))")
        if let violation { #expect(story.invariants.contains(violation.invariant), "\(violation.invariant): \(violation.text)") }
    }

    @Test("the same histories go well when every rule holds", arguments: Rule.allCases)
    func well(_ rule: Rule) {
        let violation = Story(rule).run(.all).violation
        #expect(violation == nil, "\(violation?.invariant ?? ""): \(violation?.text ?? "")")
    }
}

/// A few servers, and what befalls them after a time of rest.
private struct Story {
    /// Which of the checks are to notice.
    var invariants: Set<String>
    var start: Start
    var faults: [Fault] = []
    var patience_us: Int64 = 100_000_000
    var servers = 6
    /// How long the cell has been at rest before.
    var quiet_us: Int64 = 20_000_000

    /// Of six messaging servers; the seed says the rest.
    enum Start: UInt64 {
        /// Five owners and a standby, two operators.
        case plain = 1
        /// Four owners and two standbys in three zones, two operators.
        case zones = 2
        /// Six owners in three zones, two operators.
        case noStandby = 4
    }

    func run(_ rules: Rules) -> Outcome {
        var shape = Shape()
        shape.servers = servers
        shape.partitions = 60
        var run = SeedRun(seed: start.rawValue, shape: shape, rules: rules)
        run.episodes = faults.isEmpty ? [] : [Episode(quiet_us: quiet_us, faults: faults.sorted { $0.at_us < $1.at_us })]
        run.patience_us = patience_us
        return run.run(recording: true)
    }
}

/// `kind` strikes `at_ms` after the episode's begin.
private func fault(_ kind: Fault.Kind, at_ms: Int64, lasts_ms: Int64 = 0) -> Fault { Fault(kind, at_us: at_ms * 1_000, lasts_us: lasts_ms * 1_000) }

extension Story {
    init(_ rule: Rule) {
        switch rule {
        case .secondSign: self.init(invariants: ["LivingIsNotDead"], start: .plain, faults: Self.each(Fault.Kind.serverWithoutRedis, lasts_ms: 8_000))
        case .probes: self.init(invariants: ["Served"], start: .plain, faults: Self.each(Fault.Kind.hang, lasts_ms: 40_000))
        case .leasesSettle:
            self.init(
                invariants: ["LivingIsNotDead"], start: .plain,
                faults: [
                    fault(.operatorsWithoutServers(refuses: true), at_ms: 2_000, lasts_ms: 20_000),
                    fault(.redisAway(refuses: true), at_ms: 4_000, lasts_ms: 4_000),
                ],
                // So many that the brake lets some of them through that own something.
                servers: 24)
        case .renewedLives: self.init(invariants: ["Rests"], start: .plain, faults: Self.each(Fault.Kind.seemsShut))
        case .brake: self.init(invariants: ["Braked"], start: .plain, faults: [fault(.hangShare(100), at_ms: 2_000, lasts_ms: 8_000)])
        case .incarnations: self.init(invariants: ["Served"], start: .plain, faults: Self.each(Fault.Kind.reborn))
        case .namesakes: self.init(invariants: ["LivingIsNotDead"], start: .plain, faults: Self.each(Fault.Kind.twin, lasts_ms: 5_000))
        case .repairAlone:
            self.init(
                invariants: ["RepairAlone"], start: .noStandby,
                faults: [fault(.slowWarming, at_ms: 1_500, lasts_ms: 20_000), fault(.scale(servers: 8), at_ms: 2_000), fault(.kill(0), at_ms: 6_000)])
        case .oneHeir: self.init(invariants: ["OneHeir"], start: .plain, faults: Self.each(Fault.Kind.kill))
        case .warmFirst: self.init(invariants: ["WarmFirst"], start: .noStandby, faults: Self.grows)
        case .applied:
            // Standbys become owners of what they shadowed, and have not heard of it yet.
            self.init(
                invariants: ["WarmFirst"], start: .zones,
                faults: (0..<9).map { fault(.deaf($0), at_ms: 1_500, lasts_ms: 12_000) }
                    + [fault(.scale(servers: 6), at_ms: 2_000), fault(.standbys(0), at_ms: 2_000)])
        case .cutOffKeeps:
            self.init(
                invariants: ["Told"], start: .noStandby,
                faults: [
                    fault(.slowWarming, at_ms: 1_500, lasts_ms: 25_000), fault(.scale(servers: 8), at_ms: 2_000),
                    fault(.serverWithoutRedis(0), at_ms: 5_000, lasts_ms: 25_000), fault(.serverWithoutRedis(1), at_ms: 5_000, lasts_ms: 25_000),
                    fault(.serverWithoutRedis(2), at_ms: 5_000, lasts_ms: 25_000),
                ])
        case .moveCap: self.init(invariants: ["MovesCapped"], start: .noStandby, faults: [fault(.scale(servers: 12), at_ms: 2_000)])
        case .balance: self.init(invariants: ["Rests"], start: .noStandby, faults: Self.grows)
        case .relief:
            self.init(
                invariants: ["Rests"], start: .noStandby, faults: [fault(.heat(partition: 0, times: 6), at_ms: 2_000)], patience_us: 200_000_000,
                quiet_us: 700_000_000)
        case .patience:
            self.init(
                invariants: ["LoadLasts"], start: .noStandby, faults: [fault(.heat(partition: 0, times: 6), at_ms: 2_000, lasts_ms: 40_000)],
                quiet_us: 700_000_000)
        case .leaveGrace: self.init(invariants: ["Grace"], start: .noStandby, faults: Self.grows)
        case .leaveEnds: self.init(invariants: ["Rests"], start: .noStandby, faults: Self.grows)
        case .drainFirst: self.init(invariants: ["LivingIsNotDead", "DrainedFirst"], start: .noStandby, faults: Self.shrinks)
        case .joins, .unowned, .starts: self.init(invariants: ["Rests"], start: .plain)
        case .settles: self.init(invariants: ["NoNeedlessMove"], start: .noStandby)
        case .shadows: self.init(invariants: ["Rests"], start: .zones)
        case .stops: self.init(invariants: ["Rests"], start: .noStandby, faults: Self.shrinks)
        case .newNames: self.init(invariants: ["NamesOnce"], start: .plain, faults: [fault(.kill(3), at_ms: 2_000)])
        case .zones: self.init(invariants: ["Zones"], start: .zones)
        case .crashLoop:
            self.init(
                invariants: ["StartsCalmly"], start: .plain,
                faults: [fault(.crashingBirths, at_ms: 2_000, lasts_ms: 30_000), fault(.killEverything, at_ms: 3_000)])
        case .killsHung: self.init(invariants: ["Rests"], start: .plain, faults: Self.each(Fault.Kind.hang))
        case .killsMute:
            self.init(invariants: ["Rests"], start: .plain, faults: [fault(.muteBirths, at_ms: 2_000, lasts_ms: 6_000), fault(.kill(1), at_ms: 2_500)])
        case .stuck: self.init(invariants: ["Served"], start: .plain, faults: Self.each(Fault.Kind.serverWithoutLog, lasts_ms: 90_000))
        case .forgets: self.init(invariants: ["Rests"], start: .plain, faults: Self.each(Fault.Kind.kill))
        }
    }

    /// Two messaging servers, ten seconds apart: one of them at least is an owner.
    private static func each(_ kind: (Int) -> Fault.Kind, lasts_ms: Int64 = 0) -> [Fault] {
        [fault(kind(0), at_ms: 2_000, lasts_ms: lasts_ms), fault(kind(3), at_ms: 12_000, lasts_ms: lasts_ms)]
    }

    /// Two owners more, and two fewer.
    private static var grows: [Fault] { [fault(.scale(servers: 8), at_ms: 2_000)] }
    private static var shrinks: [Fault] { [fault(.scale(servers: 4), at_ms: 2_000)] }
}
