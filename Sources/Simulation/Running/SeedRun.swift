import Cell
import Operator

/// What a cell looks like before disaster strikes.
public struct Shape: Sendable {
    /// Of messaging, standbys included.
    public var servers = 12
    public var partitions = 360
    /// Virtual hours.
    public var hours = 1.0
    public init() {}

    /// The cell of `seed`: some have zones, some have one operator only, some no standby.
    func spec(_ seed: UInt64) -> CellSpec {
        let kafka = BackplaneSpec.Kafka(brokers: ["127.0.0.1:9092"], topic: "simulated-messages")
        var spec = CellSpec(
            name: CellName("simulated")!, partitions: partitions, backplane: .kafka(kafka), store: .sqlite, auth: .none, run: .process(RunSpec.Process()))
        let standbys = servers < 2 ? 0 : min(servers - 1, Int(seed % 4))
        spec.messaging.standbys = standbys
        spec.messaging.servers = servers - standbys
        spec.zones = seed % 2 == 0 ? ["a", "b", "c"] : []
        spec.moves.grace = .seconds(5)
        spec.rollout.batch = 3
        spec.rollout.readyWithin = .seconds(20)
        return spec
    }

    func operators(_ seed: UInt64) -> Int { seed % 3 == 0 ? 1 : 2 }
}

/// How one history went.
public struct Outcome: Sendable {
    public var seed: UInt64
    public var violation: Violation?
    public var figures: Figures
    /// The faults that struck.
    public var faults: [Fault]
    /// What happened; empty unless it was recorded.
    public var timeline: [String]
}

/// One seed's history, from birth to the last rest.
public struct SeedRun: Sendable {
    public let seed: UInt64
    public let shape: Shape
    let rules: Rules
    var episodes: [Episode]
    /// Each plan is made anew beside, and has to be the same.
    var plansTwice = false
    /// How long the cell may take to rest after each.
    var patience_us = Episode.patience_us

    public init(seed: UInt64, shape: Shape) { self.init(seed: seed, shape: shape, rules: .all) }

    package init(seed: UInt64, shape: Shape, rules: Rules) {
        self.seed = seed
        self.shape = shape
        self.rules = rules
        episodes = Episode.all(seed: seed, spec: shape.spec(seed), operators: shape.operators(seed), hours: shape.hours)
    }

    public func run(recording: Bool = false) -> Outcome {
        let spec = shape.spec(seed)
        let world = World(
            spec, operators: shape.operators(seed), clients: spec.messaging.servers * 20_000, seed: seed, rules: rules, recording: recording)
        world.plansTwice = plansTwice
        let end_us = Int64(shape.hours * 3_600_000_000)
        var struck: [Fault] = []
        rest(world, within: 40_000_000, isFirst: true)
        for episode in episodes where world.checks.violation == nil {
            stayAtRest(world, for: episode.quiet_us)
            guard world.now_us < end_us else { break }
            let begin_us = world.now_us
            for fault in episode.faults {
                let fault = Fault(fault.kind, at_us: begin_us + fault.at_us, lasts_us: fault.lasts_us)
                world.schedule(fault)
                struck.append(fault)
            }
            world.checks.watchMoves(episode.faults.count == 1 && episode.faults[0].kind.isByPeople)
            world.run(until: begin_us + episode.end_us)
            rest(world, within: patience_us, isFirst: false)
        }
        return outcome(world, struck)
    }

    private func outcome(_ world: World, _ struck: [Fault]) -> Outcome {
        var figures = world.checks.figures
        figures.longestOutage_us = world.checks.service.longest_us
        figures.longestUnexcused_us = world.checks.service.longestUnexcused_us
        figures.events = world.events
        figures.plans = world.plans
        let violation = world.checks.violation
        let struck = struck.filter { $0.at_us <= violation?.at_us ?? .max }
        return Outcome(seed: seed, violation: violation, figures: figures, faults: struck, timeline: world.timeline.lines)
    }

    private func rest(_ world: World, within patience_us: Int64, isFirst: Bool) {
        var end_us = world.now_us + patience_us
        var stopped_s = 0
        var problem: String?
        var calm = 0
        while world.checks.violation == nil, calm < 3 {
            if world.now_us >= end_us, let problem {
                return world.checks.fail("Rests", "\(patience_us / 1_000_000) s after everything was well again \(problem)", world)
            }
            world.run(until: world.now_us + 1_000_000)
            problem = Rest.problem(world)
            if world.isForgotten {
                world.timeline.add("nobody knows the cell any more, and people apply it again")
                world.applyAgain()
            }
            // A rollout that stopped because of a server that ended is for people to begin anew.
            let isStopped = world.leader?.lastPlan?.findings.contains { $0.reason == "RolloutStopped" } ?? false
            stopped_s = isStopped ? stopped_s + 1 : 0
            if stopped_s == 60 {
                world.timeline.add("people restart the rollout")
                world.ask(.restart)
                end_us += patience_us
            }
            calm = problem == nil ? calm + 1 : 0
        }
        if isFirst, let zones = Rest.zoneProblem(world) { world.checks.fail("Zones", zones, world) }
        world.timeline.add("at rest")
    }

    /// Nobody moves anything without a reason.
    private func stayAtRest(_ world: World, for time_us: Int64) {
        let publications = world.checks.figures.publications
        let watched_us = min(time_us, 8_000_000)
        world.run(until: world.now_us + watched_us)
        world.skip(time_us - watched_us)
        if world.checks.figures.publications != publications { world.checks.fail("StaysAtRest", "an assignment is published for no reason", world) }
    }
}

extension Timeline {
    var lines: [String] {
        entries.map { entry in
            let ms = (entry.time_us - zero_us) / 1_000
            let digits = String(ms % 1_000)
            return "\(ms / 1_000).\(String(repeating: "0", count: 3 - digits.count))\(digits) s  \(entry.text)"
        }
    }
}
