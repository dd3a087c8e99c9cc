import Blackboard
import Cell
import Operator

/// A whole cell on a virtual clock: Redis, what runs the servers, the servers, one or two operators, and the network between any two of them.
///
/// Everything that happens comes from the seed: the same seed is the same history.
final class World {
    enum Event {
        case beat(ServerModel)
        case run(() -> Void)
    }

    let rules: Rules
    private(set) var now_us: Int64 = 0
    private var queue = EventQueue<Event>()
    var random: Seeded
    /// Of the probes alone.
    private var logRandom: Seeded
    private var bornCount: UInt64 = 0

    // Redis
    var redis = RedisModel()
    var redisAway = 0
    /// Whether who asks while it is away is refused at once.
    var redisRefuses = true
    var redisClockShift_ms: Int64 = 0
    /// When it last changed.
    var redisClockJumped_us: Int64 = -100_000_000
    var redisIsUp: Bool { redisAway == 0 }
    private var kept: (at_us: Int64, redis: RedisModel)?

    // The rest
    var log: LogModel
    /// Whether operators write probes into it.
    var isLogProbed = true
    var substrate = Substrate()
    private(set) var operators: [OperatorModel] = []
    var climate = Climate()
    private var zoneCuts: [String: Int] = [:]
    /// No health probe arrives; and when that last ended, as the last cut of a zone.
    var probesCut = 0
    /// Of those causes, the ones by which a probe fails at once.
    var probesRefused = 0
    var probesCut_us: Int64 = -10_000_000
    private(set) var zonesCut_us: Int64 = -10_000_000
    /// By the text that stands in Redis.
    private(set) var specs: [String: CellSpec] = [:]
    /// What people wish last.
    private(set) var spec: CellSpec
    var clientsPerPartition: Double
    /// Partitions that have so many times the usual clients, and since when.
    var heats: [Int32: (times: Double, since_us: Int64)] = [:]
    let usualClients: Double

    // Figures
    var checks: Checks
    var timeline: Timeline
    var plans = 0
    var plansTwice = false
    /// What the operators' looking and planning takes in real time, when somebody measures it.
    var operatorCPU_us: Int64 = 0
    var cpu_us: (() -> Int64)?
    /// What people ask for, and nobody has answered yet; and how many of them want rollouts to wait.
    var wishesUnderWay: [Wish] = []
    var pausesUnderWay = 0
    /// Questions to Redis that are not answered yet.
    var wordsUnderWay = 0
    /// What a server has made of the assignment's last change.
    var lastApplied: (before: Assignment, delta: AssignmentDelta, after: Assignment)?
    private(set) var events = 0

    init(_ spec: CellSpec, operators count: Int, clients: Int, seed: UInt64, rules: Rules = .all, recording: Bool = false) {
        self.spec = spec
        self.rules = rules
        random = Seeded(seed)
        logRandom = Seeded(seed ^ 0x1095)
        usualClients = Double(clients) / Double(spec.partitions)
        clientsPerPartition = usualClients
        checks = Checks(partitions: spec.partitions)
        log = LogModel(partitions: spec.partitions)
        timeline = Timeline(isRecording: recording)
        operators = (0..<count).map { OperatorModel(self, $0) }
        wish(spec)
        for each in operators { each.start() }
    }

    // MARK: Time

    var moment: Moment { Moment(milliseconds: now_us / 1_000 + 1_000_000) }
    var unix_ms: Int64 { 1_795_600_000_000 + now_us / 1_000 }
    var redisTime_ms: Int64 { unix_ms + redisClockShift_ms }

    func put(_ event: Event, after delay_us: Int64) { queue.put(event, at: now_us + max(0, delay_us)) }
    func putBeat(of server: ServerModel, after delay_us: Int64) { queue.put(.beat(server), at: now_us + max(0, delay_us), isLast: true) }
    func after(_ delay_us: Int64, _ work: @escaping () -> Void) { put(.run(work), after: delay_us) }

