import Blackboard
import Cell
import Kafka
import Redis
import Support
import Synchronization
import Web

@testable import Operator

/// Servers as tasks: they hold leases, report and follow the assignment in a real Redis as real ones do, and can hang, lose Redis alone, or die on demand.
final class TaskDriver: Driver, Sendable {
    struct Faults {
        var hangs = false
        var isCutOff = false
        /// Reads nothing any more.
        var isStuck = false
    }

    private final class Body: Sendable {
        let faults = Mutex(Faults())
        let task = Mutex<Task<Void, Never>?>(nil)
        let web = Mutex<WebServer?>(nil)
    }

    private struct Entry {
        var seen: RunningServer
        var body: Body
    }

    private struct State {
        var entries: [ServerLife: Entry] = [:]
        var listeners: [AsyncStream<DriverEvent>.Continuation] = []
        var starts = 0
        var isReady = true
    }

    private let state = Mutex(State())
    private let board: CellBlackboard
    private let clock = OperatorClock()
    let heartbeat: Duration
    let lease: Duration
    /// The log that servers read, where a test has one.
    private let log: (broker: EmbeddedBroker, queries: LogQueries)?

    init(_ board: CellBlackboard, heartbeat: Duration, lease: Duration, log: EmbeddedBroker? = nil) throws {
        self.board = board
        self.log = try log.map { ($0, try LogQueries($0.configuration, topic: $0.topic)) }
        self.heartbeat = heartbeat
        self.lease = lease
    }

    var starts: Int { state.withLock { $0.starts } }
    /// Servers started from now on never become ready while false.
    func areReady(_ ready: Bool) { state.withLock { $0.isReady = ready } }
    var living: [ServerLife] { state.withLock { $0.entries.values.filter { !$0.seen.isGone }.map(\.seen.life).sorted() } }

    func fault(_ id: ServerID, _ change: @Sendable (inout Faults) -> Void) {
        for body in state.withLock({ $0.entries.values.filter { $0.seen.life.id == id && !$0.seen.isGone }.map(\.body) }) {
            body.faults.withLock { change(&$0) }
        }
    }

    /// `kill -9`.
    func crash(_ id: ServerID) {
        for life in living where life.id == id { end(life, "signal 9 (Killed) ended it") }
    }

    /// Dies without a word of its driver, like a pod whose kubelet has not looked yet.
    func vanish(_ id: ServerID) async {
        for body in state.withLock({ $0.entries.values.filter { $0.seen.life.id == id && !$0.seen.isGone }.map(\.body) }) {
            body.task.withLock { $0 }?.cancel()
            await body.web.withLock { $0 }?.stop(grace: .zero)
        }
    }

    /// All at once, without an operator to see it.
    func crashAll() { for life in living { end(life, "signal 9 (Killed) ended it") } }

    // MARK: Driver

    func servers() async throws -> [RunningServer] { state.withLock { $0.entries.values.map(\.seen).sorted { $0.life < $1.life } } }

    func start(_ life: ServerLife, as template: ServerTemplate) async throws {
        var seen = RunningServer(life, started: clock.now, zone: template.zone, port: template.port, pid: 1)
        seen.template = template.name
        let body = Body()
        let becomesReady = state.withLock { state -> Bool? in
            guard state.entries[life] == nil else { return nil }
            state.starts += 1
            state.entries[life] = Entry(seen: seen, body: body)
            return state.isReady
        }
        guard let becomesReady else { return }
        tell(seen)
        var routes = WebRoutes()
        routes.onAsync("GET", "/healthz") { _ in
            while body.faults.withLock({ $0.hangs }) { try? await Task.sleep(for: .milliseconds(20)) }
            return .text("ok")
        }
        let web = try WebServer(port: 0, routes: routes)
        body.web.withLock { $0 = web }
        let task = Task { [board, heartbeat, lease, log] in
            await Self.live(life, template, body, port: web.port, board, heartbeat, lease, log, becomesReady: becomesReady)
        }
        body.task.withLock { $0 = task }
        // It may have been ended before it had its task.
        if state.withLock({ $0.entries[life]?.seen.isGone ?? true }) { task.cancel() }
    }

    private static func live(
        _ life: ServerLife, _ template: ServerTemplate, _ body: Body, port: Int, _ board: CellBlackboard, _ heartbeat: Duration, _ lease: Duration,
        _ log: (broker: EmbeddedBroker, queries: LogQueries)?, becomesReady: Bool
    ) async {
        var report = Report(incarnation: life.incarnation, zone: template.zone, pid: 1, build: "test")
        var newest = Assignment()
        var arrived: Int64?
        while !Task.isCancelled {
            let faults = body.faults.withLock { $0 }
            if !faults.hangs, !faults.isCutOff {
                if let read = try? await board.assignment(), read.version > newest.version { newest = read }
                report.http = "127.0.0.1:\(port)"
                report.address = life.id.kind == .backplane ? log?.broker.address ?? "127.0.0.1:\(port)" : "127.0.0.1:\(port)"
                report.state = becomesReady ? .ready : .starting
                report.waitsFor = becomesReady ? "" : "a test"
                report.epoch = newest.epoch
                report.term = newest.term
                report.log = newest.log
                if let settings = try? await board.settings() { report.generation = max(report.generation, settings.generation) }
                if let member = newest.members[life.id], member.incarnation == life.incarnation {
                    report.warm = member.owns.union(member.opens)
                    report.left = member.leaves
                    report.connections = member.owns.count
                    let reads = member.owns.union(member.shadows).map(\.number)
                    if let ends = try? await log?.queries.endOffsets(of: reads), !faults.isStuck {
                        report.positions = Dictionary(uniqueKeysWithValues: ends.offsets.map { ("\($0.key)", $0.value) })
                    } else if log == nil {
                        report.positions = Dictionary(uniqueKeysWithValues: reads.map { ("\($0)", Int64(1)) })
                    }
                }
                if arrived == nil { arrived = try? await board.time() }
                if let arrived {
                    _ = try? await board.renewLease(of: life.id, life.incarnation, arrived_ms: arrived, lease: lease, report: report, urgent: true)
                }
            }
            try? await Task.sleep(for: heartbeat)
        }
    }

    func stop(_ life: ServerLife, grace: Duration) async throws {
        let body = state.withLock { $0.entries[life]?.body }
        end(life, "it exited with code 0", asked: true)
        // What it was writing would come back after it has left.
        if let task = body?.task.withLock({ $0 }) { await task.value }
        try await board.leave(life.id, life.incarnation)
    }

    func kill(_ life: ServerLife) async throws { end(life, "signal 9 (Killed) ended it", asked: true) }

    func forget(_ life: ServerLife) async throws { state.withLock { if $0.entries[life]?.seen.isGone == true { $0.entries[life] = nil } } }

    func events() -> AsyncStream<DriverEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: DriverEvent.self)
        state.withLock { $0.listeners.append(continuation) }
        return stream
    }

    private func end(_ life: ServerLife, _ reason: String, asked: Bool = false) {
        let entry = state.withLock { state -> Entry? in
            guard var entry = state.entries[life], !entry.seen.isGone else { return nil }
            entry.seen.state = .exited(at: clock.now, reason: reason)
            entry.seen.asked = asked
            state.entries[life] = entry
            return entry
        }
        guard let entry else { return }
        entry.body.task.withLock { $0 }?.cancel()
        tell(entry.seen)
    }

    private func tell(_ server: RunningServer) { for listener in state.withLock({ $0.listeners }) { listener.yield(.server(server)) } }
}
