import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Who is dead")
    struct WitnessTests {
        func settled(_ spec: CellSpec) -> World {
            var world = World(spec)
            expectSettles(&world)
            // Beyond one lease since Redis came back: leases count.
            world.now = world.now + .seconds(5)
            world.look()
            world.pass()
            return world
        }

        /// A heartbeat at a time; every server that can renews.
        func run(_ world: inout World, for duration: Duration) {
            let end = world.now + duration
            while world.now < end {
                world.look()
                for _ in 0..<20 where !world.pass().steps.isEmpty {}
                world.now = world.now + .milliseconds(50)
            }
        }

        @Test("a hung server is probed at half its lease, replaced when it ends, and killed only after that is published")
        func hang() {
            var world = settled(World.spec(servers: 3, standbys: 1))
            let victim = world.owners[0]
            world.servers[victim.id]?.hangs = true
            world.now = world.now + .milliseconds(700)
            world.look()
            let steps = world.pass().steps
            #expect(steps.isEmpty, "half the lease is not over")
            world.now = world.now + .milliseconds(100)
            world.look()
            let probing = world.pass().steps
            #expect(probing == [.probe(ServerLife(victim.id, victim.member.incarnation), at: victim.member.http)])
            #expect(world.assignment.members[victim.id] != nil)
            world.now = world.now + .milliseconds(700)
            world.look()
            let repair = world.pass()
            #expect(world.assignment.members[victim.id] == nil)
            #expect(!repair.steps.contains { if case .kill = $0 { true } else { false } })
            world.look()
            let killing = world.pass().steps
            #expect(killing.contains { if case .kill(let life, _) = $0 { life.id == victim.id } else { false } })
            expectSettles(&world)
        }

        @Test("one that answers its probe is cut off, not dead: it keeps its partitions, and no server is started for it")
        func cutOff() {
            var world = settled(World.spec(servers: 3, standbys: 1))
            let victim = world.owners[0]
            let born = world.born
            let epoch = world.assignment.epoch
            world.servers[victim.id]?.cutOff = true
            run(&world, for: .seconds(20))
            #expect(world.assignment.members[victim.id] == victim.member)
            #expect(world.born == born)
            #expect(world.assignment.epoch == epoch)
            #expect(world.pass0.findings.contains { $0.reason == "CutOff" })
            // Its process dying is another matter.
            world.kill(victim.id)
            world.pass()
            #expect(world.assignment.members[victim.id] == nil)
        }

        @Test("while Redis was away, and a lease longer, no lease counts; a death that the driver saw counts at once")
        func redisAway() {
            var world = settled(World.spec(servers: 3, standbys: 1))
            let epoch = world.assignment.epoch
            world.observed.redisBack = nil
            world.now = world.now + .seconds(30)
            let steps = world.pass().steps
            #expect(steps.isEmpty)
            world.observed.redisBack = world.now
            world.observed.leasesRead = world.now
            let stepsAfter = world.pass().steps
            #expect(stepsAfter.isEmpty, "every lease has run out, and none counts")
            #expect(world.assignment.epoch == epoch)
            let victim = world.owners[0].id
            world.kill(victim)
            world.pass()
            #expect(world.assignment.members[victim] == nil)
            expectSettles(&world)
        }

        @Test("deaths by lease alone are braked: a few at once, then one for each lease; those that the driver saw are not")
        func brake() {
            var world = settled(World.spec(servers: 20, standbys: 0) { $0.failover.maxSimultaneous_percent = 10 })
            world.birth = nil
            let fleet = world.assignment.members.count
            let victims = world.owners.prefix(8).map(\.id)
            for id in victims { world.servers[id]?.hangs = true }
            // The driver cannot end them: they are on a machine that is lost.
            var lost: [Int] = []
            let end = world.now + .seconds(16)
            while world.now < end {
                world.look()
                let plan = world.pass0
                for step in plan.steps {
                    if case .kill = step { continue }
                    world.carryOut(step)
                }
                lost.append(victims.count { world.assignment.members[$0] == nil })
                world.now = world.now + .milliseconds(100)
            }
            let burst = max(1, fleet / 10)
            #expect(lost[16] == burst, "at once")
            #expect(lost[16 + 15] <= burst + 1)
            #expect(lost[16 + 30] <= burst + 2)
            #expect(lost.last == victims.count, "in the end all are repaired")
            let steps = zip(lost, lost.dropFirst()).map { $1 - $0 }
            #expect(steps.filter { $0 > 0 }.dropFirst().allSatisfy { $0 == 1 })
            var confirmed = settled(World.spec(servers: 20, standbys: 0) { $0.failover.maxSimultaneous_percent = 10 })
            let all = confirmed.owners.prefix(8).map(\.id)
            for id in all { confirmed.kill(id) }
            confirmed.pass()
            #expect(all.allSatisfy { confirmed.assignment.members[$0] == nil })
        }

        @Test("a name that comes back with another incarnation inherits nothing")
        func incarnations() {
            var world = settled(World.spec(servers: 2, standbys: 1))
            let victim = world.owners[0]
            let other = ServerLife(victim.id, Incarnation("feedfeedfeedfeed")!)
            world.servers[victim.id]?.life = other
            world.observed.servers?.removeAll { $0.life.id == victim.id }
            world.observed.servers?.append(RunningServer(other, started: world.now))
            world.look()
            world.pass()
            #expect(world.assignment.members[victim.id]?.incarnation != victim.member.incarnation)
            #expect(world.assignment.members[victim.id]?.owns.isEmpty ?? true)
            expectSettles(&world)
        }

        @Test("of two servers of one name the one counts that Redis listens to; the other is ended before it comes there", arguments: [false, true])
        func namesakes(_ isFirst: Bool) {
            var world = settled(World.spec(servers: 2, standbys: 1))
            let victim = world.owners[0]
            // As a driver tells them: by name, then by incarnation.
            let other = ServerLife(victim.id, Incarnation(isFirst ? "0000000000000000" : "zzzzzzzzzzzzzzzz")!)
            let known = world.observed.servers ?? []
            let twin = [RunningServer(other, started: world.now)]
            world.observed.servers = isFirst ? twin + known : known + twin
            let before = world.pass()
            #expect(!before.steps.contains { if case .kill = $0 { true } else { false } }, "whether the first one lives is not known yet")
            #expect(world.assignment.members[victim.id] == victim.member)
            world.now = world.now + .milliseconds(500)
            world.look()
            #expect(world.pass().steps.contains { if case .kill(other, _) = $0 { true } else { false } })
            #expect(world.assignment.members[victim.id] == victim.member)
            // It has come to Redis nevertheless, which refuses the first one from now on.
            world.observed.reports[victim.id]?.incarnation = other.incarnation
            world.observed.leases[other] = world.now + .seconds(1)
            world.pass()
            #expect(world.assignment.members[victim.id]?.incarnation != victim.member.incarnation)
        }

        @Test("one whose port is shut is replaced at once, although its lease goes on and its driver says that it runs; it is not killed before that ends")
        func shut() {
            var world = settled(World.spec(servers: 3, standbys: 1))
            let victim = world.owners[0]
            let life = ServerLife(victim.id, victim.member.incarnation)
            world.servers[victim.id]?.hangs = true
            world.now = world.now + .milliseconds(20)
            let isNews = world.observed.noteShut(life, now: world.now)
            #expect(isNews)
            world.pass()
            #expect(world.assignment.members[victim.id] == nil)
            #expect(world.messaging.contains { $0.member.owns == victim.member.owns })
            #expect(world.notes.contains { $0.text.contains("its port refuses others") })
            let repeated = world.observed.noteShut(life, now: world.now)
            #expect(!repeated, "it is no member any more")
            world.look()
            let early = world.pass().steps
            #expect(!early.contains { if case .kill = $0 { true } else { false } })
            world.now = world.now + .seconds(2)
            world.look()
            let late = world.pass().steps
            #expect(late.contains { if case .kill(life, _) = $0 { true } else { false } })
            expectSettles(&world)
        }

        @Test("one that renews its lease after its port seemed shut lives: it comes back as a server that owns nothing, and one too many is stopped")
        func seemsShut() {
            var world = settled(World.spec(servers: 3, standbys: 1))
            let victim = world.owners[0]
            world.now = world.now + .milliseconds(20)
            _ = world.observed.noteShut(ServerLife(victim.id, victim.member.incarnation), now: world.now)
            world.pass()
            #expect(world.assignment.members[victim.id] == nil)
            world.now = world.now + .milliseconds(500)
            world.look()
            world.pass()
            #expect(world.assignment.members[victim.id]?.incarnation == victim.member.incarnation)
            #expect(world.assignment.members[victim.id]?.owns.isEmpty ?? false)
            expectSettles(&world)
            #expect(world.messaging.count == 4)
        }

        @Test("ports that are shut everywhere at once are braked as leases are: something in between may refuse in the servers' names")
        func manyShut() {
            var world = settled(World.spec(servers: 20, standbys: 0) { $0.failover.maxSimultaneous_percent = 10 })
            let before = world.owners.map(\.id)
            let fleet = world.assignment.members.count
            world.now = world.now + .milliseconds(20)
            for (id, member) in world.messaging { _ = world.observed.noteShut(ServerLife(id, member.incarnation), now: world.now) }
            world.pass()
            #expect(before.count { world.assignment.members[$0] == nil } == fleet / 10)
            // They renew their leases.
            world.now = world.now + .milliseconds(500)
            run(&world, for: .seconds(10))
            #expect(before.count { world.assignment.members[$0]?.owns.isEmpty ?? true } == fleet / 10, "nobody else lost anything")
        }

        @Test("a server that leaves by itself loses its partitions at once")
        func leaving() {
            var world = settled(World.spec(servers: 2, standbys: 1))
            let victim = world.owners[0]
            world.observed.reports[victim.id]?.state = .stopping
            world.pass()
            #expect(world.assignment.members[victim.id] == nil)
        }

        @Test("the embedded backplane's death ends its log: its successor begins a new one")
        func backplane() {
            var world = World(World.spec { $0.backplane = .embedded })
            expectSettles(&world)
            let first = world.assignment
            let broker = first.members(of: .backplane)[0].id
            world.kill(broker)
            expectSettles(&world)
            #expect(world.assignment.members(of: .backplane).count == 1)
            #expect(world.assignment.log! > first.log!)
            #expect(world.epochs.count { $0.log == nil || $0.log == first.log || $0.log == world.assignment.log } == world.epochs.count, "one new log")
            for owner in world.owners { #expect(first.members[owner.id]?.owns == owner.member.owns, "nobody moved for it") }
        }
    }
}