    /// Lets everything happen until `end_us`, or until a check fails.
    func run(until end_us: Int64) {
        while checks.violation == nil, let next = queue.nextTime_us, next <= end_us, let (time_us, event) = queue.takeNext() {
            now_us = time_us
            timeline.now_us = time_us
            events += 1
            switch event {
            case .beat(let server): server.beat()
            case .run(let work): work()
            }
            checks.look(self)
        }
        if checks.violation == nil { now_us = max(now_us, end_us) }
        timeline.now_us = now_us
    }

    /// Skips time in which nothing happens: everybody's next heartbeat, look and renewal comes so much later, and nothing else is under way.
    ///
    /// Only for a cell at rest. Whoever has a word with Redis under way finishes it first.
    func skip(_ time_us: Int64) {
        var patience = 1_000
        while wordsUnderWay > 0, patience > 0, checks.violation == nil {
            run(until: now_us + 500)
            patience -= 1
        }
        let skipped_ms = time_us / 1_000
        guard wordsUnderWay == 0, skipped_ms > 0, checks.violation == nil else { return run(until: now_us + time_us) }
        now_us += skipped_ms * 1_000
        queue.putOff(by: skipped_ms * 1_000)
        redis.putOff(by: skipped_ms)
        for each in operators { each.putOff(by: .milliseconds(skipped_ms)) }
        for server in substrate.living { server.renewed_us += skipped_ms * 1_000 }
        timeline.now_us = now_us
    }

    /// Adds what `work` takes to the operators' account.
    func onAccount<Value>(_ work: () -> Value) -> Value {
        guard let cpu_us else { return work() }
        let began_us = cpu_us()
        defer { operatorCPU_us += cpu_us() - began_us }
        return work()
    }

    // MARK: The network

    /// One way between two machines.
    func delay_us() -> Int64 {
        let usual = random.pick(150...900)
        guard climate.slowNetwork > 0 || random.once(in: 200) else { return usual }
        return usual + random.pick(1_000...(climate.slowNetwork > 0 ? 300_000 : 30_000))
    }

    /// One way to the log, or back.
    func probeDelay_us() -> Int64 { logRandom.pick(300...3_000) }

    /// What a heartbeat takes beyond the usual.
    func slowDelay_us() -> Int64 {
        if climate.slowNetwork > 0 { return random.pick(1_000...400_000) }
        return random.once(in: 128) ? random.pick(1_000...50_000) : 0
    }

    func losesReply() -> Bool { climate.lostReplies > 0 && random.once(in: 4) }

    func isCutFromRedis(zone: String) -> Bool { zoneCuts[zone] ?? 0 > 0 }

    func cut(zone: String, _ count: Int) {
        zoneCuts[zone, default: 0] += count
        zonesCut_us = now_us
        if count < 0 { listenAgain() }
    }

    /// Who could not reach Redis can again: its subscriptions come back, and it reads everything.
    func listenAgain() {
        for server in substrate.living { after(random.pick(1_000...600_000)) { if server.reachesRedis { server.read() } } }
        for each in operators { after(random.pick(1_000...600_000)) { if each.runs, each.reachesRedis { each.hear(.listening) } } }
    }

    func tellOperators(_ heard: OperatorModel.Heard) {
        for each in operators where each.isAlive && each.reachesRedis { each.later(delay_us()) { each.hear(heard) } }
    }

    func broadcast(_ delta: AssignmentDelta?, _ version: AssignmentVersion) {
        for server in substrate.living where server.reachesRedis && server.deaf == 0 { after(delay_us()) { server.hear(delta, version) } }
        tellOperators(.assignment(version))
    }

    func answersProbe(_ life: ServerLife, from asker: OperatorModel) -> Bool {
        guard let server = substrate.server(life), server.works, server.cutsFromOperators == 0, probesCut == 0 else { return false }
        return now_us - server.started_us > 150_000
    }

    // MARK: Redis's fate

    /// Keeps what Redis holds now, to go back to it.
    func keepRedis() { kept = (now_us, redis) }

    func restoreRedis() {
        guard let kept else { return }
        redis = kept.redis
        self.kept = nil
        listenAgain()
    }

    func emptyRedis() {
        redis = RedisModel()
        listenAgain()
    }

    // MARK: People

    /// Applies a spec, as cellctl does: where Redis has lost the cell or is away, it is tried again later.
    func wish(_ new: CellSpec) {
        let text = "\(specs.count)"
        specs[text] = new
        spec = new
        put(text)
    }

