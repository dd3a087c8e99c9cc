import FoundationEssentials
import Support
import Testing

/// The same cell in containers of a real Docker Engine, of an image that is built here without a registry.
@Suite("a whole cell in containers", .serialized)
struct DockerCellTests {
    private static let image = "cell:under-test"
    /// The same programs under another name.
    private static let nextImage = "cell:under-test-next"

    private static func spec(kafka: String, directory: String, engine: String) -> String {
        """
        apiVersion: cecochat.io/v1alpha1
        kind: Cell
        metadata: {name: boxes}
        spec:
          partitions: 24
          messaging: {servers: 2, standbys: 1, maxConnections: 2000}
          connect: {servers: 1, port: \(freePorts([0, 1, 2, 3]))}
          backplane: {kafka: {brokers: ["\(kafka)"], topic: boxes-messages, replicationFactor: 1}}
          store: {sqlite: {}}
          auth: {none: {}}
          rollout: {readyWithin: 15s}
          run: {docker: {image: "\(image)", endpoint: "\(engine)", volumes: ["\(directory):/var/lib/cell"]}}
        """
    }

    @Test(
        """
        chat with 100 clients; a container killed, one removed by force, one stopped (SIGSTOP), the operator killed, scaled to 3 and back, an upgrade that \
        cannot start and one that can, deleted: nothing lost, nothing left
        """,
        .enabled(if: Peers.wanted), .timeLimit(.minutes(15)))
    func everythingDies() async throws {
        let (kafka, engine) = (try await Peers.kafka(), try await Peers.docker())
        let docker = Docker(host: engine.addresses)
        try await docker.buildImage(Self.image)
        let history = try TemporaryFolder("history")
        let cell = try await CellUnderTest("boxes", spec: Self.spec(kafka: kafka.addresses, directory: history.path, engine: engine.addresses))
        do {
            try await live(in: cell, docker)
        } catch {
            Issue.record("\(error)\n\(cell.diagnosis)\n\(try await docker.run("ps", "-a"))")
        }
        var left = ""
        _ = try? await eventually("no container", within: .seconds(120)) {
            left = try await docker.run("ps", "-aq", "--format", "{{.Names}} {{.Status}}")
            return left.isEmpty
        }
        #expect(left.isEmpty, "\(left)")
        try await engine.stop()
        try await kafka.stop()
    }

    private func live(in cell: CellUnderTest, _ docker: Docker) async throws {
        try await cell.waitUntilReady()
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 100, rate: 150, least: 1_000)
        try await chat.opened()

        let killed = try await cell.owner()
        try await docker.run("kill", "--signal", "KILL", container(killed))
        try await cell.waitForLoss(of: killed)
        try await cell.waitForOwners(2)
        try await waitForStandby(cell)
        let removed = try await cell.owner()
        try await docker.run("rm", "--force", container(removed))
        try await cell.waitForLoss(of: removed)
        try await cell.waitForOwners(2)
        try await waitForStandby(cell)

        try await hang(cell, docker)

        let before = try await settled(cell, docker)
        try await cell.killOperator()
        try cell.startOperator()
        try await cell.waitForOwners(2)
        // It adopted what ran, and started nothing again.
        let after = try await settled(cell, docker)
        #expect(after == before)

        try await cell.expect("scale", "messaging=3", "--cell", "boxes")
        try await cell.waitForOwners(3)
        try await cell.expect("scale", "messaging=2", "--cell", "boxes")
        try await cell.waitForOwners(2)
        try await upgrade(cell, docker)

