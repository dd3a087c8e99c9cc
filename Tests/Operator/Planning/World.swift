import Cell
import Testing

@testable import Operator

/// A small cell on a virtual clock, with servers that do what plans ask for: what a plan leads to, without anything real.
struct World {
    struct Server {
        var life: ServerLife
        var zone: String
        var started: Moment
        /// Never when nil.
        var readyAt: Moment?
        var hangs = false
        var cutOff = false
        var stopping = false
        var applied = Assignment()
        var warmFrom: [ServerID: Moment] = [:]
    }

    var spec: CellSpec
    var observed = ObservedCell()
    var now = Moment(milliseconds: 1_000_000)
    var servers: [ServerID: Server] = [:]
    var random: Seeded
    /// How long a server takes to be ready; nil: never.
    var birth: Duration? = .milliseconds(200)
    var epochs: [Assignment] = []
    var notes: [Note] = []
    var born = 0
    /// Streams and messages a second by partition, as their owners tell; nil: nobody tells.
    var loads: [(streams: Int, messages: Int)]?
    /// Asked beside the plain function at every pass.
    var planner = RestingPlanner()

    init(_ spec: CellSpec, seed: UInt64 = 1) {
        self.spec = spec
        random = Seeded(seed)
        observed.since = now
        observed.redisBack = now
        observed.log = .intact
        observed.generation = 1
    }

    static func spec(servers: Int = 2, standbys: Int = 1, partitions: Int = 720, change: (inout CellSpec) -> Void = { _ in }) -> CellSpec {
        let kafka = BackplaneSpec.Kafka(brokers: ["127.0.0.1:9092"], topic: "eu-1-messages")
        var spec = CellSpec(
            name: CellName("eu-1")!, partitions: partitions, backplane: .kafka(kafka), store: .sqlite, auth: .none, run: .process(RunSpec.Process()))
        spec.messaging.servers = servers
        spec.messaging.standbys = standbys
        change(&spec)
        return spec
    }

    var assignment: Assignment { observed.assignment }
    var messaging: [(id: ServerID, member: Member)] { assignment.members(of: .messaging) }
    var owners: [(id: ServerID, member: Member)] { messaging.filter { !$0.member.owns.isEmpty } }

    // MARK: Faults

    mutating func kill(_ id: ServerID, reason: String = "signal 9") {
        guard let server = servers.removeValue(forKey: id) else { return }
        let exit = RunningServer(server.life, state: .exited(at: now, reason: reason), started: server.started, zone: server.zone)
        let old = observed.servers?.first { $0.life == server.life }
        observed.servers?.removeAll { $0.life == server.life }
        observed.servers?.append(exit)
        let wasReady = observed.readySince[server.life] != nil
        observed.exits.append(
            ServerExit(
                server.life, started: server.started, at: now, wasReady: wasReady, asked: server.stopping, reason: reason,
                template: old?.template ?? ""))
    }

    // MARK: Time

    /// Lets servers do what they do by now, and looks at them as an operator would.
    mutating func look() {
        observed.leasesRead = now
        for (id, var server) in servers.sorted(by: { $0.key < $1.key }) {
            if server.stopping {
                kill(id, reason: "exit code 0")
                continue
            }
            guard !server.hangs, !server.cutOff, let readyAt = server.readyAt else { continue }
            server.applied = observed.assignment
            servers[id] = server
            observed.leases[server.life] = now + spec.failover.lease
            var report = Report(incarnation: server.life.incarnation, zone: server.zone, pid: 1, build: "test")
            report.state = readyAt <= now ? .ready : .starting
            report.address = readyAt <= now ? "127.0.0.1:\(10_000 + id.number)" : ""
            report.http = "127.0.0.1:\(20_000 + id.number)"
            report.generation = observed.generation
            report.epoch = server.applied.epoch
            report.log = server.applied.log
            if let member = server.applied.members[id], member.incarnation == server.life.incarnation {
                report.warm = member.owns.union(member.opens)
                report.left = member.leaves
                report.loads = loads.map { loads in
                    PartitionLoads(member.owns.map { .init($0, streams: loads[Int($0.number)].streams, messages: loads[Int($0.number)].messages) })
                }
            }
            if report.state == .ready, observed.readySince[server.life] == nil { observed.readySince[server.life] = now }
            observed.reports[id] = report
        }
        observed.weigh(spec, now: now)
    }

