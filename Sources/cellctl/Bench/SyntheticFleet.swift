import Cell
import Operator

/// A cell that nobody runs, as large as one likes, for the operator's own planner.
struct SyntheticFleet {
    let spec: CellSpec
    private(set) var observed = ObservedCell()
    private let now = Moment(milliseconds: 100_000_000)

    /// Servers that are ready and that nobody has given anything yet.
    init(servers: Int, standbys: Int, partitions: Int) {
        let kafka = BackplaneSpec.Kafka(brokers: ["127.0.0.1:9092"], topic: "bench")
        var spec = CellSpec(
            name: CellName("bench")!, partitions: partitions, backplane: .kafka(kafka), store: .sqlite, auth: .none, run: .process(RunSpec.Process()))
        spec.messaging.servers = servers
        spec.messaging.standbys = standbys
        (spec.connect.servers, spec.history.servers, spec.materialize.servers) = (0, 0, 0)
        // Balance in one step, so that one plan shows all of it.
        spec.moves.simultaneous_percent = 100
        self.spec = spec
        observed.log = .intact
        observed.store = .ready
        observed.redisBack = now - .seconds(3_600)
        observed.leasesRead = now
        for number in 1...(servers + standbys) { add(number) }
    }

    mutating func add(_ number: Int) {
        guard let incarnation = Incarnation("\(number)") else { return }
        let life = ServerLife(ServerID(.messaging, number), incarnation)
        observed.servers?.append(RunningServer(life, started: now - .seconds(600)))
        observed.leases[life] = now + .seconds(1)
        observed.readySince[life] = now - .seconds(600)
        var report = Report(incarnation: incarnation, zone: "", pid: 1, build: Build.version)
        report.state = .ready
        report.address = "10.0.0.1:\(number)"
        report.http = "10.0.0.1:\(number)"
        observed.reports[life.id] = report
    }

    mutating func kill(_ id: ServerID) {
        guard let index = observed.servers?.firstIndex(where: { $0.life.id == id }) else { return }
        observed.servers?[index].state = .exited(at: now, reason: "signal 9")
    }

    /// Each partition has its streams and messages.
    mutating func tellLoads() {
        for (id, member) in observed.assignment.members {
            observed.reports[id]?.loads = PartitionLoads(member.owns.map { .init($0, streams: 100 + Int($0.number % 50), messages: Int($0.number % 9)) })
        }
    }

    mutating func weigh(_ round: Int) { observed.weigh(spec, now: now + .seconds(5 * round)) }

    func plan() -> Plan { Operator.plan(for: spec, observed: observed, now: now) }

    /// Publishes, reports and plans until the assignment stays as it is; everything opened is warm at once.
    mutating func settle() {
        for _ in 0..<50 {
            guard let publication = plan().publication else { return }
            publish(publication)
        }
    }

    mutating func publish(_ publication: Publication) {
        let old = observed.assignment
        var numbers = SystemRandomNumberGenerator()
        let log = old.log ?? LogID(UUIDv7(time_ms: 1, using: &numbers))
        observed.assignment = Assignment(epoch: old.epoch.next, term: Term(1), log: log, members: publication.members)
        for (id, member) in publication.members where old.members[id] != member {
            observed.changes[id] = .init(epoch: observed.assignment.epoch, at: now)
            observed.reports[id]?.epoch = observed.assignment.epoch
            observed.reports[id]?.log = log
            observed.reports[id]?.warm = member.owns.union(member.opens)
            observed.reports[id]?.left = member.leaves
        }
    }
}

extension Plan {
    var publication: Publication? {
        for step in steps { if case .publish(let publication) = step { return publication } }
        return nil
    }
}

extension SyntheticFleet {
    /// As `other` stands, under a spec that asks for `servers`.
    init(servers: Int, standbys: Int, partitions: Int, like other: SyntheticFleet) {
        self.init(servers: 1, standbys: 0, partitions: partitions)
        var spec = other.spec
        spec.messaging.servers = servers
        spec.messaging.standbys = standbys
        self = SyntheticFleet(spec, other)
    }

    private init(_ spec: CellSpec, _ other: SyntheticFleet) {
        self.spec = spec
        observed = other.observed
    }
}
