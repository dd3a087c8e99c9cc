import Blackboard
import Cell
import Operator

/// What the cell's scripts do in Redis, on values. Whoever calls gives Redis's clock, Unix milliseconds.
///
/// The rules are those of the scripts in `Blackboard`, one for one; a test compares the two on a real Redis.
struct RedisModel {
    struct Lead: Equatable {
        var term: Term
        var token: UInt64
        var expiry_ms: Int64
    }

    struct ModelSettings: Equatable {
        var epoch: Int64 = 0
        var generation: Int64 = 0
        var lease: Duration = .milliseconds(1_500)
        var heartbeat: Duration = .milliseconds(500)
    }

    struct Election: Equatable {
        var term: Term
        var token: UInt64
    }

    enum Refusal: Error, Equatable {
        /// Redis did not answer: the command may have been carried out, or not.
        case away
        case lapsed
        case overtaken(by: Term)
        case epoch(found: AssignmentVersion)
        case superseded
    }

    private(set) var spec: StoredSpec?
    private(set) var lead: Lead?
    private(set) var assignment: Assignment?
    private(set) var settings: ModelSettings?
    private(set) var leases: [ServerLife: Int64] = [:]
    private(set) var reports: [ServerID: Report] = [:]
    private(set) var logs: [LogID] = []
    private(set) var wishes = Wishes()
    /// The autoscaler's word.
    private(set) var scale: Int?
    private var arrivals: [ServerID: (incarnation: Incarnation, arrived_ms: Int64)] = [:]

    var version: AssignmentVersion { assignment?.version ?? AssignmentVersion(term: .none, epoch: .none) }

    // MARK: The lead

    enum Campaign { case leads(Election, knownEpoch: Epoch), follows(Term, remaining: Duration) }

    mutating func campaign(token: UInt64, lease: Duration, atLeast: Term, now_ms: Int64) -> Campaign {
        expire(now_ms)
        // Nobody asks for ten minutes: Redis's clock was ahead when that was written.
        if let lead, lead.token != token, lead.expiry_ms - now_ms <= 600_000 {
            return .follows(lead.term, remaining: .milliseconds(lead.expiry_ms - now_ms))
        }
        var epoch = max(now_ms, assignment?.epoch.value ?? 0)
        var term = max(now_ms, atLeast.value, lead?.term.value ?? 0, assignment?.term.value ?? 0)
        for report in reports.values {
            epoch = max(epoch, report.epoch.value)
            term = max(term, report.term.value)
        }
        lead = Lead(term: Term(term + 1), token: token, expiry_ms: now_ms + lease.milliseconds)
        return .leads(Election(term: Term(term + 1), token: token), knownEpoch: Epoch(epoch))
    }

    mutating func renew(_ election: Election, lease: Duration, now_ms: Int64) throws(Refusal) {
        try fence(election, now_ms)
        lead?.expiry_ms = now_ms + lease.milliseconds
    }

    mutating func resign(_ election: Election, now_ms: Int64) {
        expire(now_ms)
        if lead?.term == election.term, lead?.token == election.token { lead = nil }
    }

    private mutating func expire(_ now_ms: Int64) { if let lead, lead.expiry_ms <= now_ms { self.lead = nil } }

    private mutating func fence(_ election: Election, _ now_ms: Int64) throws(Refusal) {
        expire(now_ms)
        guard let lead else { throw .lapsed }
        guard lead.term == election.term, lead.token == election.token else { throw .overtaken(by: lead.term) }
    }

    // MARK: Writes of the leader

    /// - Returns: what the channel tells.
    mutating func publish(from old: Assignment, to new: Assignment, _ delta: AssignmentDelta, as election: Election, now_ms: Int64) throws(Refusal) {
        try checkVersion(new, as: election, now_ms)
        guard version == old.version else { throw .epoch(found: version) }
        var next = assignment ?? Assignment()
        next.epoch = new.epoch
        next.term = new.term
        next.log = new.log
        for (name, member) in delta.changed { if let id = ServerID(name) { next.members[id] = member } }
        for id in delta.removed { next.members[id] = nil }
        assignment = next
    }

