import Cell
import Testing
@testable import Blackboard
@testable import cellctl

/// A cell in Redis as a test wishes it: one messaging server under an operator.
func snapshot(_ change: (inout Snapshot) -> Void = { _ in }) -> Snapshot {
    let id = ServerID(.messaging, 1)
    let incarnation = Incarnation("0123456789abcdef")!
    var report = Report(incarnation: incarnation, zone: "a", pid: 7, build: "0.1.0")
    report.state = .ready
    report.generation = 2
    report.connections = 5
    report.epoch = Epoch(9)
    report.positions = ["3": 44]
    var member = Member(incarnation: incarnation, address: "h:1", http: "h:2", zone: "a", role: .owner)
    member.owns = PartitionSet(0...11)
    var server = CellStatus.ServerStatus(id, incarnation, state: .ready)
    server.role = "idle"
    server.address = "h:1"
    var status = CellStatus()
    status.observedGeneration = 2
    status.servers = [server]
    status.conditions = [.init(.ready, .yes, reason: "AllReady", message: "", observedGeneration: 2, lastTransition_ms: 0)]
    var result = Snapshot(
        cell: CellName("case")!, spec: StoredSpec(generation: 2, created_ms: 1, json: "{}"), status: status,
        assignment: Assignment(epoch: Epoch(9), members: [id: member]),
        servers: ServersInRedis(time_ms: 1_000, leases: [.init(server: id, incarnation: incarnation, expiry_ms: 2_000)], reports: [id: report], malformed: [:]),
        leader: Leader(term: Term(1), name: "operator-1", remaining: .seconds(1)))
    change(&result)
    return result
}

@Suite("waiting for a generation")
struct ObstacleTests {
    @Test("it is ready when status, condition and servers speak of it")
    func ready() {
        #expect(obstacle(to: 2, in: snapshot()) == nil)
        #expect(Readiness(snapshot()).word == "True")
    }

    @Test("what was ready under the spec before says nothing")
    func older() {
        #expect(obstacle(to: 3, in: snapshot()) == "the operator has not looked at generation 3 yet")
        #expect(obstacle(to: 3, in: snapshot { $0.leader = nil }) == "no operator serves the cell: start cell-operator")
        let condition = snapshot { $0.status?.observedGeneration = 3 }
        #expect(obstacle(to: 3, in: condition) == "nothing is known about generation 3 yet")
        let server = snapshot {
            $0.status?.observedGeneration = 3
            $0.status?.conditions[0].observedGeneration = 3
        }
        #expect(obstacle(to: 3, in: server) == "messaging-1 has applied generation 2 of 3")
        let shown = snapshot { $0.spec?.generation = 3 }
        #expect(Readiness(shown).word == "Unknown")
    }

    @Test("a condition that is not true is the obstacle, in its own words")
    func notReady() {
        let pending = snapshot {
            $0.status?.conditions = [
                .init(.ready, .no, reason: "Starting", message: "messaging-2 waits for port 8080", observedGeneration: 2, lastTransition_ms: 0)
            ]
        }
        #expect(obstacle(to: 2, in: pending) == "messaging-2 waits for port 8080")
        #expect(Readiness(pending).word == "False" && Readiness(pending).reason == "Starting")
    }

    @Test("a report of another incarnation counts for nothing")
    func incarnation() {
        let other = snapshot {
            $0.servers = ServersInRedis(
                time_ms: 0, leases: [],
                reports: $0.servers.reports.mapValues {
                    var report = $0; report.incarnation = Incarnation("ffff")!; report.generation = 1; return report
                }, malformed: [:])
        }
        #expect(obstacle(to: 2, in: other) == nil)
    }

    @Test("servers are shown as assignment and reports have them")
    func servers() throws {
        let item = try #require(ServerItems(snapshot()).all.first)
        #expect(item.role == "owner" && item.partitions == ["0-11"] && item.connections == 5 && item.epoch == Epoch(9))
        let unlisted = snapshot { $0.status = nil }
        #expect(ServerItems(unlisted).all.map(\.name) == [ServerID(.messaging, 1)])
        let dead = snapshot {
            $0.status = nil
            $0.servers = ServersInRedis(time_ms: 2_000, leases: $0.servers.leases, reports: $0.servers.reports, malformed: [:])
        }
        #expect(ServerItems(dead).all.isEmpty)
    }

    @Test("partitions have their owner, standby, way and position")
    func partitions() {
        let listing = Listing.partitions(
            snapshot { snapshot in
                var standby = Member(incarnation: Incarnation("aa")!, address: "h:3", http: "", role: .standby)
                standby.shadows = PartitionSet(3...5)
                standby.opens = PartitionSet(4...4)
                snapshot.assignment.members[ServerID(.messaging, 2)] = standby
            }, PartitionSet(3...12))
        #expect(
            listing.items.map(\.cells).prefix(3) == [
                ["3", "messaging-1", "messaging-2", "", "44"], ["4", "messaging-1", "messaging-2", "to messaging-2", ""],
                ["5", "messaging-1", "messaging-2", "", ""],
            ])
        #expect(listing.items.last?.cells == ["12", "none", "", "", ""])
        #expect(
            listing.items[1].json
                == #"{"address":"h:1","leaving":null,"opening":"messaging-2","owner":"messaging-1","partition":4,"position":null,"standby":"messaging-2"}"#)
    }
}
