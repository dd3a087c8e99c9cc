import Cell

/// What a spec leads to when everything goes well: the shipped planner, run to rest on a model of the present cell. Pure.
///
/// Servers of the model are ready `birth` after their start, warm `warming` after they are told to open, and let go as soon as their clients were told
/// at the rate of `moves.clientsPerSecond`, and half a second more. Nothing fails.
public struct Rehearsal: Sendable {
    public struct Pace: Sendable {
        public var birth = Duration.seconds(2)
        public var warming = Duration.seconds(1)
        public init() {}
    }

    /// What was seen on the way.
    public struct Outcome: Equatable, Codable, Sendable {
        public var started: [ServerID] = []
        public var stopped: [ServerID] = []
        /// Partitions that came to another owner, counted each time.
        public var partitionsMoved = 0
        /// Connected clients that change their server, counted each time.
        public var clientsMoved = 0
        public var epochs = 0
        /// From now to rest.
        public var time_ms: Int64 = 0
        /// What it waits for when it comes to no rest; empty when it does.
        public var unfinished = ""
        public var timeline: [Happening] = []
    }

    public struct Happening: Equatable, Codable, Sendable {
        public var at_ms: Int64
        public var text: String
    }

    private struct Server {
        var readyAt: Moment
        var warmAt: Moment?
        var leftAt: Moment?
        var opens = PartitionSet()
        var leaves = PartitionSet()
    }

    public private(set) var outcome = Outcome()
    private let spec: CellSpec
    private let pace: Pace
    private var observed: ObservedCell
    private let began: Moment
    private var now: Moment
    private var servers: [ServerLife: Server] = [:]
    /// Clients by partition, as many as its owner has on the average.
    private var clients: [Double]
    private var births = 0

    /// - Parameter observed: the present cell, like from `ObservedCell(told:)`.
    public init(_ spec: CellSpec, from observed: ObservedCell, pace: Pace = Pace()) {
        self.spec = spec
        self.pace = pace
        self.observed = observed
        // Far from the beginning of time, so that leases have counted for long.
        began = Moment(milliseconds: 10_000_000)
        now = began
        clients = [Double](repeating: 0, count: spec.partitions)
        for (id, member) in observed.assignment.members where !member.owns.isEmpty {
            let each = Double(observed.reports[id]?.connections ?? 0) / Double(member.owns.count)
            for partition in member.owns where Int(partition.number) < clients.count { clients[Int(partition.number)] = each }
        }
        for server in observed.servers ?? [] where !server.isGone { servers[server.life] = Server(readyAt: began) }
        prepare()
        run()
    }

    private mutating func prepare() {
        observed.since = began
        observed.redisBack = began - .seconds(3_600)
        observed.exits = []
        observed.probes = [:]
        observed.store = .ready
        if observed.log == .unknown || observed.log == .missing { observed.log = .intact }
        for life in servers.keys { observed.readySince[life] = began - .seconds(3_600) }
    }

    // MARK: Time

    private mutating func run() {
        // Longer than anything waits for that goes well.
        let patience = spec.rollout.readyWithin + spec.moves.grace + .seconds(60)
        var lastStep = now
        while true {
            look()
            var plan = plan(for: spec, observed: observed, now: now)
            var turns = 0
            while !plan.steps.isEmpty, turns < 100 {
                for step in plan.steps { carryOut(step) }
                lastStep = now
                turns += 1
                look()
                plan = Operator.plan(for: spec, observed: observed, now: now)
            }
            let progress = plan.findings.first { $0.weight == .progress }
            let due = servers.values.flatMap { [$0.readyAt, $0.warmAt, $0.leftAt] }.compactMap { $0 }.filter { $0 > now }.min()
            if plan.steps.isEmpty, due == nil, progress == nil { break }
            guard let next = [due, plan.lookAgain].compactMap({ $0 }).filter({ $0 > now }).min(), next - lastStep < patience else {
                outcome.unfinished = progress?.text ?? "it never comes to rest"
                break
            }
            now = next
        }
        outcome.time_ms = (lastStep - began).milliseconds
    }

    /// Every server renews its lease and reports what it has done by now.
    private mutating func look() {
        observed.leasesRead = now
        for server in observed.servers ?? [] where server.state == .stopping { end(server.life) }
        for (life, server) in servers {
            observed.leases[life] = now + spec.failover.lease
            var report = observed.reports[life.id].flatMap { $0.incarnation == life.incarnation ? $0 : nil } ?? newReport(life)
            if report.state == .starting, server.readyAt <= now {
                report.state = .ready
                report.waitsFor = ""
                observed.readySince[life] = now
            }
            report.generation = observed.generation
            report.epoch = observed.assignment.epoch
            report.log = observed.assignment.log
            report.warm = PartitionSet()
            report.left = PartitionSet()
            if let member = observed.assignment.members[life.id], member.incarnation == life.incarnation {
                report.warm = server.warmAt.map { $0 <= now } ?? false ? member.owns.union(server.opens) : member.owns
                if server.leftAt.map({ $0 <= now }) ?? false { report.left = server.leaves }
            }
            observed.reports[life.id] = report
        }
    }

