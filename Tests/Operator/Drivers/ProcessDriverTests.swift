import Cell
import Glibc
import Processes
import Redis
import Support
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("The process driver, with real processes")
    struct ProcessDriverTests {
        let folder: TemporaryFolder
        let clock = OperatorClock()
        let cell = CellName("eu-1")!
        let life = ServerLife(ServerID(.messaging, 1), Incarnation("00000000deadbeef")!)
        var template: ServerTemplate { ServerTemplate(cell: cell, zone: "a", port: nil) }

        init() throws { folder = try TemporaryFolder("driver") }

        /// A server that is a shell script; its arguments are those of a real one.
        func driver(_ script: String, redis: RedisAddress = RedisAddress(host: "127.0.0.1", port: 6379)) throws -> ProcessDriver {
            // A file of its own: a shell reads its script as it goes, and must not find another's.
            let path = try folder.write("#!/bin/sh\n\(script)\n", to: "server-\(UInt32.random(in: 0...UInt32.max)).sh")
            chmod(path, 0o755)
            var spec = RunSpec.Process()
            spec.executable = path
            spec.directory = folder.file("run")
            return try ProcessDriver(cell, spec, redis: redis, clock: clock)
        }

        func state(_ driver: ProcessDriver, _ life: ServerLife? = nil) -> RunningServer.State? { driver.present.first { $0.life == life ?? self.life }?.state }

        @Test("a started server runs in a session of its own, with its names in its arguments, and starting again changes nothing")
        func start() async throws {
            let driver = try driver("echo \"$@\"; exec sleep 60")
            try await driver.start(life, as: template)
            try await driver.start(life, as: template)
            let pid = try #require(driver.present.first?.pid)
            #expect(driver.present.count == 1)
            #expect(getsid(pid) == pid)
            try await eventually("the log") { text(ofFile: folder.file("run/eu-1/logs/messaging-1.log")).contains("--incarnation 00000000deadbeef") }
            let log = text(ofFile: folder.file("run/eu-1/logs/messaging-1.log"))
            #expect(log.contains("messaging --cell eu-1 --server messaging-1 --incarnation 00000000deadbeef --redis redis://127.0.0.1:6379 --zone a"))
            try await driver.kill(life)
            try await eventually("its end") { kill(pid, 0) != 0 }
        }

        @Test("an exit is seen within 100 ms, with its code and last words", arguments: ["exit 7", "echo no such port >&2; exit 7"])
        func exits(_ end: String) async throws {
            let driver = try driver("read line < \(folder.file("gate")); \(end)")
            mkfifo(folder.file("gate"), 0o600)
            // The best of several: the machine may be busy with something else.
            var best = Duration.seconds(60)
            for number in 1...20 where best >= .milliseconds(100) {
                let life = ServerLife(ServerID(.messaging, number), life.incarnation)
                let events = driver.events()
                try await driver.start(life, as: template)
                let gate = open(folder.file("gate"), O_WRONLY)
                let asked = clock.now
                write(gate, "go\n", 3)
                close(gate)
                for await event in events {
                    guard case .server(let server) = event, case .exited(let at, let reason) = server.state else { continue }
                    best = min(best, at - asked)
                    #expect(reason.contains("code 7"))
                    if end.contains("port") { #expect(reason.contains("no such port")) }
                    break
                }
            }
            #expect(best < .milliseconds(100))
        }

        @Test("kill -9 from outside is seen, whoever started the server")
        func adoption() async throws {
            let first = try driver("exec sleep 60")
            try await first.start(life, as: template)
            let pid = try #require(first.present.first?.pid)
            try await eventually("sleep in the shell's place") { ProcessIdentity.commandLine(of: pid).first == "sleep" }
            // Another operator, or the same after its end: the same folder.
            let second = try driver("exec sleep 60")
            // sleep does not name the incarnation in its command line, so it is not ours to adopt.
            #expect(second.present.first?.isGone == true)
            kill(pid, SIGKILL)
            try await eventually("its end") { if case .exited(_, let reason) = state(first) { reason.contains("signal 9") } else { false } }
        }

        @Test("a later operator adopts what runs, sees its end at once, and knows of those that ended meanwhile")
        func adoptsRunning() async throws {
            let script = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
            let first = try driver(script)
            let other = ServerLife(ServerID(.messaging, 2), Incarnation("00000000feedbeef")!)
            try await first.start(life, as: template)
            try await first.start(other, as: template)
            let second = try driver(script)
            #expect(state(second) == .running)
            #expect(second.present.first?.pid == first.present.first?.pid)
            #expect(second.present.first?.zone == "a")
            let pid = try #require(second.present.first?.pid)
            kill(pid, SIGKILL)
            try await eventually("its end") { if case .exited = state(second) { true } else { false } }
            try await second.stop(other, grace: .seconds(5))
            try await eventually("the other's end") { if case .exited = state(second, other) { true } else { false } }
            try await eventually("the first sees it too") { if case .exited = state(first, other) { true } else { false } }
            let later = ServerLife(ServerID(.messaging, 3), Incarnation("00000000cafebeef")!)
            try await second.start(later, as: template)
            let seen = try await first.servers()
            #expect(seen.contains { $0.life == later && $0.state == .running }, "what another operator started is known after a re-read")
            try await first.kill(later)
            try await eventually("its end, seen by who started it") { if case .exited = state(second, later) { true } else { false } }
            try await second.forget(later)
            let third = try driver(script)
            #expect(third.present.count == 2)
            #expect(!third.present.contains { !$0.isGone })
            try await third.forget(life)
            try await third.forget(other)
            let fourth = try driver(script)
            #expect(fourth.present.isEmpty)
        }

        @Test("a bare process id is never trusted: a record with another start time is of a server that ended")
        func bareID() async throws {
            let driver = try driver("trap 'exit 0' TERM; while :; do sleep 0.05; done")
            try await driver.start(life, as: template)
            let name = "messaging-1_00000000deadbeef.json"
            let path = folder.file("run/eu-1/servers/\(name)")
            let pid = try #require(driver.present.first?.pid)
            let process = try #require(ProcessIdentity(of: pid))
            let forged = text(ofFile: path).replacing("\"start\":\(process.start)", with: "\"start\":\(process.start + 1)")
            try Files.replace(path, with: Array(forged.utf8), durable: false)
            let later = try self.driver("exit 0")
            #expect(later.present.first?.isGone == true)
            try await later.kill(life)
            #expect(process.isAlive, "nobody killed it for another's record")
            try await driver.kill(life)
            try await eventually("its end") { !process.isAlive }
        }

        @Test("a server that does not stop is killed after its grace, with its whole group")
        func grace() async throws {
            let driver = try driver("trap '' TERM; sleep 61 & echo $! > \(folder.file("child")); while :; do sleep 0.05; done")
            try await driver.start(life, as: template)
            let child: pid_t = try await eventually("the child") {
                pid_t(text(ofFile: folder.file("child")).split(whereSeparator: \.isNewline).first.map(String.init) ?? "")
            }
            let asked = clock.now
            try await driver.stop(life, grace: .milliseconds(400))
            try await eventually("its end") { if case .exited = state(driver) { true } else { false } }
            #expect(clock.now - asked >= .milliseconds(400))
            try await eventually("the child's end") { ProcessIdentity(of: child) == nil }
            #expect(driver.present.first?.asked == true)
        }

        @Test("a program that is not there is an error with a remedy, and leaves nothing behind")
        func missing() async throws {
            var spec = RunSpec.Process()
            spec.executable = folder.file("nothing")
            spec.directory = folder.file("run")
            let driver = try ProcessDriver(cell, spec, redis: RedisAddress(host: "127.0.0.1", port: 6379), clock: clock)
            await #expect(throws: DriverError.self) { try await driver.start(life, as: template) }
            #expect(driver.present.isEmpty)
            let records = try Files.names(in: folder.file("run/eu-1/servers"))
            #expect(records.isEmpty)
        }

        @Test("the password goes by the environment, never by the arguments")
        func secrets() async throws {
            let address = try RedisAddress(parsing: "redis://cell:s%2fcret@127.0.0.1:7000/2")
            let driver = try driver("echo \"$CELL_REDIS\"; exec sleep 60", redis: address)
            try await driver.start(life, as: template)
            let pid = try #require(driver.present.first?.pid)
            #expect(!template.arguments(life, address).joined().contains("cret"))
            try await eventually("the environment") {
                text(ofFile: folder.file("run/eu-1/logs/messaging-1.log")).contains("redis://cell:s%2Fcret@127.0.0.1:7000/2")
            }
            let parsed = try RedisAddress(parsing: address.withPassword)
            #expect(parsed.password == "s/cret")
            try await driver.kill(life)
            try await eventually("its end") { kill(pid, 0) != 0 }
        }

        @Test("a damaged record is set aside and named")
        func damaged() throws {
            try Files.makeFolder(folder.file("run/eu-1/servers"))
            try folder.write("{", to: "run/eu-1/servers/messaging-1_00000000deadbeef.json")
            let driver = try driver("exit 0")
            #expect(driver.damaged == ["messaging-1_00000000deadbeef.json"])
            #expect(driver.present.isEmpty)
        }

        @Test("operators that write one record at the same moment leave a whole one")
        func recordOfTwo() async throws {
            let records = ServerRecords(folder: folder.path)
            let long = String(repeating: "long ", count: 2_000)
            let record = ServerRecord(server: life.id, incarnation: life.incarnation, zone: "a", started_ms: 0, reason: long)
            try records.save(record)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2 { group.addTask { for _ in 0..<1_000 { try records.save(record) } } }
                group.addTask {
                    for _ in 0..<1_000 {
                        let damaged = try records.load().damaged
                        #expect(damaged.isEmpty)
                    }
                }
                try await group.waitForAll()
            }
            let loaded = try records.load()
            #expect(loaded.records == [record])
            let names = try Files.names(in: folder.path)
            #expect(names == [record.fileName], "nothing half written is left")
        }

        @Test("logs stay small: full ones are cut with some older parts kept, those of the long dead go")
        func rotation() throws {
            var logs = ServerLogs(folder: folder.path)
            logs.limit_bytes = 1_000
            logs.parts = 2
            logs.dead = 3
            let server = ServerID(.messaging, 9)
            for round in 1...4 {
                try folder.write(String(repeating: "\(round)", count: 2_000), to: "messaging-9.log")
                logs.tidy(living: [server])
            }
            #expect(Files.size(logs.path(of: server)) == 0)
            #expect(text(ofFile: folder.file("messaging-9.log.1")).hasPrefix("4"))
            #expect(text(ofFile: folder.file("messaging-9.log.2")).hasPrefix("3"))
            #expect(!Files.isThere(folder.file("messaging-9.log.3")))
            for number in 1...8 { try folder.write("x", to: "history-\(number).log") }
            logs.tidy(living: [server, ServerID(.history, 2)])
            let left = try Files.names(in: folder.path).filter { $0.hasPrefix("history") }
            #expect(left == ["history-2.log", "history-6.log", "history-7.log", "history-8.log"])
        }
    }
}
