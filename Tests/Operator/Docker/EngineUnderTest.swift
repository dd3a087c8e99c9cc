import Cell
import FoundationEssentials
import Glibc
import HTTP
import Redis
import Support
import Testing

@testable import Operator

/// A real Docker Engine with one image, `trial:1`, for all tests of a suite.
final class EngineUnderTest: Sendable {
    static let image = "trial:1"
    @TaskLocal static var current: EngineUnderTest?

    let peer: Peer
    /// To look with, beside the driver's own.
    let engine: DockerEngine

    /// The one of the running suite.
    static var running: EngineUnderTest { get throws { try #require(current) } }

    init() async throws {
        peer = try await Peers.docker()
        engine = try DockerEngine(try DockerEndpoint(Self.spec(peer.addresses), environment: [:]))
        try await importImage(Self.image)
    }

    var socket: String { String(peer.addresses.dropFirst("unix://".count)) }

    static func spec(_ endpoint: String) -> RunSpec.Docker {
        var spec = RunSpec.Docker(image: image)
        spec.endpoint = endpoint
        return spec
    }

    /// From a tar of a root file system: no registry and no builder are needed.
    func importImage(_ name: String, environment: [String: String] = [:], entrypoint: String? = nil) async throws {
        let folder = try TemporaryFolder("image")
        _ = try await TrialProgram(in: folder)
        try FileManager.default.createDirectory(atPath: folder.file("root/usr/local/bin"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: folder.file("cell-server"), toPath: folder.file("root/usr/local/bin/cell-server"))
        let tar = try await ChildProcess.run("tar", ["-C", folder.file("root"), "-cf", folder.file("root.tar"), "."])
        try #require(tar.exit == .code(0), "\(tar.errors)")
        let parts = name.split(separator: ":")
        let lines = environment.map { "ENV \($0.key)=\($0.value)" } + (entrypoint.map { ["ENTRYPOINT [\"\($0)\"]"] } ?? [])
        let changes = lines.map { "&changes=\(HTTPRequest.percentEncoded($0))" }.joined()
        let request = HTTPRequest(
            "POST", "http://docker/images/create?fromSrc=-&repo=\(parts[0])&tag=\(parts[1])\(changes)", body: try Files.read(folder.file("root.tar")),
            route: HTTPRoute(unixSocket: socket))
        try await HTTPClient().send(request).checked()
    }

    /// The container's process on this machine.
    func process(_ server: RunningServer) async throws -> pid_t {
        let container = try #require(server.container)
        let found = try await engine.inspect(container)
        return try #require(found?.State.Pid)
    }

    /// Ends the process of the container from outside.
    func crash(_ server: RunningServer) async throws {
        let pid = try await process(server)
        try #require(pid > 1 && kill(pid, SIGKILL) == 0)
    }

    func containers(_ cell: CellName) async throws -> [EngineMessage.Listed] { try await engine.list(cell) }
}

/// Starts the engine for a suite, and stops it.
struct WithEngine: SuiteTrait, TestScoping {
    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let engine = try await EngineUnderTest()
        do { try await EngineUnderTest.$current.withValue(engine, operation: function) } catch {
            try await engine.peer.stop()
            throw error
        }
        try await engine.peer.stop()
    }
}

/// Containers of the suite's engine, behind a proxy that can be cut.
struct DockerSubstrate: Substrate {
    let engine: EngineUnderTest
    let proxy: EngineProxy
    let seesExitsWithin = Duration.milliseconds(100)

    init() throws {
        engine = try .running
        proxy = try EngineProxy(to: engine.socket)
    }

    func driver(for cell: CellName, _ does: TrialServer) throws -> any Driver {
        var spec = EngineUnderTest.spec("tcp://127.0.0.1:\(proxy.port)")
        spec.environment = ["TRIAL": does.rawValue]
        return try DockerDriver(cell, spec, redis: RedisAddress(host: "127.0.0.1", port: 6379), clock: OperatorClock(), environment: [:])
    }

    func process(_ server: RunningServer) async throws -> pid_t { try await engine.process(server) }
    func running(_ cell: CellName) async throws -> Int { try await engine.containers(cell).count { $0.State == "running" } }

    func cut() -> Bool {
        proxy.fail { _ in .refuse }
        return true
    }

    func mend() { proxy.fail(nil) }
}