        let report = try await chat.finish(within: .seconds(240))
        #expect(report.good, "\(report) \(cell.diagnosis)")
        print("served again after a container's death, as clients saw it: \(report.outage_ms)")
        let events = try await cell.events()
        #expect(events.count { $0.kind == "ServerExited" } >= 2, "nobody told of the deaths: \(events)")
        try await cell.stop()
    }

    /// The lease and the probe find it; once another has its partitions it is killed.
    private func hang(_ cell: CellUnderTest, _ docker: Docker) async throws {
        let hung = try await cell.owner()
        try await docker.run("kill", "--signal", "STOP", container(hung))
        try await cell.waitForLoss(of: hung)
        let name = try container(hung)
        try await eventually("the end of \(name)", within: .seconds(120)) { try await !docker.run("ps", "--format", "{{.Names}}").contains(name) }
        try await eventually("the word of its kill") { try await cell.events().contains { $0.kind == "ServerKilled" && $0.server == hung.name } }
        try await cell.waitForOwners(2)
        try await waitForStandby(cell)
    }

    /// To an image that is nowhere: the fleet serves on, and `status` says what stands in the way. Then to one that is there, with nothing done by hand.
    private func upgrade(_ cell: CellUnderTest, _ docker: Docker) async throws {
        let spec = text(ofFile: cell.folder.file("cell.yaml"))
        let before = try await settled(cell, docker)
        try cell.folder.write(spec.replacing(Self.image, with: "127.0.0.1:9/cell:nosuch"), to: "cell.yaml")
        try await cell.expect("apply", "-f", cell.folder.file("cell.yaml"))
        try await eventually("the rollout to stop", within: .seconds(120)) {
            try await cell.cellctl("rollout", "status", "--cell", cell.name).errors.contains("127.0.0.1:9/cell:nosuch cannot be pulled")
        }
        let meanwhile = try await containers(docker)
        #expect(before == meanwhile, "nobody was stopped for what cannot start")

        try await docker.run("tag", Self.image, Self.nextImage)
        try cell.folder.write(spec.replacing(Self.image, with: Self.nextImage), to: "cell.yaml")
        try await cell.expect("apply", "-f", cell.folder.file("cell.yaml"))
        try await cell.expect("rollout", "status", "--cell", cell.name, "--wait=7m", within: .seconds(450))
        try await cell.waitUntilReady()
        try await eventually("every container to be of the new image", within: .seconds(120)) {
            let images = try await docker.run("ps", "--format", "{{.Image}}").split(separator: "\n")
            return !images.isEmpty && images.allSatisfy { $0 == Self.nextImage }
        }
    }

    private func container(_ server: CellUnderTest.Server) throws -> String { try #require(server.container, "\(server) has no container") }

    private func containers(_ docker: Docker) async throws -> [String] {
        try await docker.run("ps", "-q", "--no-trunc").split(separator: "\n").map(String.init).sorted()
    }

    /// The containers, once nobody is on the way in or out.
    private func settled(_ cell: CellUnderTest, _ docker: Docker) async throws -> [String] {
        try await eventually("as many containers as servers", within: .seconds(120)) {
            let (servers, containers) = (try await cell.servers(), try await containers(docker))
            return servers.allSatisfy { $0.state == "ready" } && servers.count == 6 && containers.count == 6 ? containers : nil
        }
    }

    /// Three messaging servers are ready: the dead one's replacement, too.
    private func waitForStandby(_ cell: CellUnderTest) async throws {
        try await eventually("the standby", within: .seconds(120)) {
            try await cell.servers("messaging").count { $0.state == "ready" } == 3
        }
    }
}

/// Docker's own command, at an engine of the test's.
struct Docker {
    let host: String

    @discardableResult
    func run(_ arguments: String...) async throws -> String {
        let outcome = try await ChildProcess.run("docker", arguments, environment: ["DOCKER_HOST": host], within: .seconds(120))
        guard outcome.exit == .code(0) else { throw CellFault("docker \(arguments): \(outcome.errors)") }
        return outcome.output
    }

    /// What it writes to standard error.
    func errors(of arguments: String...) async throws -> String {
        try await ChildProcess.run("docker", arguments, environment: ["DOCKER_HOST": host], within: .seconds(120)).errors
    }

    /// Of the programs under test, with their libraries.
    func buildImage(_ name: String) async throws {
        let outcome = try await ChildProcess.run(
            "\(CellUnderTest.repository)/scripts/image", [name], environment: ["DOCKER_HOST": host, "CELL_BINARIES": CellUnderTest.binaries],
            within: .seconds(300))
        guard outcome.exit == .code(0) else { throw CellFault("scripts/image: \(outcome.exit) \(outcome.errors)") }
    }
}
