import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Planning")
    struct PlannerTests {
        func settled(_ spec: CellSpec) -> World {
            var world = World(spec)
            expectSettles(&world)
            return world
        }

        /// At most one owner, all owned, nothing moving, owners differ by at most one partition.
        func expectRest(_ world: World, _ where: Comment? = nil) {
            let counts = world.owners.map(\.member.owns.count)
            #expect(counts.reduce(0, +) == world.spec.partitions, `where`)
            #expect(PartitionSet(ranges: world.owners.flatMap(\.member.owns.ranges)).count == world.spec.partitions, `where`)
            #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1, `where`)
            #expect(world.messaging.allSatisfy { $0.member.opens.isEmpty && $0.member.leaves.isEmpty }, `where`)
            #expect(world.pass0.steps.isEmpty, `where`)
        }

        @Test("from nothing: balanced owners, standbys that shadow everything, the services", arguments: [(1, 0), (2, 1), (4, 1), (7, 3), (12, 2), (40, 3)])
        func coldStart(_ servers: Int, _ standbys: Int) {
            let world = settled(World.spec(servers: servers, standbys: standbys))
            expectRest(world)
            #expect(world.owners.count == servers)
            let standby = world.messaging.filter { $0.member.role == .standby }
            #expect(standby.count == standbys)
            #expect(world.born == servers + standbys + 3)
            for owner in world.owners where standbys > 0 {
                #expect(standby.contains { owner.member.owns.subtracting($0.member.shadows).isEmpty }, "\(owner.id) is shadowed by one")
            }
            #expect(world.assignment.log != nil)
            #expect(world.assignment.members(of: .connect).count == 1)
        }

        @Test("the first assignment waits for the others as long as a lease, and then goes on without them")
        func settling() {
            var world = World(World.spec(servers: 3, standbys: 0))
            world.look()
            world.pass()
            for id in world.servers.keys where id.kind == .messaging && id.number > 1 { world.servers[id]?.readyAt = nil }
            world.now = world.now + .milliseconds(300)
            world.look()
            let first = world.pass()
            #expect(world.owners.isEmpty)
            #expect(first.lookAgain != nil)
            world.now = world.now + world.spec.failover.lease
            world.look()
            world.pass()
            #expect(world.owners.map(\.id) == [ServerID(.messaging, 1)])
            #expect(world.assignment.members[ServerID(.messaging, 1)]?.owns.count == 720)
        }

        @Test("a dead server's exact partitions go to the standby, and nothing else moves")
        func failover() {
            var world = settled(World.spec(servers: 4, standbys: 2))
            let before = world.assignment
            let victim = world.owners[1]
            world.kill(victim.id)
            let result = world.pass()
            #expect(world.epochs.last?.epoch == before.epoch.next)
            let delta = AssignmentDelta(from: before, to: world.assignment)
            #expect(delta.removed == [victim.id])
            #expect(delta.changed.count == 1)
            let heir = delta.changed.first!
            #expect(heir.value.owns == victim.member.owns)
            #expect(heir.value.role == .owner)
            #expect(before.members[ServerID(heir.key)!]?.role == .standby)
            #expect(result.steps.contains { if case .start(let order) = $0 { order.id.kind == .messaging } else { false } }, "a new standby starts")
            expectSettles(&world)
            expectRest(world)
            #expect(world.messaging.count { $0.member.role == .standby } == 2)
        }

        @Test("the heir is the standby that clients were told to go to")
        func heirIsFallback() {
            for servers in [2, 5, 12, 30] {
                var world = settled(World.spec(servers: servers, standbys: 2))
                for victim in world.owners.map(\.id) {
                    let told = world.assignment.fallback(of: victim)
                    var copy = world
                    copy.kill(victim)
                    copy.pass()
                    let heir = copy.owners.first { $0.member.owns == world.assignment.members[victim]!.owns }
                    #expect(heir?.member.incarnation == told?.incarnation)
                }
                world.pass()
            }
        }

        @Test("without a standby the partitions spread over the survivors, fewest first")
        func spread() {
            var world = settled(World.spec(servers: 4, standbys: 0))
            world.birth = nil
            let victim = world.owners[2]
            let before = world.assignment
            world.kill(victim.id)
            world.pass()
            let counts = world.owners.map(\.member.owns.count)
            #expect(counts == [240, 240, 240])
            for owner in world.owners { #expect(before.members[owner.id]!.owns.subtracting(owner.member.owns).isEmpty, "nothing else moves") }
        }

        @Test("several deaths at once: each standby takes one server whole, the rest is spread")
        func severalDeaths() {
            var world = settled(World.spec(servers: 6, standbys: 1))
            let before = world.assignment
            let victims = world.owners.prefix(3)
            for victim in victims { world.kill(victim.id) }
            world.pass()
            #expect(world.assignment.epoch == before.epoch.next, "one publication")
            #expect(PartitionSet(ranges: world.owners.flatMap(\.member.owns.ranges)).count == 720)
            for owner in world.owners where before.members[owner.id]?.role == .owner {
                #expect(before.members[owner.id]!.owns.subtracting(owner.member.owns).isEmpty)
            }
            expectSettles(&world)
            expectRest(world)
        }

        @Test("everything died: the driver's word suffices, no brake, and epoch and log continue")
        func totalLoss() {
            var world = settled(World.spec(servers: 4, standbys: 1))
            let before = world.assignment
            for id in world.servers.keys.sorted() { world.kill(id) }
            expectSettles(&world, within: .seconds(20))
            expectRest(world)
            #expect(world.assignment.epoch > before.epoch)
            #expect(world.assignment.log == before.log)
        }

        @Test(
            "scaling up moves exactly the newcomers' fair share, capped, and each partition is warm before it moves",
            arguments: [(2, 3), (2, 4), (4, 5), (5, 8)])
        func scaleUp(_ from: Int, _ to: Int) {
            var world = settled(World.spec(servers: from, standbys: 1))
            let before = world.assignment
            world.spec.messaging.servers = to
            let cap = 72
            expectSettles(&world) { world in
                let moving = world.messaging.reduce(0) { $0 + $1.member.opens.count + $1.member.leaves.count }
                #expect(moving <= cap)
                #expect(world.owners.reduce(0) { $0 + $1.member.owns.count } == 720, "nobody is without an owner at any time")
            }
            expectRest(world)
            #expect(world.owners.count == to)
            var moved = 0
            for owner in world.owners { moved += owner.member.owns.subtracting(before.members[owner.id]?.owns ?? PartitionSet()).count }
            let fair = world.owners.filter { before.members[$0.id]?.owns.isEmpty ?? true }.reduce(0) { $0 + $1.member.owns.count }
            #expect(moved == fair)
            #expect(world.messaging.count { $0.member.role == .standby } == 1)
        }

        @Test("newcomers that are ready one after another get their share, and nothing moves twice")
        func newcomers() {
            var world = settled(World.spec(servers: 2, standbys: 0))
            let before = world.assignment
            world.spec.messaging.servers = 6
            world.look()
            world.pass()
            for number in 3...6 { world.servers[ServerID(.messaging, number)]?.readyAt = world.now + .seconds(5 * number) }
            var owners = before.members.mapValues(\.owns)
            var moved = 0
            expectSettles(&world) { world in
                for (id, member) in world.owners where owners[id] != member.owns {
                    moved += member.owns.subtracting(owners[id] ?? PartitionSet()).count
                }
                owners = world.assignment.members.mapValues(\.owns)
            }
            expectRest(world)
            #expect(moved == 480)
        }

        @Test("scaling down drains first and stops then", arguments: [(4, 2), (3, 1), (8, 5)])
        func scaleDown(_ from: Int, _ to: Int) {
            var world = settled(World.spec(servers: from, standbys: 1))
            let born = world.born
            world.spec.messaging.servers = to
            expectSettles(&world) { world in
                #expect(world.owners.reduce(0) { $0 + $1.member.owns.count } == 720)
                for owner in world.owners { #expect(world.servers[owner.id]?.stopping == false, "nobody who owns is stopped") }
            }
            expectRest(world)
            #expect(world.servers.keys.count { $0.kind == .messaging } == to + 1)
            #expect(world.born == born, "nothing is started for it")
        }

        @Test("the last server cannot be drained while no other is ready, and is kept")
        func drainOfTheLast() {
            var world = settled(World.spec(servers: 1, standbys: 0))
            world.birth = nil
            let only = world.owners[0].id
            world.observed.drains = [only]
            for _ in 0..<20 {
                world.look()
                world.pass()
                world.now = world.now + .milliseconds(500)
            }
            #expect(world.owners.map(\.id) == [only])
            let plan = world.pass0
            #expect(plan.findings.contains { $0.reason == "DrainWaits" })
        }

        @Test("a move whose new owner dies is forgotten, one whose old owner dies is finished at once")
        func moveLosesASide() {
            var world = settled(World.spec(servers: 2, standbys: 1))
            world.spec.messaging.servers = 3
            while world.messaging.allSatisfy({ $0.member.opens.isEmpty }) {
                world.look()
                world.pass()
                world.now = world.now + .milliseconds(50)
            }
            let opener = world.messaging.first { !$0.member.opens.isEmpty }!
            let source = world.owners.first { !$0.member.owns.isDisjoint(with: opener.member.opens) }!
            var newDies = world
            newDies.kill(opener.id)
            newDies.pass()
            #expect(newDies.owners.reduce(0) { $0 + $1.member.owns.count } == 720)
            #expect(newDies.assignment.members[source.id] == source.member, "the old owner never noticed")
            var oldDies = world
            oldDies.kill(source.id)
            oldDies.pass()
            #expect(opener.member.opens.intersection(source.member.owns).subtracting(oldDies.assignment.members[opener.id]!.owns).isEmpty)
            #expect(oldDies.owners.reduce(0) { $0 + $1.member.owns.count } == 720)
            for var after in [newDies, oldDies] {
                expectSettles(&after)
                expectRest(after)
            }
        }

        @Test("an old owner that never says that its clients left is let go after its grace")
        func graceEnds() {
            var world = settled(World.spec(servers: 2, standbys: 0, partitions: 2))
            let id = world.owners[0].id
            world.observed.assignment.members[id]?.leaves = PartitionSet(1...1)
            world.observed.changes[id] = .init(epoch: Epoch(world.assignment.epoch.value + 5), at: world.now)
            world.look()
            let steps = world.pass().steps
            #expect(steps.isEmpty)
            world.now = world.now + world.spec.moves.grace + world.spec.failover.lease * 2
            world.look()
            world.pass()
            #expect(world.assignment.members[id]?.leaves.isEmpty == true)
        }

        /// Two owners with two partitions each, long at rest, and each opens what is named of the other's.
        private func exchanging(_ first: PartitionSet, _ second: PartitionSet) -> (world: World, first: ServerID, second: ServerID) {
            var world = settled(World.spec(servers: 2, standbys: 0, partitions: 4))
            let ids = world.owners.map(\.id)
            world.observed.assignment.members[ids[0]]?.opens = first
            world.observed.assignment.members[ids[1]]?.opens = second
            world.now = world.now + .seconds(600)
            return (world, ids[0], ids[1])
        }

        @Test("an owner that opens something itself has its grace for what it leaves")
        func graceOfAnOpener() {
            var (world, first, second) = exchanging(PartitionSet(2...2), PartitionSet(0...0))
            world.look()
            world.pass()
            #expect(world.assignment.members[first]?.owns == PartitionSet(1...2))
            #expect(world.assignment.members[first]?.leaves == PartitionSet(0...0))
            #expect(world.assignment.members[second]?.leaves == PartitionSet(2...2))
            expectSettles(&world)
            expectRest(world)
        }

        @Test("nothing is moved away from an owner whose lease is in doubt, whether or not leases count by now", arguments: [false, true])
        func doubtKeeps(_ isJustAwake: Bool) {
            var (world, first, second) = exchanging(PartitionSet(), PartitionSet(0...0))
            world.look()
            world.servers[first]?.cutOff = true
            world.now = world.now + world.spec.failover.lease * 2
            if isJustAwake { world.observed.seenSince = world.now }
            world.look()
            let before = world.assignment
            world.pass()
            #expect(world.assignment == before)
            guard !isJustAwake else { return }
            // Its probe was answered: it cannot be told, and keeps what it has.
            world.pass()
            #expect(world.assignment.members[first]?.owns == PartitionSet(0...1))
            #expect(world.assignment.members[second]?.opens == PartitionSet())
        }

        @Test("what was started in the place of hung servers is not stopped while nobody knows whether they are dead")
        func doubtStopsNobody() {
            var world = settled(World.spec(servers: 8, standbys: 0))
            world.birth = nil
            let hung = world.owners.prefix(6).map(\.id)
            for id in hung { world.servers[id]?.hangs = true }
            // The brake leaves some of them in the assignment for long, and their probes grow old again and again.
            for _ in 0..<40 {
                world.now = world.now + .milliseconds(100)
                world.look()
                world.pass()
            }
            #expect(world.born == 8 + 3 + 6, "each is replaced once")
        }

        @Test("what an operator saw before it was paused kills nobody")
        func pause() {
            var world = settled(World.spec(servers: 2, standbys: 1))
            let victim = world.owners[0].id
            world.servers[victim]?.hangs = true
            world.now = world.now + world.spec.failover.lease * 2
            world.look()
            world.observed.probes[world.servers[victim]!.life] = HealthProbe(began: world.now - .milliseconds(800), result: .failed)
            var paused = world
            let limit = world.spec.failover.lease
            let wasPausedBefore = paused.observed.stayAwake(now: world.now - .seconds(3), limit: limit)
            let wasPaused = paused.observed.stayAwake(now: world.now, limit: limit)
            #expect(!wasPausedBefore && wasPaused)
            func isRepaired(_ plan: Plan) -> Bool { plan.steps.contains { if case .publish = $0 { true } else { false } } }
            #expect(isRepaired(world.pass0))
            #expect(!isRepaired(paused.pass0))
            // It really hangs: that is seen again, and then it counts.
            for _ in 0..<100 where paused.assignment.members[victim] != nil {
                paused.now = paused.now + .milliseconds(100)
                paused.look()
                paused.pass()
            }
            expectSettles(&paused)
            expectRest(paused)
            #expect(paused.assignment.members[victim] == nil)
        }
    }
}

extension World {
    /// What would be planned now; nothing is done.
    var pass0: Plan { plan(for: spec, observed: observed, now: now) }
}
