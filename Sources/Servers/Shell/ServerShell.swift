import Blackboard
import Cell
import Redis
import Synchronization
import Threads
import Web

/// What every kind of server is around its core: it waits for the spec, starts the core, holds the lease, follows the assignment, and stops in order.
///
/// Everything but `start()` and `stop()` of the core runs on one thread of its own.
final class ServerShell: Sendable {
    struct State {
        var stage = Stage.preparing("Redis")
        var core: (any ServerCore)?
        var spec: CellSpec?
        /// Of the spec that the core was made for.
        var generation: Int64 = 0
        /// HOST:PORT of the endpoints; empty until they listen.
        var http = ""
        var redis = "not asked yet"
        /// What the core was told last.
        var told: (settings: Settings?, assignment: AssignmentVersion) = (nil, Assignment().version)
        /// What the assignment says of this incarnation, and the last epoch that changed it.
        var member: Member?
        var concerned = Epoch.none
        /// Since when the core has been asked for its report.
        var askedSince: ContinuousClock.Instant?
        /// No lease is renewed any more.
        var hasLeft = false
        /// Why it must end without having been asked to.
        var superseded: Incarnation?
    }

    let arguments: ServerArguments
    let thread: TaskThread
    let log: ServerLog
    let metrics = Metrics()
    let board: CellBlackboard
    let follower: AssignmentFollower
    let heartbeatBell: Ringer
    let stopBell: Ringer
    /// What a core waits for may have come.
    let workBell: Ringer
    let descriptors: Int
    private let makers: [ServerKind: ServerCoreMaker]
    private let state = Mutex(State())
    private let redisTrouble = RepeatedWords()
    private let waiting = RepeatedWords()

    init(_ arguments: ServerArguments, makers: [ServerKind: ServerCoreMaker], log: ServerLog) throws {
        self.arguments = arguments
        self.makers = makers
        self.log = log
        thread = try TaskThread("shell")
        descriptors = Descriptors.raiseLimit()
        // Half of the shortest usual lease: an answer that comes later would come too late to keep it.
        let options = RedisOptions(connectTimeout: .milliseconds(750), commandTimeout: .milliseconds(750))
        board = CellBlackboard(arguments.cell, on: try RedisClient(arguments.redis, options: options))
        heartbeatBell = Ringer(on: thread)
        stopBell = Ringer(on: thread)
        workBell = Ringer(on: thread)
        let relay = Relay()
        follower = AssignmentFollower(
            board, onChange: { relay.shell?.apply($0) }, onTrouble: { relay.shell?.tell($0) })
        relay.set(self)
        exposeMetrics()
    }

    /// For how long it has hung: its thread, or its core's work.
    var hangsFor: Duration {
        let asked = with { $0.askedSince }.map { ContinuousClock.now - $0 } ?? .zero
        return max(thread.stillFor, asked)
    }

    /// The follower is made before the shell is whole.
    private final class Relay: Sendable {
        private let held = Mutex<Weak>(Weak())
        private struct Weak { weak var shell: ServerShell? }
        var shell: ServerShell? { held.withLock { $0.shell } }
        func set(_ shell: ServerShell) { held.withLock { $0.shell = shell } }
    }

    var stage: Stage { state.withLock { $0.stage } }

    func with<Result>(_ body: (inout State) -> sending Result) -> Result { state.withLock(body) }

    /// Its report as of now. The core's work is asked, so this lasts as long as that hangs.
    func report() async -> Report {
        let (core, generation, http) = with { ($0.core, $0.generation, $0.http) }
        // Before the core is asked, so that nothing newer is claimed than what its answer is about.
        let known = follower.known
        var report = Report(incarnation: arguments.incarnation, zone: arguments.zone, pid: processID, build: Build.version)
        report.http = http
        report.epoch = known.assignment.epoch
        report.term = known.assignment.term
        report.generation = max(generation, known.settings?.generation ?? 0)
        if let core {
            await core.contribute(to: &report)
            let readiness = await core.readiness
            with { if case .running = $0.stage { $0.stage = .running(readiness) } }
        }
        (report.state, report.waitsFor) = stage.state
        return report
    }

