import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("What people ask for")
    struct WishTests {
        private func settled(_ spec: CellSpec) -> World {
            var world = World(spec)
            expectSettles(&world)
            return world
        }

        private func owned(_ world: World) -> Int { world.owners.reduce(0) { $0 + $1.member.owns.count } }

        @Test("a drained server loses what it owns, stays without, is replaced, and owns again when it is uncordoned", arguments: [(2, 1), (3, 0), (12, 2)])
        func drain(_ servers: Int, _ standbys: Int) {
            var world = settled(World.spec(servers: servers, standbys: standbys))
            let victim = world.owners[0].id
            world.observed.wishes.drains = [victim]
            expectSettles(&world) { world in #expect(owned(world) == 720, "nobody is without an owner at any time") }
            let member = world.assignment.members[victim]
            #expect(member?.role == .draining && member?.owns.isEmpty == true)
            #expect(world.servers[victim] != nil, "it stays")
            #expect(world.owners.count == servers && world.messaging.count { $0.member.role == .standby } == standbys)
            #expect(world.messaging.count == servers + standbys + 1)
            #expect(world.pass0.findings.isEmpty, "at rest")

            world.observed.wishes.drains = []
            expectSettles(&world)
            #expect(world.messaging.count == servers + standbys, "one too many goes")
            #expect(world.owners.count == servers && owned(world) == 720)
        }

        @Test("a zone drains, and what replaces it starts elsewhere")
        func zone() {
            var world = settled(World.spec(servers: 6, standbys: 3) { $0.zones = ["a", "b", "c"] })
            world.observed.wishes.drainedZones = ["b"]
            expectSettles(&world) { world in #expect(owned(world) == 720) }
            #expect(world.owners.allSatisfy { $0.member.zone != "b" })
            let kinds = Set(world.servers.values.filter { $0.zone == "b" }.map(\.life.id.kind))
            #expect(kinds == [.messaging], "services of the zone are replaced elsewhere")
            #expect(world.owners.count == 6)
        }

        @Test("a partition moved by hand goes there and stays, and balance holds", arguments: [1, 5, 300])
        func move(_ amount: Int32) {
            var world = settled(World.spec(servers: 3, standbys: 1))
            let target = world.owners[2].id
            let wanted = PartitionSet(0...(amount - 1))
            world.observed.wishes.place(wanted, at: target)
            expectSettles(&world) { world in #expect(owned(world) == 720) }
            let counts = world.owners.map(\.member.owns.count)
            #expect(wanted.subtracting(world.assignment.members[target]!.owns).isEmpty)
            if amount <= 240 {
                #expect(counts == [240, 240, 240])
            } else {
                #expect(counts == [210, 210, 300])
            }
            world.kill(world.owners[0].id)
            expectSettles(&world)
            #expect(wanted.subtracting(world.assignment.members[target]!.owns).isEmpty, "a failover elsewhere changes nothing of it")
            world.observed.wishes.place(wanted, at: nil)
            expectSettles(&world)
            #expect(world.owners.map(\.member.owns.count) == [240, 240, 240])
        }

        @Test("what was moved to a server that dies goes on with its standby")
        func placeOfTheDead() {
            var world = settled(World.spec(servers: 3, standbys: 1))
            let target = world.owners[2].id
            world.observed.wishes.place(PartitionSet(0...299), at: target)
            expectSettles(&world)
            world.kill(target)
            expectSettles(&world)
            #expect(world.owners.map(\.member.owns.count) == [240, 240, 240])
        }

        struct DrainCase: Sendable, CustomTestStringConvertible {
            var testDescription: String
            var servers: Int, standbys: Int
            var drains: [Int]
            var clients = 0
            var isRefused: Bool
        }

        @Test(
            "a drain is refused when nobody could own or hold what it leaves",
            arguments: [
                DrainCase(testDescription: "the last", servers: 1, standbys: 0, drains: [1], isRefused: true),
                DrainCase(testDescription: "one of two", servers: 2, standbys: 0, drains: [1], isRefused: false),
                DrainCase(testDescription: "an owner with a standby", servers: 1, standbys: 1, drains: [1], isRefused: false),
                DrainCase(testDescription: "all of them", servers: 2, standbys: 1, drains: [1, 2, 3], isRefused: true),
                DrainCase(testDescription: "more clients than room", servers: 2, standbys: 0, drains: [1], clients: 60_000, isRefused: true),
                DrainCase(testDescription: "as many clients as room", servers: 2, standbys: 0, drains: [1], clients: 50_000, isRefused: false),
            ])
        func refusedDrains(_ example: DrainCase) {
            var servers = (1...(example.servers + example.standbys)).map { number in
                var server = CellStatus.ServerStatus(ServerID(.messaging, number), Incarnation("a\(number)")!, state: .ready)
                server.role = number <= example.servers ? "owner" : "standby"
                return server
            }
            servers[0].connections = example.clients
            var wishes = Wishes()
            wishes.drains = example.drains.map { ServerID(.messaging, $0) }
            let refusal = wishes.refusalOfDrains(World.spec(servers: example.servers, standbys: example.standbys), servers)
            #expect((refusal != nil) == example.isRefused)
        }

        @Test("a move by hand is refused to whoever cannot own")
        func refusedMoves() {
            func server(_ kind: ServerKind, _ number: Int, _ role: String, _ state: CellStatus.ServerStatus.State = .ready) -> CellStatus.ServerStatus {
                var server = CellStatus.ServerStatus(ServerID(kind, number), Incarnation("a\(number)")!, state: state)
                server.role = role
                return server
            }
            let servers = [
                server(.messaging, 1, "owner"), server(.messaging, 2, "owner", .starting), server(.messaging, 3, "standby"), server(.history, 1, ""),
                server(.messaging, 5, "owner"),
            ]
            var wishes = Wishes()
            wishes.drains = [ServerID(.messaging, 5)]
            let spec = World.spec()
            func problem(_ kind: ServerKind, _ number: Int, _ set: PartitionSet = PartitionSet(0...3)) -> String? {
                wishes.refusal(ofMoving: set, to: ServerID(kind, number), spec, servers)?.problem
            }
            #expect(problem(.messaging, 1) == nil)
            #expect(problem(.messaging, 2) == "messaging-2 is not ready: it is starting")
            #expect(problem(.messaging, 3) == "messaging-3 is a standby and owns nothing by itself")
            #expect(problem(.history, 1) == "history-1 owns no partitions: it is a history server")
            #expect(problem(.messaging, 4) == "messaging-4 is no server of the cell")
            #expect(problem(.messaging, 5) == "messaging-5 is draining and owns nothing by itself")
            #expect(problem(.messaging, 1, PartitionSet(718...720)) == "there is no partition 720")
        }
    }
}
