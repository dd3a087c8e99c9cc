import FoundationEssentials
import Glibc
import Support
import Testing

/// People change a fleet of real processes while others chat: nobody notices, and what cannot be done is refused or stopped.
@Suite("changes of a fleet", .serialized)
struct FleetChangeTests {
    /// - Parameter executable: what its servers run; the built one when nil.
    private func spec(port: Int, executable: String? = nil) -> String {
        WholeCellTests.embedded.replacing("PORT", with: "\(port)")
            .replacing("directory: DIR", with: "directory: DIR" + (executable.map { ", executable: \($0)" } ?? ""))
            .replacing("auth: {none: {}}", with: "auth: {none: {}}\n  rollout: {readyWithin: 8s}\n  failover: {lease: 3s}")
    }

    private func apply(_ spec: String, to cell: CellUnderTest) async throws {
        try cell.folder.write(spec.replacing("DIR", with: cell.folder.path), to: "cell.yaml")
        try await cell.expect("apply", "-f", cell.folder.file("cell.yaml"))
    }

    @Test("an upgrade of every server, a drain and a move by hand under load: no stream ends, nothing is lost, doubled or reordered")
    func underLoad() async throws {
        let port = freePorts([0, 1, 2, 3])
        let cell = try await CellUnderTest("embedded", spec: spec(port: port))
        try await cell.waitUntilReady()
        let before = try await cell.servers()
        let upgraded = cell.folder.file("cell-server-2")
        try FileManager.default.copyItem(atPath: "\(CellUnderTest.binaries)/cell-server", toPath: upgraded)
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 60, rate: 60)
        try await chat.opened()

        try await apply(spec(port: port, executable: upgraded), to: cell)
        try await cell.expect("rollout", "status", "--cell", cell.name, "--wait=7m", within: .seconds(450))
        let after = try await cell.servers()
        let replaced = Set(before.filter { $0.kind != "backplane" }.compactMap(\.pid))
        #expect(replaced.isDisjoint(with: after.compactMap(\.pid)), "every server but the backplane is a new process")
        for server in after where server.kind != "backplane" {
            let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(try #require(server.pid))/exe")
            #expect(program == upgraded, "\(server.name)")
        }
        try await cell.waitForOwners(2)
        let drained = try await cell.owner(0).name
        try await cell.expect("drain", drained, "--cell", cell.name, "--wait=90s", within: .seconds(120))
        #expect(try await cell.servers("messaging").first { $0.name == drained }?.partitions == [])
        try await cell.expect("uncordon", drained, "--cell", cell.name)
        try await cell.waitForOwners(2)
        let target = try await cell.owner(1).name
        try await cell.expect("move", "0-2", target, "--cell", cell.name)
        try await eventually("partitions 0 to 2 at \(target)", within: .seconds(90)) {
            let owner = try await cell.servers("messaging").first { $0.name == target }
            return owner?.partitions.contains { $0.hasPrefix("0-") && Int($0.dropFirst(2)) ?? 0 >= 2 } ?? false
        }

        let report = try await chat.finish()
        #expect(report.good, "\(report) \(cell.diagnosis)")
        #expect(report.outage_ms.count == 0, "no stream may end: \(report)")
        try await cell.stop()
    }

    @Test("an upgrade to a program that exits at once stops after the first server and says why; undone, the cell is as it was")
    func brokenUpgrade() async throws {
        let port = freePorts([0, 1, 2, 3])
        let cell = try await CellUnderTest("embedded", spec: spec(port: port))
        try await cell.waitUntilReady()
        let before = try await cell.servers().compactMap(\.pid)
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 20, rate: 40)
        try await chat.opened()
        try await apply(spec(port: port, executable: "/bin/false"), to: cell)
        let stopped = try await eventually("the rollout's stop", within: .seconds(90)) {
            let outcome = try await cell.cellctl("rollout", "status", "--cell", cell.name)
            return outcome.exit == .code(5) ? outcome : nil
        }
        #expect(stopped.errors.contains("code 1"), "\(stopped.errors)")
        #expect(stopped.errors.contains("cellctl rollout undo"), "\(stopped.errors)")
        #expect(Set(before).isSubset(of: try await cell.servers().compactMap(\.pid)), "all of the old fleet serve on")
        try await cell.expect("rollout", "undo", "--cell", cell.name, "--wait=120s", within: .seconds(150))
        try await eventually("rest", within: .seconds(120)) { try await cell.cellctl("status", cell.name, "--check").exit == .code(0) }
        let report = try await chat.finish()
        #expect(report.good && report.outage_ms.count == 0, "\(report) \(cell.diagnosis)")
        #expect(Set(before).isSubset(of: try await cell.servers().compactMap(\.pid)), "nobody was replaced")
        try await cell.stop()
    }

    @Test("what would leave the cell without owners is refused in words, and changes nothing")
    func refusals() async throws {
        let port = freePorts([0, 1, 2, 3])
        let cell = try await CellUnderTest("embedded", spec: spec(port: port))
        try await cell.waitUntilReady()
        let names = try await cell.servers("messaging").map(\.name)
        let owner = try await cell.owner().name
        let standby = try #require(try await cell.servers("messaging").first { $0.role == "standby" }).name
        let before = try await cell.expect("get", "cells", "-o", "json")
        for (arguments, code, text) in [
            (["drain"] + names, 1, "no messaging server is ready to own"),
            (["move", "3", standby], 1, standby),
            (["move", "99", owner], 1, "99"),
            (["scale", "messaging=0"], 3, "messaging.servers"),
            (["drain", "messaging-77"], 1, "there is no server"),
        ] as [([String], Int32, String)] {
            let outcome = try await ChildProcess.run(
                "\(CellUnderTest.binaries)/cellctl", arguments + ["--cell", cell.name], environment: ["CELL_REDIS": "redis://127.0.0.1:\(cell.redis.port)"])
            #expect(outcome.exit == .code(code), "\(arguments): \(outcome.errors)")
            #expect(outcome.errors.contains(text), "\(arguments): \(outcome.errors)")
        }
        for (from, to, text) in [
            ("servers: 2, standbys: 1", "servers: 0, standbys: 1", "messaging.servers"),
            ("servers: 2,", "servers: 2, autoscale: {min: 5, max: 3, targetConnections: 100},", "autoscale"),
        ] {
            try cell.folder.write(spec(port: port).replacing(from, with: to).replacing("DIR", with: cell.folder.path), to: "wrong.yaml")
            let outcome = try await cell.cellctl("apply", "-f", cell.folder.file("wrong.yaml"))
            #expect(outcome.exit == .code(3), "\(outcome.errors)")
            #expect(outcome.errors.contains(text), "\(outcome.errors)")
        }
        #expect(try await cell.expect("get", "cells", "-o", "json").contains("\"generation\": 1") == before.contains("\"generation\": 1"))
        try await cell.stop()
    }
}
