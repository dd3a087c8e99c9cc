import Cell
import Glibc
import Support
import Testing

@testable import Operator

/// A kind of thing that servers run on, as the contract's tests need it.
protocol Substrate: Sendable {
    /// An exit has to be seen so soon.
    var seesExitsWithin: Duration { get }
    /// A server that was started really runs after so long at most, on a busy machine, too; many at once need four times that.
    var runsWithin: Duration { get }
    /// The end of one that was asked is known after so long at most.
    var endsWithin: Duration { get }
    /// Of a server that was asked to stop, how it ended is known, too.
    var explainsStops: Bool { get }
    /// A driver as an operator makes it; the next one for the same cell is that of an operator that was started again.
    func driver(for cell: CellName, _ does: TrialServer) async throws -> any Driver
    /// The server's process on this machine.
    func process(_ server: RunningServer) async throws -> pid_t
    /// Servers of the cell that really run, by another witness than the driver.
    func running(_ cell: CellName) async throws -> Int
    /// Nothing that the driver asks is answered; false where that cannot be.
    func cut() async -> Bool
    func mend() async
}

extension Substrate {
    var runsWithin: Duration { .seconds(30) }
    var endsWithin: Duration { .seconds(60) }
    var explainsStops: Bool { true }

    /// Somebody else ends the server by SIGKILL.
    func crash(_ server: RunningServer) async throws {
        let pid = try await process(server)
        try #require(pid > 1 && kill(pid, SIGKILL) == 0)
    }

    /// Waits until the program has said what SIGTERM does to it.
    func waitUntilItMindsSIGTERM(_ server: RunningServer) async throws {
        let pid = try await process(server)
        try await eventually("the signal's handler") {
            let masks = text(ofFile: "/proc/\(pid)/status").split(separator: "\n").filter { $0.hasPrefix("SigIgn:") || $0.hasPrefix("SigCgt:") }
            return masks.contains { UInt64($0.dropFirst(7).filter(\.isHexDigit), radix: 16).map { $0 >> (SIGTERM - 1) & 1 == 1 } ?? false }
        }
    }
}

/// What the program does that stands for a server: a contract needs no more.
enum TrialServer: String, Sendable {
    /// Runs until it is asked to stop.
    case runs
    /// Does not stop when it is asked.
    case stubborn
    /// Says "no such port" and exits with code 7.
    case fails
}

/// What every driver promises, and how it is checked.
struct DriverContract {
    enum Clause: String, CaseIterable, Sendable {
        case startIsIdempotent, exitsAreSeenAtOnce, failuresAreExplained, stopsWithinGrace, killsAfterGrace, killsAtOnce, adoptsWhatRuns
        case knowsWhoEndedMeanwhile, forgetsTheEnded, cellsDoNotMix, thirtyAtOnce, awayForTenSeconds
    }

    let substrate: any Substrate
    let cell: CellName
    private let clock = OperatorClock()

    init(_ substrate: any Substrate) throws {
        self.substrate = substrate
        cell = try #require(CellName("trial-\(UInt32.random(in: .min ... .max))"))
    }

    func check(_ clause: Clause) async throws {
        switch clause {
        case .startIsIdempotent: try await startIsIdempotent()
        case .exitsAreSeenAtOnce: try await exitsAreSeenAtOnce()
        case .failuresAreExplained: try await failuresAreExplained()
        case .stopsWithinGrace: try await stopsWithinGrace()
        case .killsAfterGrace: try await killsAfterGrace()
        case .killsAtOnce: try await killsAtOnce()
        case .adoptsWhatRuns: try await adoptsWhatRuns()
        case .knowsWhoEndedMeanwhile: try await knowsWhoEndedMeanwhile()
        case .forgetsTheEnded: try await forgetsTheEnded()
        case .cellsDoNotMix: try await cellsDoNotMix()
        case .thirtyAtOnce: try await thirtyAtOnce()
        case .awayForTenSeconds: try await awayForTenSeconds()
        }
    }

    // MARK: Words for it

    func life(_ number: Int = 1, _ kind: ServerKind = .messaging) -> ServerLife {
        var generator = SystemRandomNumberGenerator()
        return ServerLife(ServerID(kind, number), Incarnation.random(using: &generator))
    }

    func template(_ cell: CellName? = nil, port: UInt16? = nil) -> ServerTemplate {
        ServerTemplate(cell: cell ?? self.cell, zone: "a", port: port, generation: 3)
    }

    func seen(_ driver: any Driver, _ life: ServerLife) async throws -> RunningServer? { try await driver.servers().first { $0.life == life } }

    /// - Returns: the server once it is gone.
    @discardableResult
    func end(of life: ServerLife, _ driver: any Driver) async throws -> RunningServer {
        try await eventually("the end of \(life)", within: substrate.endsWithin) {
            let found = try await seen(driver, life)
            return found?.isGone == true ? found : nil
        }
    }