    func statusz() async -> Statusz {
        let known = follower.known
        let member = known.assignment.members[arguments.server]
        let (core, redis) = with { ($0.core, $0.redis) }
        let report = await report()
        var details: AnyEncodable?
        if let core { details = AnyEncodable(value: await core.details) }
        return Statusz(
            server: arguments.server, cell: arguments.cell.description, report: report,
            member: member?.incarnation == arguments.incarnation ? member : nil, settings: known.settings, redis: redis, core: details)
    }

    private func apply(_ known: AssignmentFollower.Known) {
        guard let core = with({ $0.core }) else { return workBell.ring() }
        apply(known, to: core)
    }

    /// What is known now, for a core that has just started.
    func enter(_ core: any ServerCore) {
        with {
            $0.core = core
            $0.stage = .running(.waits(for: "its first look at itself"))
        }
        apply(follower.known, to: core)
        waiting.end()
        heartbeatBell.ring()
    }

    /// Tells the core what it does not know yet.
    private func apply(_ known: AssignmentFollower.Known, to core: any ServerCore) {
        let told = with { $0.told }
        let settings = known.settings ?? with { state in state.spec.map { Settings($0, generation: state.generation, epoch: 0) } }
        if let settings, settings != told.settings {
            with { $0.told.settings = settings }
            core.apply(settings)
        }
        guard known.assignment.version > told.assignment else { return }
        with { $0.told.assignment = known.assignment.version }
        core.apply(known.assignment)
        if isConcerned(by: known.assignment) { heartbeatBell.ring() }
    }

    /// Whether the assignment changes what this server is to do.
    private func isConcerned(by assignment: Assignment) -> Bool {
        let named = assignment.members[arguments.server].flatMap { $0.incarnation == arguments.incarnation ? $0 : nil }
        return with { state in
            guard state.member != named else { return false }
            state.member = named
            state.concerned = assignment.epoch
            return true
        }
    }

    private func tell(_ trouble: AssignmentFollower.Trouble) {
        switch trouble {
        case .redis(let error): tellRedis(error)
        case .malformed(let error): if redisTrouble.isNews(error.description) { log.warning("ignored: \(error)") }
        }
    }

    /// Redis is away: it goes on with what it has.
    func tellRedis(_ error: RedisError) {
        with { $0.redis = "\(error)" }
        if redisTrouble.isNews(error.description) { log.warning("goes on without Redis: \(error)") }
    }

    func redisAnswered() {
        with { $0.redis = "ok" }
        if redisTrouble.end() { log.info("Redis is back") }
    }

    /// Not ready, and why.
    func wait(_ stage: Stage) {
        with { if $0.stage != .stopping { $0.stage = stage } }
        guard case .waits(let reason) = stage.readiness, waiting.isNews(reason) else { return }
        log.info("waits for \(reason)")
        heartbeatBell.ring()
    }

    func maker() -> ServerCoreMaker? { makers[arguments.kind] }

    func context(_ spec: CellSpec) -> ServerContext {
        ServerContext(
            server: arguments.server, incarnation: arguments.incarnation, zone: arguments.zone, spec: spec, bind: arguments.bind,
            host: arguments.reachable, port: port(in: spec), sharesPort: arguments.replaces != nil, descriptors: descriptors, log: log, metrics: metrics,
            board: board,
            follower: follower, ring: heartbeatBell.ring)
    }

    /// Several connect servers on one host take the ports that follow.
    private func port(in spec: CellSpec) -> Int {
        arguments.port ?? (arguments.kind == .connect ? Int(spec.connect.port) + arguments.server.number - 1 : 0)
    }
}
