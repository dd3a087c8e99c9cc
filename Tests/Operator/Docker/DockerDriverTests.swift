import Cell
import FoundationEssentials
import HTTP
import Redis
import Support
import Testing

@testable import Operator

extension OperatorTests {
    /// With a real engine; a proxy before it where it has to misbehave.
    @Suite("The Docker driver, with a real engine", .enabled(if: Peers.wanted), .serialized, WithEngine())
    struct DockerDriverTests {
        let cell = CellName("docker-\(UInt32.random(in: .min ... .max))")!
        let clock = OperatorClock()

        func life(_ number: Int = 1) -> ServerLife {
            var generator = SystemRandomNumberGenerator()
            return ServerLife(ServerID(.messaging, number), Incarnation.random(using: &generator))
        }

        var template: ServerTemplate { ServerTemplate(cell: cell, zone: "a", generation: 3) }

        func driver(_ spec: RunSpec.Docker, redis: String = "127.0.0.1:6379") throws -> DockerDriver {
            try DockerDriver(cell, spec, redis: RedisAddress(parsing: redis), clock: clock, environment: [:])
        }

        /// A driver behind a proxy with this rule from the first request on.
        func proxied(_ rule: (@Sendable (EngineProxy.Request) -> EngineProxy.Fault?)? = nil) throws -> (DockerDriver, EngineProxy) {
            let proxy = try EngineProxy(to: EngineUnderTest.running.socket)
            proxy.fail(rule)
            return (try driver(EngineUnderTest.spec("tcp://127.0.0.1:\(proxy.port)")), proxy)
        }

        func remove(_ driver: DockerDriver) async throws {
            let engine = try EngineUnderTest.running
            for container in try await engine.containers(cell) { try await engine.engine.remove(container.Id) }
        }

        func waitForEnd(of life: ServerLife, _ driver: DockerDriver, within limit: Duration) async throws -> String {
            try await eventually("the end of \(life)", within: limit) {
                guard case .exited(_, let reason)? = try await driver.servers().first(where: { $0.life == life })?.state else { return nil }
                return reason
            }
        }

        /// Until the engine has said how it ended: what the process itself tells is not enough.
        func waitForReason(of life: ServerLife, _ driver: DockerDriver, within limit: Duration) async throws {
            try await eventually("how \(life) ended", within: limit) { try await waitForEnd(of: life, driver, within: limit).contains("signal 9") }
        }

        @Test("the contract", arguments: DriverContract.Clause.allCases)
        func keeps(_ clause: DriverContract.Clause) async throws {
            let substrate = try DockerSubstrate()
            try await DriverContract(substrate).check(clause)
            substrate.proxy.close()
        }

        @Test("a container says by its labels, name and arguments whose it is; the password stands in its environment alone")
        func identity() async throws {
            let driver = try driver(try EngineUnderTest.spec(EngineUnderTest.running.peer.addresses), redis: "redis://cell:s%2fcret@127.0.0.1:7000/2")
            let life = life()
            try await driver.start(life, as: template)
            let container = try #require(try await EngineUnderTest.running.containers(cell).first)
            #expect(container.Names == ["/cell-\(cell)-messaging-1-\(life.incarnation)"])
            #expect(
                container.Labels == [
                    "io.cecochat.cell": "\(cell)", "io.cecochat.server": "messaging-1", "io.cecochat.incarnation": "\(life.incarnation)",
                    "io.cecochat.generation": "3", "io.cecochat.build": "trial:1", "io.cecochat.zone": "a",
                ])
            // It was started; that it has spoken is another thing.
            let words = try await eventually("its words") { () -> String? in
                let words = try await EngineUnderTest.running.engine.lastWords(container.Id, within: .seconds(5))
                return words.contains("--incarnation") ? words : nil
            }
            #expect(words.hasPrefix("messaging --cell \(cell) --server messaging-1 --incarnation \(life.incarnation)"))
            #expect(!words.contains("cret"))
            try await remove(driver)
        }