    /// Redis knows nothing of the cell any more, and no operator can give it back: they know nothing themselves, or nothing but their memory says that it lives.
    var isForgotten: Bool {
        guard redisIsUp, redis.spec == nil, operators.allSatisfy(\.runs) else { return false }
        return operators.allSatisfy { $0.memory.spec == nil } || redis.reports.isEmpty && substrate.present.isEmpty
    }

    /// Applies the spec once more, as to a cell that is not there.
    func applyAgain() {
        redis.apply("\(specs.count - 1)", now_ms: redisTime_ms)
        tellOperators(.spec)
    }

    private func put(_ text: String) {
        guard redisIsUp, redis.spec != nil || specs.count == 1 else { return after(500_000) { self.put(text) } }
        // A later wish has come first.
        if let present = redis.spec.flatMap({ Int($0.json) }), let wanted = Int(text), present > wanted { return }
        redis.apply(text, now_ms: redisTime_ms)
        tellOperators(.spec)
        watch(text)
    }

    /// Whoever applies looks whether it is still there until an operator has taken it: Redis may lose it before.
    private func watch(_ text: String) {
        after(3_000_000) { [self] in
            guard specs.count - 1 == Int(text) else { return }
            if redis.spec?.json != text { return put(text) }
            if !operators.contains(where: { $0.isAlive && $0.memory.spec?.json == text }) { watch(text) }
        }
    }

    // MARK: Servers

    func newIncarnation() -> Incarnation {
        bornCount += 1
        return Incarnation("i\(bornCount)")!
    }

    func start(_ life: ServerLife, _ order: StartOrder, _ template: String, by starter: OperatorModel) {
        guard substrate.server(life) == nil else { return }
        checks.starts(life, by: starter, in: self)
        let server = ServerModel(self, life, zone: order.zone)
        let seen = substrate.add(server, order, template, now: moment)
        climate.bear(server, in: self)
        tellDriverEvent(seen)
        server.begin()
    }

    func stop(_ life: ServerLife, grace: Duration, by stopper: OperatorModel) {
        guard let server = substrate.server(life), server.exists else { return }
        checks.stops(life, in: self)
        if let seen = substrate.markStopping(life) { tellDriverEvent(seen) }
        if server.works { server.askToStop() }
        after(grace.microseconds) { server.exit("signal 9 (Killed) ended it after its grace") }
    }

    func ended(_ server: ServerModel, _ reason: String) {
        timeline.add("\(server.life.id) has ended: \(reason)")
        checks.ended(server, in: self)
        portShut(server)
        guard let seen = substrate.markEnded(server.life, reason: reason, now: moment) else { return }
        switch climate.notices {
        case .prompt: tellDriverEvent(seen)
        case .lost: break
        case .doubled:
            tellDriverEvent(seen)
            after(random.pick(100_000...20_000_000)) { self.tellDriverEvent(seen) }
        case .late: after(random.pick(1_000_000...15_000_000)) { self.tellDriverEvent(seen) }
        }
    }

    /// Operators that held a connection to `server` see it break, and its port refuses another.
    func portShut(_ server: ServerModel) {
        guard server.cutsFromOperators == 0, probesCut == 0 else { return }
        for each in operators where each.isAlive { each.later(1_000) { each.hearShut(server.life) } }
    }

    private func tellDriverEvent(_ seen: RunningServer) {
        for each in operators where each.isAlive && each.cutsFromDriver == 0 { each.later(random.pick(200...5_000)) { each.hear(seen) } }
    }

    func lookAtTopic(hasLog: Bool) -> LogView {
        if climate.kafkaAway > 0 { return .unreachable("no broker answers") }
        if climate.topicIsNew, hasLog {
            climate.topicIsNew = false
            return .renewed
        }
        climate.topicIsNew = false
        return .intact
    }

    func serviceChanged(of server: ServerModel) { checks.haveOtherService.append(server) }

    /// The operator that leads by Redis's word and knows it.
    var leader: OperatorModel? {
        operators.first { $0.runs && $0.election != nil && $0.election?.token == redis.lead?.token && $0.election?.term == redis.lead?.term }
    }
}