    /// One pass: plan, and do it. Returns the plan.
    @discardableResult
    mutating func pass() -> Plan {
        let result = plan(for: spec, observed: observed, now: now)
        #expect(planner.plan(for: spec, observed: observed, now: now) == result, "what is known of a cell at rest still holds")
        for step in result.steps { carryOut(step) }
        return result
    }

    mutating func carryOut(_ step: Step) {
        switch step {
        case .publish(let publication): publish(publication)
        case .makeTopic: observed.log = .intact
        case .start(let order): start(order)
        case .stop(let life, _):
            guard servers[life.id]?.life == life else { return }
            servers[life.id]?.stopping = true
            mark(life, .stopping)
        case .kill(let life, _): if servers[life.id]?.life == life { kill(life.id, reason: "killed") }
        case .probe(let life, _):
            let server = servers[life.id].flatMap { $0.life == life ? $0 : nil }
            observed.probes[life] = HealthProbe(began: now, result: server.map { !$0.hangs } ?? false ? .answered : .failed)
        case .forget(let life):
            observed.servers?.removeAll { $0.life == life && $0.isGone }
            observed.leases[life] = nil
            if observed.reports[life.id]?.incarnation == life.incarnation { observed.reports[life.id] = nil }
        case .removeCell: break
        }
    }

    private mutating func publish(_ publication: Publication) {
        let old = observed.assignment
        let epoch = old.epoch.next
        let log = publication.startsLog ? LogID(UUIDv7(time_ms: epoch.value, using: &random)) : old.log
        observed.assignment = Assignment(epoch: epoch, term: Term(1), log: log, members: publication.members)
        for (id, member) in publication.members where old.members[id] != member { observed.changes[id] = .init(epoch: epoch, at: now) }
        for _ in 0..<publication.leaseRepairs { observed.leaseRepairs.append(now) }
        observed.loadWatch.note(observed.assignment, now: now)
        if publication.startsLog, observed.log == .renewed { observed.log = .intact }
        epochs.append(observed.assignment)
        notes += publication.notes
    }

    private mutating func start(_ order: StartOrder) {
        born += 1
        let life = ServerLife(order.id, Incarnation.random(using: &random))
        servers[order.id] = Server(life: life, zone: order.zone, started: now, readyAt: birth.map { now + $0 })
        var running = RunningServer(life, started: now, zone: order.zone, port: order.port)
        running.template = spec.template(restarts: observed.wishes.restarts)
        observed.servers?.append(running)
    }

    private mutating func mark(_ life: ServerLife, _ state: RunningServer.State) {
        guard let index = observed.servers?.firstIndex(where: { $0.life == life }) else { return }
        observed.servers?[index].state = state
    }

    /// Passes, a heartbeat apart, until nothing is left to do. False when there is no rest within `limit`.
    @discardableResult
    mutating func settle(within limit: Duration = .seconds(120), each: ((World) -> Void)? = nil) -> Bool {
        let end = now + limit
        while now < end {
            look()
            var quiet = true
            for _ in 0..<50 {
                let result = pass()
                each?(self)
                if result.steps.isEmpty { break }
                quiet = false
            }
            if quiet, isCalm { return true }
            now = now + .milliseconds(100)
        }
        return false
    }

    private var isCalm: Bool {
        let plan = plan(for: spec, observed: observed, now: now)
        return plan.steps.isEmpty && !plan.findings.contains { $0.weight == .progress }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers from the same seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

/// Lets `world` come to rest.
func expectSettles(_ world: inout World, within limit: Duration = .seconds(120), each: ((World) -> Void)? = nil, at place: SourceLocation = #_sourceLocation) {
    let rests = world.settle(within: limit, each: each)
    let plan = world.pass0
    #expect(rests, "comes to rest: \(plan.steps) \(plan.findings.map(\.text))", sourceLocation: place)
}