    mutating func rewrite(_ new: Assignment, as election: Election, now_ms: Int64) throws(Refusal) {
        try checkVersion(new, as: election, now_ms)
        assignment = new
    }

    private mutating func checkVersion(_ new: Assignment, as election: Election, _ now_ms: Int64) throws(Refusal) {
        try fence(election, now_ms)
        if version.term > election.term { throw .overtaken(by: version.term) }
        if version.epoch >= new.epoch { throw .epoch(found: version) }
    }

    mutating func add(logs more: [LogID], as election: Election, now_ms: Int64) throws(Refusal) {
        try fence(election, now_ms)
        let known = Set(logs)
        let new = more.filter { !known.contains($0) }
        if !new.isEmpty { logs = Array((logs + new).sorted().suffix(CellBlackboard.rememberedLogs)) }
    }

    /// - Returns: whether they were written.
    mutating func write(_ new: ModelSettings, as election: Election, now_ms: Int64) throws(Refusal) -> Bool {
        try fence(election, now_ms)
        guard settings?.epoch ?? 0 < new.epoch else { return false }
        settings = new
        return true
    }

    mutating func restore(_ old: StoredSpec, as election: Election, now_ms: Int64) throws(Refusal) {
        try fence(election, now_ms)
        if spec.map({ old.isNewer(than: $0) }) ?? true { spec = old }
    }

    mutating func restore(_ old: Wishes, as election: Election, now_ms: Int64) throws(Refusal) {
        try fence(election, now_ms)
        if wishes.revision < old.revision { wishes = old }
    }

    mutating func write(scale: Int, as election: Election, now_ms: Int64) throws(Refusal) {
        try fence(election, now_ms)
        self.scale = scale
    }

    mutating func forget(_ lives: [ServerLife], as election: Election, now_ms: Int64) throws(Refusal) {
        try fence(election, now_ms)
        for life in lives { leave(life) }
    }

    // MARK: Servers

    mutating func renewLease(_ life: ServerLife, arrived_ms: Int64, lease: Duration, report: Report?, now_ms: Int64) throws(Refusal) -> Bool {
        let other = arrivals[life.id]
        if let other, other.incarnation != life.incarnation {
            let expiry = leases[ServerLife(life.id, other.incarnation)] ?? 0
            if other.arrived_ms >= arrived_ms, expiry > now_ms, expiry <= now_ms + 10 * lease.milliseconds { throw .superseded }
        }
        let isNew = leases.updateValue(now_ms + lease.milliseconds, forKey: life) == nil
        if other?.incarnation != life.incarnation { arrivals[life.id] = (life.incarnation, arrived_ms) }
        // A dictionary that stays the same is compared and copied for nothing.
        if let report, reports[life.id] != report { reports[life.id] = report }
        return isNew
    }

    mutating func leave(_ life: ServerLife) {
        leases[life] = nil
        if let present = arrivals[life.id], present.incarnation != life.incarnation { return }
        reports[life.id] = nil
        arrivals[life.id] = nil
    }

    func servers(now_ms: Int64) -> ServersInRedis {
        let found = leases.map { ServersInRedis.Lease(server: $0.key.id, incarnation: $0.key.incarnation, expiry_ms: $0.value) }
        return ServersInRedis(time_ms: now_ms, leases: found, reports: reports)
    }

    /// Every expiry comes later: time in which nothing happens is skipped.
    mutating func putOff(by delay_ms: Int64) {
        lead?.expiry_ms += delay_ms
        leases = leases.mapValues { $0 + delay_ms }
    }

    // MARK: People

    mutating func apply(_ json: String, now_ms: Int64) {
        let created = spec?.created_ms ?? now_ms
        // A cell made anew goes on above what its living servers have applied.
        let last = spec?.generation ?? reports.values.map(\.generation).max() ?? 0
        spec = StoredSpec(generation: last + 1, created_ms: created, json: json)
    }

    mutating func put(_ new: Wishes, now_ms: Int64) {
        let revision = max(wishes.revision + 1, now_ms)
        wishes = new
        wishes.revision = revision
    }
}