    private func newReport(_ life: ServerLife) -> Report {
        var report = Report(incarnation: life.incarnation, zone: "", pid: 0, build: Build.version)
        report.address = "\(life.id):1"
        report.http = "\(life.id):2"
        return report
    }

    // MARK: Steps

    private mutating func carryOut(_ step: Step) {
        switch step {
        case .publish(let publication): publish(publication)
        case .makeTopic: observed.log = .intact
        case .start(let order):
            births += 1
            guard let incarnation = Incarnation("rehearsed-\(births)") else { return }
            let life = ServerLife(order.id, incarnation)
            servers[life] = Server(readyAt: now + pace.birth)
            var running = RunningServer(life, started: now, zone: order.zone, port: order.port)
            running.template = spec.template(restarts: observed.wishes.restarts)
            observed.servers?.append(running)
            outcome.started.append(order.id)
            tell("\(order.id) starts: \(order.why)")
        case .stop(let life, let why):
            guard let index = observed.servers?.firstIndex(where: { $0.life == life }) else { return }
            observed.servers?[index].state = .stopping
            outcome.stopped.append(life.id)
            tell("\(life.id) stops: \(why)")
        case .kill(let life, let why):
            outcome.stopped.append(life.id)
            tell("\(life.id) is killed: \(why)")
            end(life)
        case .probe(let life, _): observed.probes[life] = HealthProbe(began: now, result: .answered)
        case .forget(let life):
            observed.servers?.removeAll { $0.life == life }
            observed.leases[life] = nil
            if observed.reports[life.id]?.incarnation == life.incarnation { observed.reports[life.id] = nil }
        case .removeCell: observed.deleted = false
        }
    }

    private mutating func end(_ life: ServerLife) {
        servers[life] = nil
        // It leaves as a real one does: what it had in Redis goes with it.
        observed.leases[life] = nil
        if observed.reports[life.id]?.incarnation == life.incarnation { observed.reports[life.id] = nil }
        guard let index = observed.servers?.firstIndex(where: { $0.life == life }) else { return }
        observed.servers?[index].state = .exited(at: now, reason: "it was stopped")
    }

    private mutating func publish(_ publication: Publication) {
        let old = observed.assignment
        let epoch = old.epoch.next
        var new = Assignment(epoch: epoch, term: old.term, log: old.log, members: publication.members)
        if publication.startsLog || new.log == nil {
            var numbers = SystemRandomNumberGenerator()
            new.log = LogID(UUIDv7(time_ms: (old.log?.time_ms ?? 0) + 1, using: &numbers))
        }
        if publication.startsLog, observed.log == .renewed { observed.log = .intact }
        let whole = PartitionSet(ranges: old.members.values.flatMap(\.owns.ranges))
        for (id, member) in new.members where old.members[id] != member {
            observed.changes[id] = .init(epoch: epoch, at: now)
            follow(id, member, old.members[id], ownedBefore: whole)
        }
        observed.assignment = new
        outcome.epochs += 1
        for note in publication.notes { tell(note.text) }
    }

    private mutating func follow(_ id: ServerID, _ member: Member, _ before: Member?, ownedBefore whole: PartitionSet) {
        let life = ServerLife(id, member.incarnation)
        let gained = member.owns.subtracting(before?.owns ?? PartitionSet()).intersection(whole)
        outcome.partitionsMoved += gained.count
        outcome.clientsMoved += Int(sum(gained).rounded())
        guard var server = servers[life] else { return }
        if member.opens != server.opens {
            server.warmAt = member.opens.isEmpty ? nil : now + pace.warming
            server.opens = member.opens
        }
        if member.leaves != server.leaves {
            let told = Duration.milliseconds(Int64(sum(member.leaves) * 1_000 / Double(max(1, spec.moves.clientsPerSecond))))
            server.leftAt = member.leaves.isEmpty ? nil : now + told + .milliseconds(500)
            server.leaves = member.leaves
        }
        servers[life] = server
        let held = Int(sum(member.owns).rounded())
        observed.reports[id]?.connections = held
    }

    private func sum(_ set: PartitionSet) -> Double { set.reduce(0) { Int($1.number) < clients.count ? $0 + clients[Int($1.number)] : $0 } }

    private mutating func tell(_ text: String) {
        guard outcome.timeline.count < 10_000 else { return }
        outcome.timeline.append(Happening(at_ms: (now - began).milliseconds, text: text))
    }
}

extension ObservedCell {
    /// A cell as its operator and its servers tell it, for a rehearsal.
    ///
    /// - Parameter told: the status's servers.
    public init(told servers: [CellStatus.ServerStatus], _ assignment: Assignment, _ reports: [ServerID: Report], _ wishes: Wishes, generation: Int64) {
        self.init()
        self.generation = generation
        self.assignment = assignment
        self.wishes = wishes
        self.servers = []
        for server in servers where server.state != .dead {
            let life = ServerLife(server.name, server.incarnation)
            let port = server.kind == .connect ? server.address.split(separator: ":").last.flatMap { UInt16($0) } : nil
            var running = RunningServer(life, started: Moment(milliseconds: 0), zone: server.zone, port: port)
            running.template = server.template ?? ""
            if server.state == .stopping { running.state = .stopping }
            self.servers?.append(running)
            if let report = reports[server.name], report.incarnation == server.incarnation { self.reports[server.name] = report }
        }
    }
}