    func mindful(_ life: ServerLife, _ driver: any Driver) async throws {
        try await substrate.waitUntilItMindsSIGTERM(try #require(try await seen(driver, life)))
    }

    func reason(_ server: RunningServer) -> String { if case .exited(_, let reason) = server.state { reason } else { "" } }

    /// Ends and forgets everything.
    func clean(_ driver: any Driver) async throws {
        for server in try await driver.servers() where !server.isGone { try await driver.kill(server.life) }
        try await eventually("the end of all", within: substrate.endsWithin) { try await driver.servers().allSatisfy(\.isGone) }
        for server in try await driver.servers() { try await driver.forget(server.life) }
        try await eventually("nothing left", within: substrate.endsWithin) { try await substrate.running(cell) == 0 }
    }

    // MARK: Clauses

    private func startIsIdempotent() async throws {
        let driver = try await substrate.driver(for: cell, .runs)
        let (life, port) = (life(1, .connect), UInt16(8_080))
        try await driver.start(life, as: template(port: port))
        try await driver.start(life, as: template(port: port))
        let servers = try await driver.servers()
        #expect(servers.map(\.life) == [life])
        #expect(servers.first?.state == .running)
        #expect(servers.first?.zone == "a")
        #expect(servers.first?.port == port)
        try await eventually("one that runs", within: substrate.runsWithin) { try await substrate.running(cell) == 1 }
        try await clean(driver)
    }

    private func exitsAreSeenAtOnce() async throws {
        let driver = try await substrate.driver(for: cell, .runs)
        // The best of several: the machine may be busy with something else.
        var best = Duration.seconds(60)
        for number in 1...20 where best > substrate.seesExitsWithin {
            let life = life(number)
            let events = driver.events()
            try await driver.start(life, as: template())
            let server = try #require(try await seen(driver, life))
            // It has to run before it can end.
            _ = try await substrate.process(server)
            let asked = ContinuousClock.now
            try await substrate.crash(server)
            for await event in events {
                guard case .server(let server) = event, server.life == life, server.isGone else { continue }
                best = min(best, ContinuousClock.now - asked)
                #expect(!server.asked)
                break
            }
            // How it ended may be known a little later.
            try await eventually("the reason") { try await seen(driver, life).map { reason($0).contains("signal 9") } ?? false }
        }
        #expect(best <= substrate.seesExitsWithin)
        try await clean(driver)
    }

    private func failuresAreExplained() async throws {
        let driver = try await substrate.driver(for: cell, .fails)
        let life = life()
        try await driver.start(life, as: template())
        try await end(of: life, driver)
        var words = ""
        do {
            try await eventually("the reason") {
                words = try await seen(driver, life).map(reason) ?? ""
                return words.contains("code 7") && words.contains("no such port")
            }
        } catch { Issue.record("\(error): \(words)") }
        try await clean(driver)
    }

    private func stopsWithinGrace() async throws {
        let driver = try await substrate.driver(for: cell, .runs)
        let life = life()
        try await driver.start(life, as: template())
        try await mindful(life, driver)
        // So long that its end is never waited for here.
        try await driver.stop(life, grace: .seconds(600))
        let ended = try await end(of: life, driver)
        if substrate.explainsStops {
            try await eventually("the reason") { try await seen(driver, life).map { reason($0).contains("code 0") } ?? false }
        }
        #expect(ended.asked)
        // One that is gone is stopped.
        try await driver.stop(life, grace: .seconds(1))
        try await driver.kill(life)
        try await clean(driver)
    }

    private func killsAfterGrace() async throws {
        let driver = try await substrate.driver(for: cell, .stubborn)
        let (life, other) = (life(1), life(2))
        for life in [life, other] { try await driver.start(life, as: template()) }
        for life in [life, other] { try await mindful(life, driver) }
        let asked = clock.now
        try await driver.stop(life, grace: .milliseconds(700))
        let ended = try await end(of: life, driver)
        #expect(clock.now - asked >= .milliseconds(700))
        #expect(ended.asked)
        // Nobody waits for one that has much time.
        let askedOther = clock.now
        try await driver.stop(other, grace: .seconds(60))
        #expect(clock.now - askedOther < .seconds(30), "stop waits for the server")
        let stopping = try #require(try await seen(driver, other))
        #expect(stopping.state == .stopping)
        try await substrate.crash(stopping)
        try await end(of: other, driver)
        try await clean(driver)
    }

    private func killsAtOnce() async throws {
        let driver = try await substrate.driver(for: cell, .stubborn)
        let life = life()
        try await driver.start(life, as: template())
        // A kubelet takes minutes to end a pod that it is just making, and one that does not run is not stubborn.
        try await mindful(life, driver)
        try await driver.kill(life)
        let ended = try await end(of: life, driver)
        #expect(ended.asked)
        try await clean(driver)
    }

    private func adoptsWhatRuns() async throws {
        let (kept, ended) = (life(1), life(2))
        do {
            let first = try await substrate.driver(for: cell, .runs)
            try await first.start(kept, as: template())
            try await first.start(ended, as: template())
        }
        let second = try await substrate.driver(for: cell, .runs)
        let servers = try await second.servers()
        #expect(servers.map(\.life) == [kept, ended])
        let areWhole = servers.allSatisfy { $0.state == .running && $0.zone == "a" }
        #expect(areWhole)
        // Started again by the operator that came later: it runs already.
        try await second.start(kept, as: template())
        try await eventually("two that run", within: substrate.runsWithin) { try await substrate.running(cell) == 2 }
        try await substrate.crash(try #require(servers.last))
        try await end(of: ended, second)
        try await second.stop(kept, grace: .seconds(600))
        try await end(of: kept, second)
        try await clean(second)
    }

    private func knowsWhoEndedMeanwhile() async throws {
        let life = life()
        do {
            let first = try await substrate.driver(for: cell, .runs)
            try await first.start(life, as: template())
            let server = try #require(try await seen(first, life))
            try await substrate.crash(server)
            try await eventually("its end", within: substrate.runsWithin) { try await substrate.running(cell) == 0 }
        }
        let second = try await substrate.driver(for: cell, .runs)
        try await end(of: life, second)
        try await second.forget(life)
        let third = try await substrate.driver(for: cell, .runs)
        try await eventually("it is forgotten") { try await third.servers().allSatisfy(\.isGone) }
    }

    private func forgetsTheEnded() async throws {
        let driver = try await substrate.driver(for: cell, .runs)
        let (ended, lives) = (life(1), life(2))
        try await driver.start(ended, as: template())
        try await driver.start(lives, as: template())
        // One that runs is not forgotten.
        try await driver.forget(lives)
        for life in [ended, lives] { try await mindful(life, driver) }
        try await driver.kill(ended)
        try await end(of: ended, driver)
        try await driver.forget(ended)
        let left = try await driver.servers().map(\.life)
        #expect(left == [lives])
        try await clean(driver)
    }

    private func cellsDoNotMix() async throws {
        let other = try #require(CellName("\(cell)x"))
        let (here, there) = (try await substrate.driver(for: cell, .runs), try await substrate.driver(for: other, .runs))
        let (mine, theirs) = (life(1), life(1))
        try await here.start(mine, as: template())
        try await there.start(theirs, as: template(other))
        let (ours, others) = (try await here.servers().map(\.life), try await there.servers().map(\.life))
        #expect(ours == [mine])
        #expect(others == [theirs])
        try await mindful(mine, here)
        try await mindful(theirs, there)
        try await here.kill(theirs)
        try await here.kill(mine)
        try await end(of: mine, here)
        try await eventually("one cell's driver does not kill another's server", within: substrate.runsWithin) { try await substrate.running(other) == 1 }
        let lives = try await there.servers().map(\.state)
        #expect(lives == [.running])
        try await clean(here)
        try await there.kill(theirs)
        try await end(of: theirs, there)
        try await there.forget(theirs)
    }

    /// Asks again, as an operator does, while the substrate is too busy to answer in time.
    private func patiently<Answer: Sendable>(_ ask: @Sendable () async throws -> Answer) async throws -> Answer {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            do { return try await ask() } catch let error as DriverError where ContinuousClock.now > deadline { throw error } catch is DriverError {}
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func thirtyAtOnce() async throws {
        let driver = try await substrate.driver(for: cell, .runs)
        let lives = (1...30).map { life($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for life in lives { group.addTask { try await patiently { try await driver.start(life, as: template()) } } }
            try await group.waitForAll()
        }
        let servers = try await patiently { try await driver.servers() }
        #expect(servers.map(\.life) == lives)
        #expect(servers.map(\.state) == lives.map { _ in .running })
        try await eventually("all that run", within: substrate.runsWithin * 4) { try await substrate.running(cell) == lives.count }
        for server in servers { try await substrate.crash(server) }
        try await eventually("all exits", within: substrate.endsWithin) { try await patiently { try await driver.servers() }.allSatisfy(\.isGone) }
        try await clean(driver)
    }

    private func awayForTenSeconds() async throws {
        let driver = try await substrate.driver(for: cell, .runs)
        let (life, other) = (life(1), life(2))
        try await driver.start(life, as: template())
        guard await substrate.cut() else { return try await clean(driver) }
        let back = clock.now + .seconds(10)
        try await eventually("the driver tells that it is away") {
            do {
                _ = try await driver.servers()
                return false
            } catch { return error is DriverError }
        }
        await #expect(throws: DriverError.self) { try await driver.start(other, as: template()) }
        try await eventually("ten seconds") { clock.now >= back }
        await substrate.mend()
        try await eventually("the driver is back") { try await driver.servers().first?.state == .running }
        let found = try await driver.servers().map(\.life)
        #expect(found == [life])
        try await eventually("nothing was started twice", within: substrate.runsWithin) { try await substrate.running(cell) == 1 }
        try await clean(driver)
    }
}
