import Blackboard
import Cell
import Redis
@testable import Servers
import Support
import Synchronization
import Testing

/// A core that does what the test wants.
final class ObedientCore: ServerCore {
    struct Wishes {
        var startProblem: String?
        /// `start` does not return.
        var startsForEver = false
        var readiness = Readiness.ready
        var warm = PartitionSet()
        /// Holds up `contribute` or `stop` while true.
        var hangs = false
        var drains = false
        var starts = 0
        var assignments: [Epoch] = []
        var settings: [Int64] = []
        var hasStopped = false
    }

    let context: ServerContext
    let wishes: Mutex<Wishes>

    init(_ context: ServerContext, _ wishes: Wishes = Wishes()) {
        self.context = context
        self.wishes = Mutex(wishes)
    }

    func start() async throws {
        let problem = wishes.withLock { wishes in
            wishes.starts += 1
            return wishes.startProblem
        }
        while wishes.withLock({ $0.startsForEver }) { try await Task.sleep(for: .milliseconds(5)) }
        if let problem { throw StartProblem(problem, remedy: "Mend it") }
    }

    func apply(_ assignment: Assignment) { wishes.withLock { $0.assignments.append(assignment.epoch) } }
    func apply(_ settings: Settings) { wishes.withLock { $0.settings.append(settings.epoch) } }
    var readiness: Readiness { wishes.withLock { $0.readiness } }

    func contribute(to report: inout Report) async {
        while wishes.withLock({ $0.hangs }) { try? await Task.sleep(for: .milliseconds(5)) }
        report.address = context.address(port: 7)
        report.warm = wishes.withLock { $0.warm }
    }

    func stop() async {
        while wishes.withLock({ $0.drains }) { try? await Task.sleep(for: .milliseconds(5)) }
        wishes.withLock { $0.hasStopped = true }
    }
}

/// A shell in the test's own process, on a Redis of its own.
final class ShellUnderTest: Sendable {
    let redis: RedisProcess
    let board: CellBlackboard
    let election: Election
    let shell: ServerShell
    private let made = Mutex<ObedientCore?>(nil)
    private let ending: Task<ServerShell.End, Never>

    init(_ wishes: ObedientCore.Wishes = .init()) async throws {
        redis = try await RedisProcess()
        board = CellBlackboard(CellName("eu-1")!, on: try redis.client())
        guard case .leads(let election, _) = try await board.campaign(as: "test", token: "t", lease: .seconds(600), atLeast: .none) else {
            throw StartProblem("nobody leads", remedy: "")
        }
        self.election = election
        try await board.restore(StoredSpec(generation: 3, created_ms: 1, json: ConnectTests.spec.canonicalJSON), as: election)
        let arguments = try ServerArguments.parse(
            ["messaging", "--cell", "eu-1", "--redis", redis.address.description, "--server", "messaging-1", "--incarnation", "a1"], environment: [:])
        let relay = Relay()
        let shell = try ServerShell(
            arguments, makers: [.messaging: { context in relay.take(ObedientCore(context, wishes)) }], log: ServerLog("test", to: { _ in }))
        self.shell = shell
        ending = Task(executorPreference: shell.thread) { await shell.run() }
        let core = try await eventually("a core") { relay.core }
        made.withLock { $0 = core }
    }

    private final class Relay: Sendable {
        private let held = Mutex<ObedientCore?>(nil)
        var core: ObedientCore? { held.withLock { $0 } }
        func take(_ core: ObedientCore) -> ObedientCore {
            held.withLock { $0 = core }
            return core
        }
    }

    func wish(_ change: (inout ObedientCore.Wishes) -> Void) { made.withLock { $0 }?.wishes.withLock { change(&$0) } }
    var wishes: ObedientCore.Wishes { made.withLock { $0 }?.wishes.withLock { $0 } ?? .init() }
    func reportNow() { made.withLock { $0 }?.context.reportNow() }

    func report(within limit: Duration = .seconds(30), where condition: (Report) -> Bool) async throws -> Report {
        try await eventually("a report", within: limit) { try await board.servers().reports[ServerID(.messaging, 1)].flatMap { condition($0) ? $0 : nil } }
    }

    func hasLease() async throws -> Bool {
        let servers = try await board.servers()
        return servers.leases.contains { servers.isLive($0) }
    }

    func stop() async -> ServerShell.End {
        shell.askToStop()
        return await ending.value
    }
}

