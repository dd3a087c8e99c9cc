import Blackboard
import Cell
import FoundationEssentials
import Support
import Testing

private struct Items<Item: Decodable>: Decodable { var items: [Item] }

private func items<Item: Decodable>(_ outcome: ChildProcess.Outcome, of type: Item.Type) throws -> [Item] {
    try JSONDecoder().decode(Items<Item>.self, from: Data(outcome.output.utf8)).items
}

extension CampaignResult {
    fileprivate var election: Election? { if case .leads(let election, _) = self { election } else { nil } }
}

@Suite("cellctl's other verbs")
struct VerbTests {
    /// A cell with an operator's lead, an assignment, a status, two servers and some events.
    private func livingCell() async throws -> (bench: Bench, election: Election) {
        let bench = try await Bench()
        _ = try await bench.run("apply", "-", input: Bench.cell)
        let board = try bench.board()
        let campaign = try await board.campaign(as: "operator-1", token: "t", lease: .seconds(600), atLeast: Term(1))
        let election = try #require(campaign.election)
        var assignment = Assignment(epoch: Epoch(7), term: election.term)
        var status = CellStatus()
        status.observedGeneration = 1
        status.leader = "operator-1"
        status.operatorBuild = "0.1.0"
        status.conditions = [.init(.ready, .no, reason: "Starting", message: "messaging-2 is starting", observedGeneration: 1, lastTransition_ms: 1)]
        for number in 1...2 {
            let id = ServerID(.messaging, number)
            let incarnation = Incarnation("abc\(number)")!
            var member = Member(
                incarnation: incarnation, address: "127.0.0.1:900\(number)", http: "127.0.0.1:910\(number)", role: number == 1 ? .owner : .standby)
            if number == 1 { member.owns = PartitionSet(0...11) } else { member.shadows = PartitionSet(0...11) }
            assignment.members[id] = member
            var report = Report(incarnation: incarnation, zone: "", pid: 1, build: "0.1.0")
            report.state = .ready
            report.generation = 1
            report.connections = number
            report.positions = ["3": 12]
            _ = try await board.renewLease(of: id, incarnation, arrived_ms: 1, lease: .seconds(600), report: report, urgent: false)
            var server = CellStatus.ServerStatus(id, incarnation, state: number == 1 ? .ready : .starting)
            server.pid = Int32(number)
            server.address = member.address
            server.waitsFor = number == 1 ? "" : "the log's end"
            status.servers.append(server)
        }
        try await board.rewrite(assignment, as: election)
        try await board.write(status, as: election)
        try await board.write(Settings(try CellSpec.read(json: board.spec()!.json, source: "redis"), generation: 1, epoch: 3), as: election)
        try await board.add(
            [
                CellEvent("ServerDied", time_ms: 5, server: ServerID(.messaging, 1), text: "killed"),
                CellEvent("FailedOver", time_ms: 6, text: "to messaging-2"),
            ], as: election)
        return (bench, election)
    }

    private struct Server: Decodable {
        var name: String, kind: String, role: String, state: String, incarnation: String, address: String, partitions: [String], connections: Int, pid: Int32?,
            epoch: Int64
    }

    @Test("get servers: the items of the design")
    func servers() async throws {
        let (bench, _) = try await livingCell()
        let servers = try items(try await bench.run("get", "servers", "-o", "json"), of: Server.self)
        #expect(servers.map(\.name) == ["messaging-1", "messaging-2"])
        #expect(servers[0].kind == "messaging" && servers[0].role == "owner" && servers[0].state == "ready" && servers[0].partitions == ["0-11"])
        #expect(servers[1].role == "standby" && servers[1].state == "starting" && servers[1].connections == 2 && servers[1].pid == 2)
        let table = try await bench.run("get", "servers", "messaging", "-o", "wide")
        #expect(table.lines[0].hasPrefix("NAME         ROLE     STATE     PARTITIONS  CONNECTIONS  ADDRESS"))
        #expect(table.lines.count == 3 && table.lines[2].hasSuffix("the log's end"))
        #expect(try await bench.run("get", "servers", "messaging-2", "-o", "name").output == "server/messaging-2\n")
        let absent = try await bench.run("get", "servers", "mesaging-2")
        #expect(absent.exit == .code(1) && absent.errors == "cellctl: there is no server \"mesaging-2\". Did you mean messaging-2?\n")
    }

    private struct PartitionItem: Decodable { var partition: Int, owner: String?, standby: String?, position: Int64? }
    private struct EventItem: Decodable { var kind: String, text: String, server: String?, time: String }
    private struct CellItem: Decodable {
        struct Spec: Decodable { var partitions: Int }
        var name: String, generation: Int64, ready: String, spec: Spec
    }
    private struct Setting: Decodable { var name: String, epoch: Int64 }

