import Cell
import Kafka
import Streams
import Synchronization
import TLS

/// Holds clients' streams and owns partitions of the log.
public final class MessagingServer: ServerCore {
    public static let maker: ServerCoreMaker = { try MessagingServer($0) }

    /// Descriptors that are not for clients: the log's connections, files, the web server's.
    private static let reservedDescriptors = 256
    /// How long the operator may take to say where the clients of a server that stops shall go.
    private static let patience = Duration.milliseconds(1_500)

    private let context: ServerContext
    private let engine: MessagingEngine
    private let state = Mutex(State())

    private struct State {
        var port: UInt16?
        var kafka: KafkaConfiguration?
        var problem = "its port"
        var run: Task<Void, Never>?
        var last: MessagingSnapshot?
        var rate = MessageRate()
        var meter = LoadMeter()
        var moveGrace: Duration = .seconds(10)
    }

    init(_ context: ServerContext) throws {
        self.context = context
        let authenticator = try Authenticator(context.spec.auth)
        let latency = context.metrics.histogram("cell_messaging_acknowledged_seconds", "From a Send to its Ack.")
        let configuration = MessagingConfiguration(
            identity: MessagingIdentity(
                server: context.server, incarnation: context.incarnation, partitions: context.spec.partitions, idWindow: context.spec.idWindow,
                embedded: context.spec.backplane == .embedded, descriptorLimit: max(64, context.descriptors - Self.reservedDescriptors)),
            settings: context.known.settings ?? Settings(context.spec, generation: 0, epoch: 0), host: context.bind, port: UInt16(context.port),
            topic: context.spec.topic,
            tls: try context.spec.messaging.tls.map { try TLSServerContext(certificate: $0.certificate, key: $0.key) },
            authenticate: { metadata in Self.caller(authenticator, metadata) },
            readAssignment: {
                await context.catchUp(to: context.known.assignment.epoch.next)
                return context.known.assignment
            },
            reportChanged: { context.reportNow() }, acknowledged: { latency.observe($0) })
        engine = try MessagingEngine(configuration)
        exposeMetrics()
    }

    static func caller(_ authenticator: Authenticator, _ metadata: (String) -> String?) -> Caller {
        switch authenticator.proven(authorization: metadata("authorization"), userID: metadata("x-user-id")) {
        case .success(let caller): .user(caller.user, until_ms: caller.until_ms)
        case .failure(.noUser(let why)), .failure(.noToken(let why)): .refused(GRPCStatus(.unauthenticated, why))
        }
    }

    public func start() async throws {
        let port = try listen()
        // Lives as long as the server: `stop` ends what it waits for, and then waits for it.
        let run = Task { [engine] in await engine.run() }
        state.withLock { state in
            state.port = port
            state.run = run
        }
        try connect(context.known.assignment)
        context.log.info("serves chat at \(context.address(port: Int(port)))")
    }

    private func listen() throws -> UInt16 {
        do {
            return try engine.start()
        } catch let error as StreamError where error.code == .addressTaken {
            throw StartProblem("port \(context.port) is taken", remedy: "Stop what listens there (ss -ltnp), or start this server with another --port")
        }
    }

    /// The embedded backplane may come back elsewhere.
    private func connect(_ assignment: Assignment) throws {
        let kafka = try KafkaConfiguration(context.spec, assignment, for: context.server)
        let isNew = state.withLock { state in
            state.problem = kafka == nil ? "the backplane's address" : ""
            guard state.port != nil, let kafka, kafka != state.kafka else { return false }
            state.kafka = kafka
            return true
        }
        if isNew, let kafka { try engine.connect(to: kafka) }
    }

    public func apply(_ assignment: Assignment) {
        do { try connect(assignment) } catch { state.withLock { $0.problem = "\(error)" } }
        engine.assign(assignment)
    }

    public func apply(_ settings: Settings) {
        state.withLock { $0.moveGrace = .milliseconds(settings.moveGrace_ms) }
        engine.configure(settings)
    }

    public var readiness: Readiness {
        get async {
            let problem = state.withLock { $0.port == nil ? "its port" : $0.problem }
            guard problem.isEmpty else { return .waits(for: problem) }
            let waitsFor = await look().waitsFor
            return waitsFor.isEmpty ? .ready : .waits(for: waitsFor)
        }
    }

    public func contribute(to report: inout Report) async {
        guard let port = state.withLock({ $0.port }) else { return }
        let now = await look()
        report.address = advertised(Int(port))
        now.report.fill(&report)
        (report.messagesPerSecond, report.loads) = state.withLock { state in
            (state.rate.perSecond(now.counters.sends + now.counters.deliveries, at: .now), state.meter.loads(now.tallies, at: .now))
        }
    }

