import Blackboard
import Cell
import Operator

/// One life of one server: it renews its lease, reports, follows the assignment as the shipped follower does, warms up what it is to serve, lets clients go.
final class ServerModel {
    enum Process: Equatable { case runs, hangs, ended }

    unowned let world: World
    let life: ServerLife
    let zone: String
    let started_us: Int64
    private let address: String
    private(set) var process = Process.runs
    private(set) var isStopping = false

    // How it is born
    /// Never when nil.
    var readyAt_us: Int64?
    /// Says nothing at all.
    var isMute = false

    // What it knows
    private(set) var view = AssignmentView()
    /// What its core obeys: an assignment of a lower epoch is ignored there.
    private(set) var obeyed = Assignment()
    /// Its own part of that.
    private(set) var member: Member?
    private var settings: RedisModel.ModelSettings? {
        didSet { heartbeat_us = settings?.heartbeat.microseconds ?? 500_000 }
    }
    private var heartbeat_us: Int64 = 500_000
    private var generation: Int64 = 0
    private var concerned = Epoch.none
    private var arrived_ms: Int64?

    // What it does
    private(set) var warm = PartitionSet()
    private var warming = PartitionSet()
    private var leaving = PartitionSet()
    private(set) var left = PartitionSet()
    /// When it last renewed its lease, was last troubled, and when it became ready; for the checks.
    var renewed_us: Int64 = 0
    var troubled_us: Int64 = 0
    var cutFromRedis_us: Int64 = 0
    var cutFromOperators_us: Int64 = -10_000_000
    var readySince_us: Int64 { readyAt_us ?? .max }

    // What it is cut off from; counts
    var cutsFromRedis = 0
    var cutsFromOperators = 0
    var deaf = 0
    /// Another of its name has come to Redis after it.
    private(set) var isRefused = false
    /// Its consumer hangs, or reaches no broker; and when that last ended, for the checks.
    private(set) var cutsFromLog = 0
    private(set) var cutFromLog_us: Int64 = -10_000_000

    private var readSet = PartitionSet()
    private var positions: [String: Int64] = [:]
    /// As of the log's version, and when that was reported.
    private var readVersion = 0
    private var read_us: Int64 = 0
    private var report: Report
    /// One more with each change of the report.
    private var reportNumber = 0
    private var sentNumber = -1
    private var sent: Report?
    private var sent_us: Int64 = 0
    private var isDirty = true
    private var isReading = false
    private var ringsSoon = false

    init(_ world: World, _ life: ServerLife, zone: String) {
        self.world = world
        self.life = life
        self.zone = zone
        started_us = world.now_us
        report = Report(incarnation: life.incarnation, zone: zone, pid: 1, build: "simulated")
        report.http = "\(zone).\(life.id):80"
        address = "\(zone).\(life.id):90"
    }

    var exists: Bool { process != .ended }
    var works: Bool { process == .runs }
    var isReady: Bool { works && !isStopping && generation > 0 && readyAt_us.map { $0 <= world.now_us } ?? false }
    var reachesRedis: Bool { cutsFromRedis == 0 && world.redisIsUp && !world.isCutFromRedis(zone: zone) }
    var reads: Bool { cutsFromLog == 0 && world.climate.kafkaAway == 0 }
    /// As others can see by its reports.
    var hasReadLately: Bool { cutsFromLog == 0 && world.now_us - cutFromLog_us > 6_000_000 }
    /// What it serves: owned and read.
    var serves: PartitionSet { works && cutsFromLog == 0 ? (member?.owns ?? PartitionSet()).intersection(warm) : PartitionSet() }
    var isWarming: Bool { works && !warming.isEmpty }
    var hasGeneration: Int64 { max(generation, settings?.generation ?? 0) }

    // MARK: The process

    func begin() {
        world.put(.beat(self), after: world.random.pick(20_000...150_000))
    }

    func hang() {
        guard process == .runs else { return }
        process = .hangs
        troubled_us = world.now_us
        world.serviceChanged(of: self)
    }

    /// It works, and others may think that it does not.
    func seemsShut() { troubled_us = world.now_us }

    func resume() {
        guard process == .hangs else { return }
        process = .runs
        troubled_us = world.now_us
        world.put(.beat(self), after: 500)
        read()
        world.serviceChanged(of: self)
    }

    func loseLog() {
        cutsFromLog += 1
        world.serviceChanged(of: self)
    }

    func findLog() {
        cutsFromLog -= 1
        cutFromLog_us = world.now_us
        world.serviceChanged(of: self)
    }