    private struct Origin: Decodable {
        var name: String, value: Value, from: String
        enum Value: Decodable, Equatable {
            case text(String), number(Int)
            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let number = try? container.decode(Int.self) { self = .number(number) } else { self = .text(try container.decode(String.self)) }
            }
        }
    }

    @Test("set: overrides are judged like cell.yaml, written once, shown with where they come from, and taken back")
    func set() async throws {
        let (bench, _) = try await livingCell()
        let board = try bench.board()
        let outcome = try await bench.run("set", "messaging.limits.bodyBytes=4Ki", "spec.messaging.limits.userRate=10")
        #expect(outcome.output == "setting/messaging.limits.bodyBytes set\nsetting/messaging.limits.userRate set\n", "\(outcome.errors)")
        let first = try await board.overrides()
        #expect(first.values == ["messaging.limits.bodyBytes": "4Ki", "messaging.limits.userRate": "10"])
        #expect(try await bench.run("set", "messaging.limits.userRate=10").output == "setting/messaging.limits.userRate unchanged\n")
        #expect(try await bench.run("set", "messaging.limits.userRate=11", "--dry-run").output == "setting/messaging.limits.userRate set (dry run)\n")
        #expect(try await board.overrides() == first)
        let settings = try items(try await bench.run("get", "settings", "-o", "json"), of: Origin.self)
        #expect(settings.filter { $0.from == "set" }.map(\.name) == ["messaging.limits.bodyBytes", "messaging.limits.userRate"])
        #expect(Set(settings.map(\.name)) == Set(SettingsOverrides.names))
        #expect(try await bench.run("set", "messaging.limits.userRate-").output == "setting/messaging.limits.userRate reset\n")
        let second = try await board.overrides()
        #expect(second.values == ["messaging.limits.bodyBytes": "4Ki"] && second.revision > first.revision)
    }

    @Test(
        "set refuses what cell.yaml would refuse, and writes nothing",
        arguments: [
            ("messaging.limits.bodyBytes=2Mi", 3, "messaging.limits.bodyBytes"), ("messaging.limits.bodyBytes=many", 3, "messaging.limits.bodyBytes"),
            ("failover.lease=500ms", 3, "two heartbeats"), ("messaging.limits.backlog=1Ki", 3, "messaging.limits.backlog"),
            ("messaging.servers=3", 2, "setting"), ("messaging.limits.bodyByte=1", 2, "Did you mean messaging.limits.bodyBytes?"), ("x", 2, "NAME=VALUE"),
            ("messaging.limits.bodyBytes=", 2, "no value"),
        ])
    func setRefuses(word: String, code: Int32, text: String) async throws {
        let (bench, _) = try await livingCell()
        let outcome = try await bench.run("set", word)
        #expect(outcome.exit == .code(code) && outcome.errors.contains(text), "\(outcome)")
        #expect(try await bench.board().overrides() == SettingsOverrides())
    }

    @Test("get partitions, events, cells, settings as JSON")
    func others() async throws {
        let (bench, _) = try await livingCell()
        let partitions = try items(try await bench.run("get", "partitions", "-o", "json"), of: PartitionItem.self)
        #expect(partitions.count == 12 && partitions[3].owner == "messaging-1" && partitions[3].standby == "messaging-2" && partitions[3].position == 12)
        #expect(try await bench.run("get", "partitions", "3-4", "11", "-o", "name").lines == ["partition/3", "partition/4", "partition/11"])
        let events = try items(try await bench.run("get", "events", "-o", "json"), of: EventItem.self)
        #expect(events.map(\.kind) == ["ServerDied", "FailedOver"] && events[0].server == "messaging-1" && events[1].time == "1970-01-01T00:00:00.006Z")
        let cells = try items(try await bench.run("get", "cells", "-o", "json"), of: CellItem.self)
        #expect(cells.map(\.name) == ["case"] && cells[0].ready == "False" && cells[0].spec.partitions == 12)
        let settings = try items(try await bench.run("get", "settings", "-o", "json"), of: Setting.self)
        #expect(settings.contains { $0.name == "messaging.limits.bodyBytes" && $0.epoch == 3 })
        #expect(try await bench.run("get", "cells").lines[1].hasPrefix("case  False  1/3"))
    }

    @Test("a cell that get prints as YAML can be applied again")
    func reapply() async throws {
        let (bench, _) = try await livingCell()
        let yaml = try await bench.run("get", "cell", "case", "-o", "yaml").output
        #expect(try await bench.run("apply", "-", input: yaml).output == "cell/case unchanged\n")
        #expect(try await bench.run("apply", "-", input: yaml.with("servers: 3", "servers: 5")).output == "cell/case configured\n")
    }

    @Test("status and describe tell what waits for what")
    func status() async throws {
        let (bench, _) = try await livingCell()
        let status = try await bench.run("status")
        #expect(status.lines[0] == "cell/case is not ready: messaging-2 is starting")
        #expect(status.output.contains("messaging  1 of 2 ready  1 owner, 1 standby  3 connections"))
        #expect(status.output.contains("messaging-2  starting  the log's end") && status.output.contains("FailedOver  to messaging-2"))
        #expect(try await bench.run("status", "--check").exit == .code(5))
        #expect(try await bench.run("describe", "server", "messaging-1").output.contains("ServerDied  killed"))
        let cell = try await bench.run("describe", "cell").output
        #expect(cell.contains("idWindow: 1m") && cell.contains("operator-1, term"))
        #expect(try await bench.run("version").output.contains("operator operator-1 of 0.1.0; servers: 2 of 0.1.0"))
    }

    @Test("scale changes the spec within its rules")
    func scale() async throws {
        let (bench, _) = try await livingCell()
        #expect(try await bench.run("scale", "messaging=5", "standbys=2", "history=3").output == "cell/case scaled\n")
        let spec = try CellSpec.read(json: try #require(try await bench.board().spec()).json, source: "redis")
        #expect(spec.messaging.servers == 5 && spec.messaging.standbys == 2 && spec.history.servers == 3)
        #expect(try await bench.run("scale", "messaging=5").output == "cell/case unchanged\n")
        let refused = try await bench.run("scale", "messaging=1")
        #expect(
            refused.exit == .code(3) && refused.errors == "cellctl: spec.messaging.standbys is 2, more than the 1 servers they stand by for. Write at most 1\n")
        #expect(try await bench.run("scale", "mesaging=1").errors == "cellctl: \"mesaging\" is no kind that can be scaled. Did you mean messaging?\n")
        #expect(try await bench.run("scale", "messaging=0").exit == .code(3))
    }

    @Test("--wait ends with the generation it waits for, and not before")
    func waits() async throws {
        let (bench, election) = try await livingCell()
        let board = try bench.board()
        try bench.folder.write(Bench.cell.with("servers: 3", "servers: 2"), to: "cell.yaml")
        var ready = try #require(try await board.status())
        ready.conditions = [.init(.ready, .yes, reason: "AllReady", message: "", observedGeneration: 1, lastTransition_ms: 1)]
        try await board.write(ready, as: election)
        let early = try await bench.run("apply", "-f", "cell.yaml", "--wait=1s")
        #expect(early.exit == .code(5) && early.errors.contains("the operator has not looked at generation 2 yet"))
        #expect(
            early.errorLines.last
                == "cellctl: cell case took longer than 1s to become ready: the operator has not looked at generation 2 yet. cellctl status --cell case tells more; it goes on meanwhile"
        )

        let waiting = try ChildProcess(
            Bench.cellctl, ["apply", "-f", "cell.yaml", "--wait=120s"], environment: ["CELL_REDIS": "127.0.0.1:\(bench.redis.port)"], in: bench.folder.path)
        try await eventually("progress") { waiting.errors.contains("has not looked at generation 2") }
        ready.observedGeneration = 2
        ready.conditions[0].observedGeneration = 2
        try await board.write(ready, as: election)
        try await eventually("the servers' turn") { waiting.errors.contains("messaging-1 has applied generation 1 of 2") }
        #expect(waiting.isRunning)
        var report = try #require(try await board.servers().reports[ServerID(.messaging, 1)])
        report.generation = 2
        _ = try await board.renewLease(of: ServerID(.messaging, 1), report.incarnation, arrived_ms: 1, lease: .seconds(600), report: report, urgent: false)
        #expect(try await waiting.waitForExit() == .code(0))
        #expect(waiting.output == "cell/case unchanged\ncell/case ready\n")
    }

    @Test("delete --wait ends when the operator has removed the cell")
    func delete() async throws {
        let (bench, election) = try await livingCell()
        let waiting = try ChildProcess(
            Bench.cellctl, ["delete", "cell/case", "--wait=120s"], environment: ["CELL_REDIS": "127.0.0.1:\(bench.redis.port)"], in: bench.folder.path)
        try await eventually("progress") { waiting.errors.contains("messaging-1, messaging-2 still there") }
        try await bench.board().removeCell(as: election)
        #expect(try await waiting.waitForExit() == .code(0))
        #expect(try await bench.run("delete", "cell", "case").errors == "cellctl: there is no cell \"case\". cellctl get cells: there is none\n")
        #expect(try await bench.run("delete", "cell", "case", "--ignore-not-found").exit == .code(0))
    }

    @Test("watching shows what changes, and goes on when Redis comes back")
    func watch() async throws {
        let (bench, election) = try await livingCell()
        let watching = try ChildProcess(
            Bench.cellctl, ["get", "events", "--watch"], environment: ["CELL_REDIS": "127.0.0.1:\(bench.redis.port)"], in: bench.folder.path)
        try await eventually("the first rows") { watching.output.contains("FailedOver") }
        try await bench.board().add([CellEvent("SpecApplied", time_ms: 9, text: "generation 2")], as: election)
        try await eventually("the new row") { watching.output.contains("SpecApplied") }
        #expect(watching.output.split(separator: "\n").count == 4)
        bench.redis.pause()
        try await eventually("a complaint", within: .seconds(60)) { watching.errors.contains("Redis") }
        bench.redis.resume()
        // The pause outlasted no lease of this election: 600 s.
        try await eventually("a write after the pause") {
            try await bench.board().add([CellEvent("Back", time_ms: 10, text: "again")], as: election)
            return true
        }
        try await eventually("the row after the pause", within: .seconds(60)) { watching.output.contains("Back") }
    }
}