        @Test("an event stream that ends again and again: deaths are seen, and it is opened less than once a second")
        func endedStreams() async throws {
            // Before the driver is: whenever a request is seen, it was not sent before its turn.
            let began = ContinuousClock.now
            let (driver, proxy) = try proxied { $0.path.contains("/events") ? .end(after_ms: 150) : nil }
            let life = life()
            try await driver.start(life, as: template)
            let count = try await eventually("some streams") { () -> Int? in
                let count = proxy.requests("/events").count
                return count >= 4 ? count : nil
            }
            #expect(ContinuousClock.now - began >= .seconds(count - 1))
            try await EngineUnderTest.running.crash(try #require(try await driver.servers().first))
            try await waitForReason(of: life, driver, within: .seconds(30))
            try await remove(driver)
            proxy.close()
        }

        @Test("an event stream that stays open and says nothing: deaths are seen within 5 s")
        func silentStreams() async throws {
            let (driver, proxy) = try proxied()
            proxy.fail { $0.path.contains("/events") ? .silence : nil }
            // The best of several: the machine may be busy with something else.
            var best = Duration.seconds(60)
            for number in 1...4 where best >= .seconds(5) {
                let life = life(number)
                try await driver.start(life, as: template)
                try await EngineUnderTest.running.crash(try #require(try await driver.servers().first { $0.life == life }))
                let began = ContinuousClock.now
                try await waitForReason(of: life, driver, within: .seconds(30))
                best = min(best, ContinuousClock.now - began)
            }
            #expect(best < .seconds(5))
            try await eventually("another stream") { proxy.requests("/events").count > 1 }
            try await remove(driver)
            proxy.close()
        }

        @Test("at rest nobody asks the engine for anything: it tells")
        func rest() async throws {
            let (driver, proxy) = try proxied()
            let life = life()
            try await driver.start(life, as: template)
            // Containers are listed once more after something has happened.
            let listed = proxy.requests("/containers/json").count
            try await eventually("the look after the start") { proxy.requests("/containers/json").count > listed }
            // Whoever lists them every so often never leaves the engine alone for so long. One stream that is opened anew may come in between.
            var last = (count: proxy.requests("/").count, at: ContinuousClock.now)
            try await eventually("a time without any request", within: DockerWork.trustedFor) {
                let count = proxy.requests("/").count
                if count != last.count { last = (count: count, at: .now) }
                return ContinuousClock.now - last.at >= DockerWork.lookEvery * 5 / 2
            }
            try await EngineUnderTest.running.crash(try #require(try await driver.servers().first))
            try await waitForReason(of: life, driver, within: .seconds(30))
            try await remove(driver)
            proxy.close()
        }

        @Test("events in pieces of three bytes")
        func pieces() async throws {
            let (driver, proxy) = try proxied()
            proxy.fail { $0.path.contains("/events") ? .pieces(3) : nil }
            let life = life()
            let events = driver.events()
            try await driver.start(life, as: template)
            try await EngineUnderTest.running.crash(try #require(try await driver.servers().first))
            for await event in events {
                if case .server(let server) = event, case .exited(_, let reason) = server.state, reason.contains("signal 9") { break }
            }
            try await remove(driver)
            proxy.close()
        }

        @Test("a removal that never ends holds up nothing: the dead are forgotten, and a replacement runs")
        func stuckInRemoval() async throws {
            let (driver, proxy) = try proxied()
            proxy.fail { $0.method == "DELETE" ? .answer(status: 409, body: #"{"message":"removal of container x is already in progress"}"#) : nil }
            let (dead, fresh) = (life(1), life(1))
            try await driver.start(dead, as: template)
            try await driver.kill(dead)
            _ = try await waitForEnd(of: dead, driver, within: .seconds(30))
            try await driver.forget(dead)
            try await driver.start(fresh, as: template)
            let lives = try await driver.servers().map(\.life)
            #expect(lives == [fresh])
            // It is tried again, and stays forgotten.
            try await eventually("another try") { proxy.requests("force=1").count >= 2 }
            let again = try await driver.servers().map(\.life)
            #expect(again == [fresh])
            try await remove(driver)
            proxy.close()
        }

        @Test("somebody else's container under our name is named and stays")
        func foreign() async throws {
            let engine = try EngineUnderTest.running
            let driver = try driver(EngineUnderTest.spec(engine.peer.addresses))
            let life = life()
            var body = ContainerBody(EngineUnderTest.spec(""), life, template, redis: RedisAddress(host: "127.0.0.1", port: 6379))
            body.Labels = [:]
            let name = ServerLabels.name(cell, life)
            let foreign = try await engine.engine.create(name, body)
            await #expect { try await driver.start(life, as: template) } throws: { "\($0)".contains(name) && "\($0)".contains("somebody else's") }
            let stays = try await engine.engine.inspect(foreign)
            #expect(stays?.Id == foreign)
            try await engine.engine.remove(foreign)
        }

        @Test("a container that was renamed is still known; a paused one is still there, and can be killed")
        func renamed() async throws {
            let engine = try EngineUnderTest.running
            let driver = try driver(EngineUnderTest.spec(engine.peer.addresses))
            let life = life()
            try await driver.start(life, as: template)
            let container = try #require(try await engine.containers(cell).first)
            try await engine.post("/containers/\(container.Id)/rename?name=other-\(cell)")
            try await engine.post("/containers/\(container.Id)/pause")
            let later = try self.driver(EngineUnderTest.spec(engine.peer.addresses))
            let found = try await later.servers()
            #expect(found.map(\.life) == [life])
            #expect(found.first?.state == .running)
            #expect(found.first?.container == "other-\(cell)")
            try await later.kill(life)
            _ = try await waitForEnd(of: life, later, within: .seconds(30))
            try await remove(driver)
        }

        @Test("every other answer is 500: servers start, and their ends are seen")
        func flapping() async throws {
            let (driver, proxy) = try proxied()
            proxy.fail { $0.number % 2 == 0 ? .answer(status: 500, body: #"{"message":"try again"}"#) : nil }
            var started: ServerLife?
            try await eventually("a start", within: .seconds(60)) {
                let trial = life()
                do { try await driver.start(trial, as: template) } catch { return false }
                started = trial
                return true
            }
            let survivor = try #require(started)
            let server = try await eventually("it runs", within: .seconds(60)) { try await driver.servers().first { $0.life == survivor } }
            try await EngineUnderTest.running.crash(server)
            _ = try await waitForEnd(of: survivor, driver, within: .seconds(60))
            proxy.fail(nil)
            try await eventually("those that failed halfway are gone", within: .seconds(60)) {
                try await EngineUnderTest.running.containers(cell).map { $0.Labels?["io.cecochat.incarnation"] } == ["\(survivor.incarnation)"]
            }
            try await remove(driver)
            proxy.close()
        }

        @Test("an engine that takes 20 s for everything is away, which is known within 6 s")
        func slow() async throws {
            // The best of several, each with a driver of its own: the machine may be busy with something else.
            var best = Duration.seconds(60)
            for _ in 1...3 where best >= .seconds(6) {
                let (driver, proxy) = try proxied { _ in .delay(ms: 20_000) }
                let began = ContinuousClock.now
                await #expect(throws: DriverError.self) { try await driver.servers() }
                best = min(best, ContinuousClock.now - began)
                proxy.close()
            }
            #expect(best < .seconds(6))
        }

        @Test("the engine restarts: meanwhile nobody is dead by its word, then all that died with it are known, and servers start again")
        func engineRestarts() async throws {
            let engine = try EngineUnderTest.running
            let driver = try driver(EngineUnderTest.spec(engine.peer.addresses))
            let (old, fresh) = (life(1), life(2))
            try await driver.start(old, as: template)
            try await engine.peer.stop()
            try await eventually("it is away", within: .seconds(60)) {
                do { return try await driver.servers().isEmpty } catch { return "\(error)".contains("Docker") }
            }
            try await engine.peer.start()
            _ = try await waitForEnd(of: old, driver, within: .seconds(60))
            try await driver.start(fresh, as: template)
            let states = try await driver.servers().map(\.isGone)
            #expect(states == [true, false])
            try await remove(driver)
        }

        @Test("a newer engine that refuses what is below 1.44 is spoken to in 1.52")
        func newerEngine() async throws {
            let (driver, proxy) = try proxied { request in
                if request.path == "/version" { return .answer(status: 200, body: #"{"ApiVersion":"1.52","MinAPIVersion":"1.44"}"#) }
                guard request.path.hasPrefix("/v1.52/") else { return .answer(status: 400, body: #"{"message":"client version is too old"}"#) }
                return .answer(status: 200, body: "[]")
            }
            let servers = try await driver.servers()
            #expect(servers.isEmpty)
            #expect(!proxy.requests("/v1.52/containers/json").isEmpty)
            #expect(proxy.requests("/").allSatisfy { $0.path == "/version" || $0.path.hasPrefix("/v1.52/") })
            proxy.close()
        }

        @Test(
            "wrong sockets are told from each other",
            arguments: [("unix:///nowhere/docker.sock", "there is no Docker socket"), ("tcp://127.0.0.1:1", "connect")])
        func wrongSockets(_ endpoint: String, _ words: String) async throws {
            let driver = try driver(EngineUnderTest.spec(endpoint))
            await #expect { try await driver.servers() } throws: { "\($0)".contains(words) }
        }
    }
}

extension EngineUnderTest {
    /// What the driver never asks for.
    func post(_ path: String) async throws {
        try await HTTPClient().send(HTTPRequest("POST", "http://docker\(path)", route: HTTPRoute(unixSocket: socket))).checked()
    }
}