    /// It is gone, and whoever runs it has put another in its place without a word.
    func vanish() {
        guard exists else { return }
        process = .ended
        world.substrate.drop(life)
        world.serviceChanged(of: self)
    }

    func exit(_ reason: String) {
        guard exists else { return }
        process = .ended
        world.ended(self, reason)
        world.serviceChanged(of: self)
    }

    /// SIGTERM.
    func askToStop() {
        guard exists, !isStopping else { return }
        isStopping = true
        isDirty = true
        ring()
        world.after(world.random.pick(50_000...3_000_000)) { [self] in leave() }
    }

    private func leave() {
        guard exists else { return }
        guard works else { return world.after(500_000) { self.leave() } }
        let life = life
        if reachesRedis {
            world.redis.leave(life)
            world.tellOperators(.server)
        }
        exit("it exited with code 0")
    }

    /// More or fewer came to it.
    func hasOtherClients() { isDirty = true }

    // MARK: The lease

    /// One heartbeat, and the next.
    func beat() {
        guard works else { return }
        world.putBeat(of: self, after: heartbeat_us)
        renew()
    }

    /// A renewal at once, for what others wait for.
    func ring() {
        guard works, !ringsSoon else { return }
        ringsSoon = true
        world.after(world.delay_us()) { [self] in
            ringsSoon = false
            if works { renew() }
        }
    }

    private func renew() {
        guard !isMute else { return }
        if readVersion != world.log.version, world.now_us - read_us >= 1_000_000, reads, !warm.isEmpty { isDirty = true }
        if isDirty || report.state == .starting && (readyAt_us.map { $0 <= world.now_us } ?? false || report.waitsFor.isEmpty) { refreshReport() }
        if generation == 0, reachesRedis, let spec = world.redis.spec {
            generation = spec.generation
            isDirty = true
        }
        let slow_us = world.slowDelay_us()
        guard slow_us > 0 else { return deliver(report, reportNumber) }
        let (now, number) = (report, reportNumber)
        world.after(slow_us) { [self] in deliver(now, number) }
    }

    private func refreshReport() {
        isDirty = false
        reportNumber += 1
        let ready = readyAt_us.map { $0 <= world.now_us } ?? false
        report.state = isStopping ? .stopping : ready && generation > 0 ? .ready : .starting
        report.waitsFor = report.state == .starting ? "what it needs" : ""
        report.address = ready ? address : ""
        report.epoch = obeyed.epoch
        report.term = view.newest.term
        report.generation = hasGeneration
        report.log = obeyed.log
        report.warm = warm
        report.left = left
        let owns = member?.owns ?? PartitionSet()
        report.connections = Int(world.clients(of: owns))
        if life.id.kind == .messaging {
            report.loads = PartitionLoads(
                owns.map { .init($0, streams: Int(world.clientsPerPartition * (world.heats[$0.number]?.times ?? 1)), messages: 0) })
            readLog()
            report.positions = positions
        }
    }

    /// Whoever reads is at the log's end at once.
    private func readLog() {
        guard readSet != warm || readVersion != world.log.version else { return }
        if reads {
            (readVersion, read_us) = (world.log.version, world.now_us)
            positions = Dictionary(uniqueKeysWithValues: warm.map { (world.log.names[Int($0.number)], world.log.ends[Int($0.number)]) })
        } else {
            positions = positions.filter { Int32($0.key).map { warm.contains(Partition($0)) } ?? false }
        }
        readSet = warm
    }

    private func deliver(_ report: Report, _ number: Int) {
        guard reachesRedis else { return }
        let arrival = arrived_ms ?? world.redisTime_ms
        arrived_ms = arrival
        let isNews = number != sentNumber
        let isUrgent = isNews && (sent.map { differsUrgently(report, $0) || $0.epoch < concerned && concerned <= report.epoch } ?? true)
        let lease = settings?.lease ?? .milliseconds(1_500)
        do throws(RedisModel.Refusal) {
            // Redis may have lost the report: it is sent again once a second.
            let mustSend = isNews || world.now_us - sent_us >= 1_000_000
            let isNew = try world.redis.renewLease(life, arrived_ms: arrival, lease: lease, report: mustSend ? report : nil, now_ms: world.redisTime_ms)
            if mustSend {
                sent = report
                sentNumber = number
                sent_us = world.now_us
            }
            renewed_us = world.now_us
            if isNew { for other in world.substrate.living where other.life.id == life.id && other !== self { other.isRefused = true } }
            if isNew || isUrgent { world.tellOperators(.server) }
            hearRenewal()
        } catch {
            askToStop()
        }
    }

