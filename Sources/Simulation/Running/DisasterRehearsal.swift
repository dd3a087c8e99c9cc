import Cell
import Operator

/// A disaster rehearsed on a cell that somebody really has.
public struct DisasterRehearsal: Sendable {
    public var spec: CellSpec
    /// Connected clients in all.
    public var clients: Int
    /// Times count from when the cell has come to rest.
    public var faults: [Fault]
    /// How long the cell is watched in all, from rest; nil: until it is at rest again.
    public var hours: Double?
    /// Of servers, each year, in percent: those whose hardware fails.
    public var failures_percent = 0.0
    /// CPU time of the calling thread, to tell what the operators would use.
    public var cpu_us: (@Sendable () -> Int64)?

    public init(_ spec: CellSpec, clients: Int, faults: [Fault]) {
        self.spec = spec
        self.clients = clients
        self.faults = faults
    }

    public struct Result: Sendable, Codable {
        /// Lines of what happened, by time since rest.
        public var timeline: [String] = []
        public var clients = 0
        /// Of those whose partition had no server for a time.
        public var affectedClients = 0
        public var affectedPartitions = 0
        public var longestOutage_us: Int64 = 0
        /// From the first fault until the cell was as its spec says again; nil when it was not within ten minutes.
        public var recovery_us: Int64?
        public var publications = 0
        public var bytes = 0
        public var plannedMoves = 0
        public var failovers = 0
        /// Servers whose hardware failed by itself.
        public var hardwareFailures = 0
        public var plans = 0
        /// Real time that the operators' looking and planning took; 0 when it was not measured.
        public var operatorCPU_us: Int64 = 0
        public var violation: Violation?
    }

    public enum Problem: Error, Sendable, Equatable {
        /// The cell never comes to rest, and why.
        case restless(String)
        /// There is no such zone or server when the fault is to strike.
        case noSuch(String, there: [String])
    }

    public func run(seed: UInt64 = 1) throws(Problem) -> Result {
        let world = World(spec, operators: 1, clients: clients, seed: seed, recording: true)
        world.cpu_us = cpu_us
        // Nothing that is rehearsed concerns the log.
        world.isLogProbed = false
        if let problem = settle(world, within: 600_000_000) { throw .restless(problem) }
        try look(world)
        let begin_us = world.now_us
        let before = world.checks.figures
        let (plansBefore, cpuBefore_us) = (world.plans, world.operatorCPU_us)
        let end_us = begin_us + Int64((hours ?? 0) * 3_600_000_000)
        let failures = self.failures(from: begin_us, to: end_us, seed)
        world.timeline.begin()
        world.checks.service.beginCount()
        for failure in failures { world.schedule(failure) }
        for fault in faults { world.schedule(Fault(fault.kind, at_us: begin_us + fault.at_us, lasts_us: fault.lasts_us)) }
        world.run(until: begin_us + (faults.map(\.end_us).max() ?? 0) + 100_000)
        let problem = settle(world, within: 600_000_000)
        var result = Result()
        if problem == nil { result.recovery_us = world.now_us - begin_us - (faults.map(\.at_us).min() ?? 0) }
        world.run(until: end_us)
        result.hardwareFailures = failures.count
        result.plans = world.plans - plansBefore
        result.operatorCPU_us = world.operatorCPU_us - cpuBefore_us
        result.timeline = world.timeline.lines
        result.clients = clients
        result.affectedPartitions = world.checks.service.affected.count
        result.affectedClients = Int(world.clientsPerPartition * Double(result.affectedPartitions))
        result.longestOutage_us = world.checks.service.longest_us
        let after = world.checks.figures
        result.publications = after.publications - before.publications
        result.bytes = after.bytes - before.bytes
        result.plannedMoves = after.plannedMoves - before.plannedMoves
        result.failovers = after.failovers - before.failovers
        result.violation = world.checks.violation
        return result
    }

    /// Every server fails with the same likelihood at any time.
    private func failures(from begin_us: Int64, to end_us: Int64, _ seed: UInt64) -> [Fault] {
        var random = Seeded(seed ^ 0xfa11)
        let servers = spec.messaging.servers + spec.messaging.standbys
        let year_us = 365.25 * 86_400_000_000
        let likelihood = min(1, failures_percent / 100 * Double(end_us - begin_us) / year_us)
        return (0..<servers).compactMap { number in
            guard Double.random(in: 0..<1, using: &random) < likelihood else { return nil }
            return Fault(.kill(number), at_us: random.pick(begin_us...end_us))
        }
    }

    /// - Returns: why the cell has not come to rest.
    private func settle(_ world: World, within limit_us: Int64) -> String? {
        let end_us = world.now_us + limit_us
        var problem: String? = ""
        while problem != nil, world.now_us < end_us, world.checks.violation == nil {
            world.run(until: world.now_us + 100_000)
            problem = Rest.problem(world)
        }
        return problem
    }

    private func look(_ world: World) throws(Problem) {
        let living = world.substrate.living
        for fault in faults {
            switch fault.kind {
            case .killNamed(let id) where !living.contains { $0.life.id == id }:
                throw .noSuch("server \(id)", there: living.map(\.life.id.description))
            case .killZoneNamed(let zone) where !spec.zones.contains(zone): throw .noSuch("zone \(zone)", there: spec.zones)
            default: break
            }
        }
    }
}
