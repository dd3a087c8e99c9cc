import Blackboard
import Cell
import Glibc
import Redis
@testable import Servers
import Support
import Testing

@Suite("cell-server from its start to its end")
struct ShellTests {
    let redis: RedisProcess
    let board: CellBlackboard
    let connect = ServerID(.connect, 1)

    init() async throws {
        redis = try await RedisProcess(appendOnly: true)
        board = CellBlackboard(CellName("eu-1")!, on: try redis.client())
    }

    func spec(port: Int) -> CellSpec {
        var spec = ConnectTests.spec
        spec.connect.port = UInt16(port)
        return spec
    }

    func lead() async throws -> Election {
        guard case .leads(let election, _) = try await board.campaign(as: "test", token: "t", lease: .seconds(600), atLeast: .none) else {
            Issue.record("the test does not lead")
            return Election(term: .none, token: "", leader: "")
        }
        return election
    }

    func assignment(_ epoch: Int64, _ election: Election, owner: String) -> Assignment {
        var assignment = ConnectTests.assignment()
        assignment.epoch = Epoch(epoch)
        assignment.term = election.term
        assignment.members[ServerID(.messaging, 1)]?.address = owner
        return assignment
    }

    @Test("waits for Redis, for the spec, for an assignment; follows it; leaves when asked")
    func wholeLife() async throws {
        let port = freePort()
        try await redis.stop()
        let server = try ServerUnderTest(connect, "a1", redis: redis.address)
        try await eventually("it says that Redis is away") { server.process.errors.contains("Connection refused") }
        #expect(server.process.isRunning)
        try await redis.start()
        let waiting = try await server.report(on: board) { $0.waitsFor.contains("spec of cell eu-1") }
        #expect(waiting.state == .starting)
        #expect(try await Fetched("http://\(waiting.http)/readyz").status == 503)
        #expect(try await Fetched("http://\(waiting.http)/healthz").status == 200)

        _ = try await board.putSpec("{\"kind\": \"Nonsense\"}", replacing: 0)
        _ = try await server.report(on: board) { $0.waitsFor.contains("{cell:eu-1}:spec:1:1") }
        _ = try await board.putSpec(spec(port: port).canonicalJSON, replacing: 1)
        let ready = try await server.report(on: board) { $0.state == .ready }
        #expect(ready.address == "127.0.0.1:\(port)" && ready.generation == 2 && ready.waitsFor.isEmpty && ready.build == Build.version)
        #expect(try await Fetched("http://\(ready.http)/readyz").status == 200)
        #expect(try await Fetched("http://127.0.0.1:\(port)/v1/connect", ["X-User-Id: 42"]).status == 503)

        let election = try await lead()
        let first = assignment(100, election, owner: "h:1")
        try await board.publish(from: Assignment(), to: first, as: election)
        _ = try await server.report(on: board) { $0.epoch == Epoch(100) && $0.term == election.term }
        #expect(try await Fetched("http://127.0.0.1:\(port)/v1/connect", ["X-User-Id: 42"]).body.contains("\"messaging\":\"h:1\""))
        try await board.publish(from: first, to: assignment(101, election, owner: "h:2"), as: election)
        try await eventually("the new owner") { try await Fetched("http://127.0.0.1:\(port)/v1/connect", ["X-User-Id: 42"]).body.contains("h:2") }
        #expect(try await Fetched("http://127.0.0.1:\(port)/v1/connect", ["X-User-Id: nobody"]).status == 400)
        #expect(try await Fetched("http://127.0.0.1:\(port)/").body.contains("GET /v1/connect"))
        for line in [
            "cell_connect_answers_total{code=\"503\"} 1", "cell_ready 1", "cell_assignment_epoch 101", "cell_build_info{version=\"\(Build.version)\"} 1",
        ] {
            try await eventually("the metric \(line)") { try await Fetched("http://\(ready.http)/metrics").body.contains(line) }
        }
        try await eventually("its own word") {
            let status = try await Fetched("http://\(ready.http)/statusz").body
            return status.contains("\"epoch\" : 101") && status.contains("\"server\" : \"connect-1\"")
        }

        server.process.signal(SIGTERM)
        #expect(try await server.process.waitForExit() == .code(0))
        let servers = try await board.servers()
        #expect(servers.leases.isEmpty && servers.reports.isEmpty)
        #expect(server.process.errors.contains("has stopped"))
    }

