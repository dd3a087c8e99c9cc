import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Starting and stopping")
    struct FleetTests {
        @Test("servers that die young are started more and more slowly, one at a time, and the rest serves on")
        func crashLoop() {
            var world = World(World.spec(servers: 3, standbys: 1))
            expectSettles(&world)
            world.now = world.now + .seconds(60)
            world.spec.messaging.servers = 5
            world.birth = nil
            let born = world.born
            for _ in 0..<1_200 {
                world.look()
                for id in world.servers.keys where world.servers[id]?.readyAt == nil { world.kill(id, reason: "exit code 1: no such file") }
                world.pass()
                world.now = world.now + .milliseconds(100)
            }
            let starts = world.born - born
            #expect(starts >= 5 && starts <= 13, "\(starts) starts in two minutes")
            #expect(world.owners.reduce(0) { $0 + $1.member.owns.count } == 720)
            #expect(world.pass0.findings.contains { $0.reason == "CrashLoop" && $0.text.contains("no such file") })
            world.birth = .milliseconds(100)
            expectSettles(&world)
            #expect(world.owners.count == 5)
        }

        @Test("once a server has lived on after others died young, a drain waits for its replacement again")
        func loopEnds() {
            var world = World(World.spec(servers: 3, standbys: 0))
            expectSettles(&world)
            world.spec.messaging.servers = 4
            world.birth = nil
            for _ in 0..<100 {
                world.look()
                for id in world.servers.keys where world.servers[id]?.readyAt == nil { world.kill(id, reason: "exit code 1: no such file") }
                world.pass()
                world.now = world.now + .milliseconds(100)
            }
            world.birth = .milliseconds(100)
            expectSettles(&world)
            let victim = world.owners[0].id
            world.observed.wishes.drains = [victim]
            func waits() -> Bool { world.pass0.findings.contains { $0.reason == "DrainWaits" && $0.text.contains("\(victim)") } }
            #expect(!waits(), "whether another can live is not known")
            world.now = world.now + CrashLoop.youth
            world.look()
            #expect(waits())
        }

        @Test("where fewer are asked for after others died young, time alone ends the loop, and a drain waits for its replacement again")
        func loopIsForgotten() {
            var world = World(World.spec(servers: 3, standbys: 0))
            expectSettles(&world)
            world.spec.messaging.servers = 4
            world.birth = nil
            for _ in 0..<100 {
                world.look()
                for id in world.servers.keys where world.servers[id]?.readyAt == nil { world.kill(id, reason: "exit code 1: no such file") }
                world.pass()
                world.now = world.now + .milliseconds(100)
            }
            world.spec.messaging.servers = 3
            world.birth = .milliseconds(100)
            expectSettles(&world)
            world.observed.wishes.drains = [world.owners[0].id]
            func waits() -> Bool { world.pass0.findings.contains { $0.reason == "DrainWaits" } }
            #expect(!waits(), "whether another can live is not known")
            world.now = world.now + CrashLoop.memory
            world.look()
            #expect(waits())
        }

        @Test("the loss of many young servers at once is no loop")
        func massLoss() {
            var world = World(World.spec(servers: 30, standbys: 2, partitions: 720))
            expectSettles(&world)
            for id in world.owners.prefix(15).map(\.id) { world.kill(id) }
            let plan = world.pass0
            let starts = plan.steps.count { if case .start = $0 { true } else { false } }
            #expect(starts == 15)
        }

        /// A cell whose messaging servers were started, and will not be ready.
        private static func unready() -> World {
            var world = World(World.spec(servers: 2, standbys: 0))
            world.look()
            world.pass()
            for id in world.servers.keys where id.kind == .messaging { world.servers[id]?.readyAt = nil }
            return world
        }

        @Test("a server that never becomes ready is shown, and one that says nothing at all is ended")
        func neverReady() {
            var world = Self.unready()
            world.now = world.now + .seconds(61)
            world.look()
            let plan = world.pass0
            #expect(plan.findings.contains { $0.reason == "NeverReady" })
            #expect(plan.steps.contains { if case .kill = $0 { true } else { false } })
        }

        @Test("a server that does not run yet is shown as late, and ended much later")
        func notRunningYet() {
            var world = Self.unready()
            world.observed.servers = world.observed.servers?.map { running in
                var running = running
                running.isOnItsWay = running.life.id.kind == .messaging
                return running
            }
            func kills(after seconds: Int) -> Bool {
                world.now = world.now + .seconds(seconds)
                world.look()
                let plan = world.pass0
                #expect(plan.findings.contains { $0.reason == "NeverReady" && $0.text.contains("does not run yet") })
                return plan.steps.contains { if case .kill = $0 { true } else { false } }
            }
            #expect(!kills(after: 61))
            #expect(!kills(after: 230))
            #expect(kills(after: 10))
        }

        @Test("servers are spread over the zones")
        func zones() {
            var world = World(World.spec(servers: 7, standbys: 2) { $0.zones = ["a", "b", "c"] })
            expectSettles(&world)
            let counts = ["a", "b", "c"].map { zone in world.messaging.count { $0.member.zone == zone } }
            #expect(counts == [3, 3, 3])
        }

        @Test("owners and standbys are spread over the zones too", arguments: [(3, 3), (6, 3), (4, 2)])
        func zonesOfRoles(_ servers: Int, _ standbys: Int) {
            var world = World(World.spec(servers: servers, standbys: standbys) { $0.zones = ["a", "b", "c"] })
            expectSettles(&world)
            func counts(_ role: Member.Role) -> [Int] {
                ["a", "b", "c"].map { zone in world.messaging.count { $0.member.zone == zone && $0.member.role == role } }
            }
            for role in [Member.Role.owner, .standby] { #expect(counts(role).max()! - counts(role).min()! <= 1, "\(role): \(counts(role))") }
            world.spec.messaging.servers += 3
            expectSettles(&world)
            #expect(counts(.owner).max()! - counts(.owner).min()! <= 1, "\(counts(.owner))")
        }

        @Test("connect servers take the ports that follow, and a replacement the one that became free")
        func ports() {
            var world = World(World.spec { $0.connect.servers = 3 })
            expectSettles(&world)
            func ports(_ world: World) -> [UInt16] { (world.observed.servers ?? []).filter { !$0.isGone }.compactMap(\.port).sorted() }
            #expect(ports(world) == [8080, 8081, 8082])
            world.kill(ServerID(.connect, 2))
            expectSettles(&world)
            #expect(ports(world) == [8080, 8081, 8082])
            #expect(world.servers[ServerID(.connect, 2)] == nil, "a name is not given twice")
        }

        @Test("nothing is started while the driver cannot be asked, and no one is dead by it")
        func driverAway() {
            var world = World(World.spec())
            expectSettles(&world)
            world.observed.servers = nil
            world.spec.messaging.servers = 5
            let plan = world.pass0
            #expect(plan.steps.isEmpty)
            #expect(plan.findings.contains { $0.reason == "DriverAway" })
        }

        @Test("a deleted cell stops kind by kind, the backplane last, and then its keys go")
        func farewell() {
            var world = World(World.spec { $0.backplane = .embedded })
            expectSettles(&world)
            world.observed.deleted = true
            var order: [ServerKind] = []
            var removed = false
            for _ in 0..<20 where !removed {
                for step in world.pass().steps {
                    if case .stop(let life, _) = step, order.last != life.id.kind { order.append(life.id.kind) }
                    if case .removeCell = step { removed = true }
                }
                world.now = world.now + .milliseconds(100)
                world.look()
            }
            #expect(order == [.connect, .messaging, .materialize, .history, .backplane])
            #expect(removed)
            #expect(world.servers.isEmpty)
        }

        @Test("fewest first, like water", arguments: [([0, 0, 0], 10), ([5, 1, 3], 4), ([9, 0], 3), ([1], 7), ([4, 4, 4, 4], 2)])
        func filling(_ counts: [Int], _ total: Int) {
            let shares = fill(counts, with: total)
            #expect(shares.reduce(0, +) == total)
            #expect(shares.allSatisfy { $0 >= 0 })
            let after = zip(counts, shares).map(+)
            let raised = zip(after, shares).filter { $0.1 > 0 }.map(\.0)
            #expect((raised.max() ?? 0) - (after.min() ?? 0) <= 1)
        }
    }
}