@Suite("A core in its shell")
struct CoreInShellTests {
    @Test("it gets every newer assignment and settings in order, and its report carries what it has applied")
    func applies() async throws {
        let test = try await ShellUnderTest()
        _ = try await test.report { $0.state == .ready && $0.address == "127.0.0.1:7" && $0.generation == 3 }
        var held = Assignment()
        for epoch in 100..<120 {
            var next = ConnectTests.assignment()
            next.epoch = Epoch(Int64(epoch))
            next.term = test.election.term
            next.members[ServerID(.messaging, 1)]?.owns = PartitionSet(0...Int32(epoch))
            try await test.board.publish(from: held, to: next, as: test.election)
            held = next
        }
        try await test.board.write(Settings(ConnectTests.spec, generation: 4, epoch: 9), as: test.election)
        _ = try await test.report { $0.epoch == Epoch(119) && $0.generation == 4 }
        #expect(test.wishes.assignments == test.wishes.assignments.sorted() && test.wishes.assignments.last == Epoch(119))
        #expect(test.wishes.assignments.count == Set(test.wishes.assignments).count, "each once")
        #expect(test.wishes.settings == [0, 9], "the spec's own come first, and each once")
        #expect(await test.stop() == .stopped)
    }

    @Test("what moves wait for is told at once, long before the next heartbeat")
    func atOnce() async throws {
        let test = try await ShellUnderTest()
        var settings = Settings(ConnectTests.spec, generation: 3, epoch: 9)
        settings.heartbeat_ms = 60_000
        settings.lease_ms = 120_000
        try await test.board.write(settings, as: test.election)
        try await eventually("the long heartbeat") { test.shell.follower.known.settings?.heartbeat_ms == 60_000 }
        test.reportNow()
        _ = try await test.report { $0.state == .ready }
        test.wish { $0.warm = PartitionSet(5...9) }
        test.reportNow()
        _ = try await test.report { $0.warm == PartitionSet(5...9) }

        var mine = ConnectTests.assignment()
        mine.term = test.election.term
        mine.members[ServerID(.messaging, 1)] = Member(incarnation: Incarnation("a1")!, address: "127.0.0.1:7", http: "", role: .standby)
        try await test.board.publish(from: Assignment(), to: mine, as: test.election)
        // That it has applied what concerns it.
        _ = try await test.report { $0.epoch == mine.epoch }
        #expect(await test.stop() == .stopped)
    }

    @Test("one that cannot start is told, and tried again; one that is not ready says why")
    func notReady() async throws {
        var wishes = ObedientCore.Wishes()
        wishes.startProblem = "its disk is full"
        let test = try await ShellUnderTest(wishes)
        let report = try await test.report { $0.waitsFor.contains("its disk is full. Mend it") }
        #expect(report.state == .starting)
        #expect(await test.stop() == .stopped)

        wishes.startProblem = nil
        wishes.readiness = .waits(for: "partition 7")
        let second = try await ShellUnderTest(wishes)
        #expect(try await second.report { $0.waitsFor == "partition 7" }.state == .starting)
        second.wish { $0.readiness = .ready }
        _ = try await second.report { $0.state == .ready && $0.waitsFor.isEmpty }
        #expect(await second.stop() == .stopped)
    }

    @Test("one whose start never ends is stopped all the same")
    func startsForEver() async throws {
        var wishes = ObedientCore.Wishes()
        wishes.startsForEver = true
        let test = try await ShellUnderTest(wishes)
        #expect(await test.stop() == .stopped)
        #expect(!test.wishes.hasStopped && test.wishes.assignments.isEmpty)
        test.wish { $0.startsForEver = false }
    }

    @Test("one whose work hangs loses its lease and its health; both come back with it")
    func hangs() async throws {
        let test = try await ShellUnderTest()
        let http = try await test.report { $0.state == .ready }.http
        test.wish { $0.hangs = true }
        try await eventually("no lease") { try await !test.hasLease() }
        try await eventually("no health") { try await Fetched("http://\(http)/healthz").status == 503 }
        test.wish { $0.hangs = false }
        try await eventually("a lease") { try await test.hasLease() }
        try await eventually("health") { try await Fetched("http://\(http)/healthz").status == 200 }
        #expect(await test.stop() == .stopped)
    }

    @Test("asked to stop: it says so at once, keeps its lease while it drains, and leaves when it is done")
    func drains() async throws {
        let test = try await ShellUnderTest()
        _ = try await test.report { $0.state == .ready }
        test.wish { $0.drains = true }
        test.shell.askToStop()
        _ = try await test.report { $0.state == .stopping }
        // Longer than a lease. One that is no longer renewed would not come back.
        try await Task.sleep(for: .milliseconds(1_600))
        try await eventually("its lease") { try await test.hasLease() }
        #expect(!test.wishes.hasStopped)
        test.wish { $0.drains = false }
        #expect(await test.stop() == .stopped)
        #expect(test.wishes.hasStopped)
        #expect(try await !test.hasLease())
        #expect(try await test.board.servers().reports.isEmpty)
    }

    @Test("one that never ends its draining is left after the grace")
    func neverEnds() async throws {
        let test = try await ShellUnderTest()
        var settings = Settings(ConnectTests.spec, generation: 3, epoch: 9)
        settings.moveGrace_ms = 100
        try await test.board.write(settings, as: test.election)
        try await eventually("the short grace") { test.shell.follower.known.settings?.moveGrace_ms == 100 }
        test.wish { $0.drains = true }
        #expect(await test.stop() == .stopped)
        #expect(!test.wishes.hasStopped)
        test.wish { $0.drains = false }
    }
}