    @Test("Redis gone for longer than a lease, empty, without scripts: clients are served on, and the lease comes back")
    func redisAway() async throws {
        let port = freePort()
        _ = try await board.putSpec(spec(port: port).canonicalJSON, replacing: 0)
        let election = try await lead()
        try await board.publish(from: Assignment(), to: assignment(100, election, owner: "h:1"), as: election)
        let server = try ServerUnderTest(connect, "a1", redis: redis.address)
        let report = try await server.report(on: board) { $0.state == .ready && $0.epoch == Epoch(100) }
        func served() async throws -> Bool {
            try await Fetched("http://127.0.0.1:\(port)/v1/connect", ["X-User-Id: 42"]).body.contains("h:1")
        }
        #expect(try await served())
        try await redis.kill()
        try await eventually("it notices") { server.process.errors.contains("goes on without Redis") }
        #expect(try await served())
        #expect(try await Fetched("http://\(report.http)/healthz").status == 200)
        try redis.wipe()
        try await redis.start()
        _ = try await server.report(on: board) { $0.epoch == Epoch(100) }
        try await eventually("its lease") { try await server.lease(on: board) != nil }
        try await redis.client().command("FLUSHALL")
        try await redis.client().command("SCRIPT", "FLUSH")
        _ = try await server.report(on: board) { $0.epoch == Epoch(100) }
        #expect(try await served(), "an assignment that is gone is no assignment")
        #expect(server.process.isRunning)
    }

    @Test("a Redis that hangs for a second costs no more than a lease: it is renewed at once when it answers again")
    func redisHangs() async throws {
        _ = try await board.putSpec(spec(port: freePort()).canonicalJSON, replacing: 0)
        let server = try ServerUnderTest(connect, "a1", redis: redis.address)
        _ = try await server.report(on: board) { $0.state == .ready }
        // The best of several: the machine may be busy with something else.
        var best = Duration.seconds(60)
        for _ in 1...5 where best >= .seconds(1) {
            redis.pause()
            try await Task.sleep(for: .milliseconds(1_000))
            redis.resume()
            best = min(best, try await eventually("a lease again") { try await server.lease(on: board) != nil })
        }
        #expect(best < .seconds(1))
    }

    @Test("a server that hangs loses its lease, and has it again when it goes on")
    func hangs() async throws {
        _ = try await board.putSpec(spec(port: freePort()).canonicalJSON, replacing: 0)
        let server = try ServerUnderTest(connect, "a1", redis: redis.address)
        _ = try await server.report(on: board) { $0.state == .ready }
        server.process.signal(SIGSTOP)
        try await eventually("the end of its lease") { try await server.lease(on: board) == nil }
        server.process.signal(SIGCONT)
        try await eventually("a lease again") { try await server.lease(on: board) != nil }
    }

    @Test("a later incarnation of its name ends it, with a code of its own, and keeps lease and report")
    func superseded() async throws {
        _ = try await board.putSpec(spec(port: freePort()).canonicalJSON, replacing: 0)
        let old = try ServerUnderTest(connect, "a1", redis: redis.address)
        _ = try await old.report(on: board)
        let new = try ServerUnderTest(connect, "b2", redis: redis.address, ["--port", "\(freePort())"])
        #expect(try await old.process.waitForExit() == .code(3))
        _ = try await new.report(on: board) { $0.state == .ready }
        try await eventually("its lease") { try await new.lease(on: board) != nil }
        #expect(old.process.errors.contains("incarnation b2"))
    }

    @Test("a taken port is told, and taken as soon as it is free; the n-th connect server takes the n-th port")
    func takenPort() async throws {
        let port = freePorts([0, 1])
        let squatter = try ChildProcess(
            "python3", ["-c", "import socket,time\ns=socket.socket()\ns.bind(('127.0.0.1',\(port + 1)))\ns.listen()\nprint('up',flush=True)\ntime.sleep(600)"])
        try await eventually("the squatter") { squatter.output.contains("up") }
        _ = try await board.putSpec(spec(port: port).canonicalJSON, replacing: 0)
        let server = try ServerUnderTest(ServerID(.connect, 2), "a1", redis: redis.address)
        let report = try await server.report(on: board) { $0.waitsFor.contains("port \(port + 1) is taken") }
        let ready = try await Fetched("http://\(report.http)/readyz")
        #expect(ready.status == 503 && ready.body.contains("not ready: port \(port + 1) is taken"))
        try await squatter.kill()
        #expect(try await server.report(on: board) { $0.state == .ready }.address == "127.0.0.1:\(port + 1)")
    }