    private func advertised(_ port: Int) -> String {
        context.spec.messaging.advertise.map { "\($0.contains(":") ? "[\($0)]" : $0):\(port)" } ?? context.address(port: port)
    }

    public var details: any Encodable & Sendable {
        get async { MessagingDetails(await look()) }
    }

    public func stop() async {
        let (run, grace, isListening) = state.withLock { ($0.run, $0.moveGrace, $0.port != nil) }
        guard isListening else { return }
        await engine.stop(patience: Self.patience, grace: grace)
        await run?.value
    }

    private func look() async -> MessagingSnapshot {
        let now = await engine.snapshot()
        state.withLock { $0.last = now }
        return now
    }

    // MARK: metrics

    private func exposeMetrics() {
        for (name, help, kind, value) in MessagingSnapshot.readings {
            context.metrics.read("cell_messaging_\(name)", help, as: kind) { [weak self] in
                self?.state.withLock { $0.last }.map { value($0) } ?? 0
            }
        }
        for reason in [Reason.invalid, .tooLarge, .tooFast, .overloaded, .unknownOutcome, .expired] {
            context.metrics.read("cell_messaging_refusals_total", "Sends refused.", ["reason": "\(reason)"], as: .counter) { [weak self] in
                Double(self?.state.withLock { $0.last?.counters.refusals[reason] } ?? 0)
            }
        }
        for status in ["unavailable", "resource_exhausted", "aborted", "out_of_range", "invalid_argument", "unauthenticated"] {
            context.metrics.read("cell_messaging_ends_total", "Streams ended by this server.", ["status": status], as: .counter) { [weak self] in
                Double(self?.state.withLock { $0.last?.counters.ends[status] } ?? 0)
            }
        }
    }
}

/// How many a second, over the last second or more.
struct MessageRate {
    private var count = 0
    private var since: ContinuousClock.Instant?
    private var rate = 0

    mutating func perSecond(_ total: Int, at now: ContinuousClock.Instant) -> Int {
        guard let since else {
            (self.since, count) = (now, total)
            return 0
        }
        let passed_ms = since.duration(to: now).milliseconds
        guard passed_ms >= 1_000 else { return rate }
        rate = (total - count) * 1_000 / Int(passed_ms)
        (self.since, count) = (now, total)
        return rate
    }
}

/// What each partition bears, over the last ten seconds or a little more: told more often it would make another report of each.
struct LoadMeter {
    static let interval = Duration.seconds(10)
    private var before: [Partition: Int] = [:]
    private var since: ContinuousClock.Instant?
    private var told = PartitionLoads([])

    /// - Parameter tallies: streams now, and messages since the partition's reading began.
    mutating func loads(_ tallies: [PartitionLoads.Load], at now: ContinuousClock.Instant) -> PartitionLoads {
        let passed_ms = since.map { $0.duration(to: now).milliseconds }
        if let passed_ms, passed_ms < Self.interval.milliseconds { return told }
        // One that is read afresh counts from its beginning.
        func rate(_ tally: PartitionLoads.Load) -> Int {
            guard let passed_ms else { return 0 }
            let last = before[tally.partition] ?? 0
            return (tally.messages - (last <= tally.messages ? last : 0)) * 1_000 / Int(passed_ms)
        }
        told = PartitionLoads(tallies.map { .init($0.partition, streams: $0.streams, messages: rate($0)) })
        before = Dictionary(uniqueKeysWithValues: tallies.map { ($0.partition, $0.messages) })
        since = now
        return told
    }
}

/// What `/statusz` shows.
struct MessagingDetails: Encodable, Sendable {
    var opened: Int
    var held: Int
    var inLine: Int
    var limit: Int
    /// Whether descriptors (ulimit -n) allow fewer than maxConnections.
    var isLimitedByDescriptors: Bool
    var sendsInFlight: Int
    var windowRecords: Int
    var windowBytes: Int
    var queuedBytes: Int
    var waitsFor: String
    /// Partitions that are behind the log's end, with by how much.
    var lagging: [String: Int64]

    init(_ now: MessagingSnapshot) {
        opened = now.opened
        held = now.held
        inLine = now.inLine
        limit = now.limit
        isLimitedByDescriptors = now.isLimitedByDescriptors
        sendsInFlight = now.flights
        windowRecords = now.windowRecords
        windowBytes = now.windowBytes
        queuedBytes = now.queuedBytes
        waitsFor = now.waitsFor
        lagging = Dictionary(uniqueKeysWithValues: now.lags.filter { $0.value > 0 }.map { ($0.key.description, $0.value) })
    }
}
