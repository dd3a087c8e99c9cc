import Cell
import HTTP
import Redis
import Support
import Testing

@testable import Operator

extension OperatorTests.DockerDriverTests {
    /// An answer of `POST /images/create`, as a registry's failure comes: 200, and the failure is a line.
    static let failedPull = """
        {"status":"Pulling from team/cell","id":"2.0"}
        {"status":"Downloading","progressDetail":{"current":4096,"total":900000},"id":"aa11"}
        {"errorDetail":{"code":0,"message":"manifest for team/cell:2.0 has no entry for linux/amd64"},"error":"manifest for team/cell:2.0 has no entry for linux/amd64"}

        """

    @Test("a pull that fails after its 200 is told with the registry's own reason, and not tried again before a pause")
    func pullFails() async throws {
        let proxy = try EngineProxy(to: EngineUnderTest.running.socket)
        proxy.fail { $0.path.contains("/images/create") ? .answer(status: 200, body: Self.failedPull) : nil }
        var spec = EngineUnderTest.spec("tcp://127.0.0.1:\(proxy.port)")
        spec.image = "team/cell:2.0"
        let driver = try driver(spec)
        for _ in 1...4 {
            await #expect { try await driver.start(life(), as: template) } throws: {
                "\($0)".contains("team/cell:2.0 cannot be pulled: manifest for team/cell:2.0 has no entry")
            }
        }
        #expect(proxy.requests("/images/create").count == 1)
        #expect(proxy.requests("/images/create").first?.path.contains("fromImage=team%2Fcell&tag=2.0") == true)
        proxy.close()
    }

    @Test("a registry that hangs is given up, and one waits for it no longer than one's patience")
    func pullHangs() async throws {
        let proxy = try EngineProxy(to: EngineUnderTest.running.socket)
        proxy.fail { $0.path.contains("/images/create") ? .delay(ms: 20_000) : nil }
        let engine = try DockerEngine(DockerEndpoint(EngineUnderTest.spec("tcp://127.0.0.1:\(proxy.port)"), environment: [:]))
        let spawn = { @Sendable (work: @escaping @Sendable () async -> Void) in _ = Task { await work() } }
        // One that gives up the registry long after its callers have lost their patience, and one whose callers wait longer.
        let impatient = ImagePuller(clock, patience: .milliseconds(300), limits: HTTPTimeouts(idle: .seconds(60), total: .seconds(60)))
        for _ in 1...2 {
            await #expect {
                try await impatient.pull("far/cell:1", from: engine, spawn: spawn)
            } throws: {
                "\($0)".contains("still being pulled")
            }
        }
        try await eventually("its only request") { proxy.requests("/images/create").count == 1 }
        let patient = ImagePuller(clock, patience: .seconds(60), limits: HTTPTimeouts(idle: .seconds(1), total: .seconds(5)))
        await #expect {
            try await patient.pull("far/cell:1", from: engine, spawn: spawn)
        } throws: {
            "\($0)".contains("no byte for")
        }
        #expect(proxy.requests("/images/create").count == 2)
        proxy.close()
    }

    @Test("an image that is there is not pulled; a registry that nobody reaches is told of")
    func realPulls() async throws {
        let proxy = try EngineProxy(to: EngineUnderTest.running.socket)
        let here = try driver(EngineUnderTest.spec("tcp://127.0.0.1:\(proxy.port)"))
        try await here.start(life(1), as: template)
        #expect(proxy.requests("/images/").isEmpty)
        var spec = EngineUnderTest.spec("tcp://127.0.0.1:\(proxy.port)")
        spec.image = "127.0.0.1:\(freePort())/team/cell:nosuch"
        let driver = try driver(spec)
        await #expect { try await driver.start(life(2), as: template) } throws: { "\($0)".contains("connection refused") }
        // The server that runs is not disturbed.
        let left = try await here.servers()
        #expect(left.map(\.state) == [.running])
        try await remove(here)
        proxy.close()
    }
}