    @Test("asked twice it ends at once")
    func askedTwice() async throws {
        let server = try ServerUnderTest(connect, "a1", redis: redis.address)
        _ = try await server.report(on: board)
        redis.pause()
        server.process.signal(SIGTERM)
        try await eventually("it is stopping") { server.process.errors.contains("is stopping") }
        server.process.signal(SIGTERM)
        // Who is asked once ends with code 0, however long that takes.
        #expect(try await server.process.waitForExit() == .code(1))
        redis.resume()
    }

    @Test("wrong arguments: exit code 2, one line, what to write")
    func wrongArguments() async throws {
        let outcome = try await ChildProcess.run(ServerUnderTest.binary, ["messaging", "--cell", "eu-1"])
        #expect(outcome.exit == .code(2) && outcome.output.isEmpty)
        #expect(outcome.errors.split(separator: "\n").count == 1 && outcome.errors.contains("--server is missing"))
        let help = try await ChildProcess.run(ServerUnderTest.binary, ["--help"])
        #expect(help.exit == .code(0) && help.output.contains("--incarnation"))
    }
    @Test("with a user of few rights, cut off again and again while the assignment changes: nobody is deaf afterwards")
    func cutAgainAndAgain() async throws {
        let people = try redis.client()
        try await people.command("ACL", "SETUSER", "cell", "on", ">pw", "~{cell:*", "&*", "+@all")
        _ = try await board.putSpec(spec(port: freePort()).canonicalJSON, replacing: 0)
        let election = try await lead()
        let url = "redis://cell:pw@127.0.0.1:\(redis.port)"
        let servers = try (1...2).map { try ServerUnderTest(ServerID(.connect, $0), "a\($0)", redis: redis.address, url: url, ["--port", "\(freePort())"]) }
        for server in servers { _ = try await server.report(on: board) { $0.state == .ready } }
        var held = Assignment()
        for epoch in 100..<120 {
            let next = assignment(Int64(epoch), election, owner: "h:\(epoch)")
            try await board.publish(from: held, to: next, as: election)
            held = next
            try await people.command("CLIENT", "KILL", "TYPE", epoch.isMultiple(of: 3) ? "normal" : "pubsub", "SKIPME", "yes")
            try await Task.sleep(for: .milliseconds(50))
        }
        for server in servers { _ = try await server.report(on: board) { $0.epoch == Epoch(119) } }
        try await eventually("both listen") {
            try await people.command("PUBSUB", "NUMSUB", "{cell:eu-1}:assignment").array?.last?.integer == 2
        }
    }

    @Test("a password that is wrong is told as such, and mended without a restart")
    func wrongPassword() async throws {
        let people = try redis.client()
        try await people.command("ACL", "SETUSER", "cell", "on", ">pw", "~{cell:*", "&*", "+@all")
        _ = try await board.putSpec(spec(port: freePort()).canonicalJSON, replacing: 0)
        let server = try ServerUnderTest(connect, "a1", redis: redis.address, url: "redis://cell:pw@127.0.0.1:\(redis.port)")
        let report = try await server.report(on: board) { $0.state == .ready }
        try await people.command("ACL", "SETUSER", "cell", "resetpass", ">other")
        try await people.command("CLIENT", "KILL", "USER", "cell")
        try await eventually("it says why") { try await Fetched("http://\(report.http)/statusz").body.contains("WRONGPASS") }
        #expect(!server.process.errors.contains("pw@"), "no password in the log")
        try await people.command("ACL", "SETUSER", "cell", "resetpass", ">pw")
        try await eventually("a lease again") { try await server.lease(on: board) != nil }
    }
    @Test("with a certificate it speaks TLS, and says which file is missing")
    func certificate() async throws {
        let folder = try TemporaryFolder("tls")
        var spec = spec(port: freePort())
        spec.connect.tls = TLSFiles(certificate: folder.file("crt"), key: folder.file("key"))
        _ = try await board.putSpec(spec.canonicalJSON, replacing: 0)
        let server = try ServerUnderTest(connect, "a1", redis: redis.address)
        _ = try await server.report(on: board) { $0.waitsFor.contains("\(folder.file("crt")) of spec.connect.tls.certificate") }
        let made = try await ChildProcess.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder.file("key"), "-out", folder.file("crt"), "-days", "2", "-subj",
                "/CN=localhost",
            ])
        #expect(made.exit == .code(0))
        let ready = try await server.report(on: board) { $0.state == .ready }
        let answer = try await ChildProcess.run("curl", ["-s", "-k", "https://\(ready.address)/v1/connect", "-H", "X-User-Id: 42", "-w", "%{http_code}"])
        #expect(answer.output.hasSuffix("503"), "\(answer)")
    }
}