    private func differsUrgently(_ a: Report, _ b: Report) -> Bool {
        a.state != b.state || a.address != b.address || a.http != b.http || a.warm != b.warm || a.left != b.left || a.log != b.log
    }

    private func hearRenewal() {
        guard works else { return }
        if view.isBehind(world.redis.version) { read() }
        guard let found = world.redis.settings, found.epoch > settings?.epoch ?? 0 else { return }
        world.after(world.delay_us()) { [self] in
            guard works, found.epoch > settings?.epoch ?? 0 else { return }
            settings = found
            isDirty = true
        }
    }

    // MARK: The assignment

    func read() {
        guard works, !isReading else { return }
        isReading = true
        world.after(world.delay_us() * 2) { [self] in
            isReading = false
            guard works, reachesRedis else { return }
            if view.take(read: world.redis.assignment) == .changed { apply() }
        }
    }

    func hear(_ delta: AssignmentDelta?, _ version: AssignmentVersion) {
        guard works, deaf == 0, reachesRedis else { return }
        let outcome = delta.map(take) ?? (view.isBehind(version) ? .behind : .unchanged)
        switch outcome {
        case .changed: apply()
        case .behind: read()
        case .unchanged: break
        }
    }

    private func take(_ delta: AssignmentDelta) -> AssignmentView.Outcome {
        // What the first has made of it the others take, instead of making thousands of equal copies: to compare with the same copy takes no time.
        if let last = world.lastApplied, last.delta == delta, last.before == view.newest { return view.take(read: last.after) }
        var next = view
        let outcome = next.take(delta)
        guard outcome == .changed else { return outcome }
        let inRedis = world.redis.assignment.flatMap { $0 == next.newest ? $0 : nil }
        world.lastApplied = (view.newest, delta, inRedis ?? next.newest)
        return view.take(read: inRedis ?? next.newest)
    }

    private func apply() {
        let new = view.newest
        world.checks.applied(new, by: self, in: world)
        guard new.epoch >= obeyed.epoch else { return }
        let before = member
        let isOtherLog = obeyed.log != new.log
        if isOtherLog {
            warm = PartitionSet()
            warming = PartitionSet()
        }
        obeyed = new
        member = new.members[life.id].flatMap { $0.incarnation == life.incarnation ? $0 : nil }
        isDirty = true
        guard member != before || isOtherLog else { return }
        concerned = new.epoch
        obey(member)
        ring()
        world.serviceChanged(of: self)
    }

    private func obey(_ member: Member?) {
        guard life.id.kind == .messaging, obeyed.log != nil else { return }
        let wanted = [member?.owns, member?.opens, member?.leaves, member?.shadows].compactMap { $0 }.reduce(PartitionSet()) { $0.union($1) }
        warm = warm.intersection(wanted)
        warming = warming.intersection(wanted)
        let new = wanted.subtracting(warm).subtracting(warming)
        if !new.isEmpty { warmUp(new) }
        let leaves = member?.leaves ?? PartitionSet()
        left = left.intersection(leaves)
        leaving = leaving.intersection(leaves)
        let going = leaves.subtracting(leaving).subtracting(left)
        if !going.isEmpty { letGo(going) }
    }

    private func warmUp(_ set: PartitionSet) {
        warming = warming.union(set)
        let log = obeyed.log
        world.after(world.climate.warm_us(&world.random)) { [self] in
            guard works || process == .hangs, obeyed.log == log else { return }
            guard cutsFromLog == 0 else { return warmLater(set) }
            let done = set.intersection(warming)
            warm = warm.union(done)
            warming = warming.subtracting(done)
            isDirty = true
            ring()
            world.serviceChanged(of: self)
        }
    }

    /// What cannot be read now.
    private func warmLater(_ set: PartitionSet) {
        world.after(1_000_000) { [self] in
            let rest = set.intersection(warming)
            guard exists, !rest.isEmpty else { return }
            warming = warming.subtracting(rest)
            warmUp(rest)
        }
    }

    private func letGo(_ set: PartitionSet) {
        leaving = leaving.union(set)
        let telling_us = Int64(world.clientsPerPartition * Double(set.count) * 1_000_000 / Double(world.spec.moves.clientsPerSecond))
        let grace_us = world.spec.moves.grace.microseconds
        let stay_us = world.random.once(in: 8) ? grace_us : min(grace_us, world.random.pick(100_000...3_000_000))
        world.after(telling_us + stay_us) { [self] in
            let done = set.intersection(leaving)
            leaving = leaving.subtracting(done)
            left = left.union(done)
            isDirty = true
            ring()
        }
    }
}
