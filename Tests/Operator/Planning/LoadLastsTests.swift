import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("What has moved for its load")
    struct LoadLastsTests {
        @Test("what has moved for its load stays when another operator leads, dies with its server, or is drained beside")
        func lasts() {
            let world = LoadTests.relieved()
            let before = world.assignment
            func counts(_ world: World) -> Int { world.notes.count { $0.text.hasSuffix("for balance") } }
            var led = world
            led.observed.beginLead(now: led.now)
            led.live(for: .seconds(2_000))
            #expect(led.assignment == before)

            var died = world
            died.kill(LoadTests.first)
            expectSettles(&died)
            let heir = died.owners.first { $0.member.owns == before.members[LoadTests.first]!.owns }
            #expect(heir?.member.lean == before.members[LoadTests.first]!.lean)
            died.live(for: .seconds(300))
            #expect(counts(died) == counts(world), "nothing else moves for it")
        }

        @Test("more servers, and fewer: shares are even beside what each leans")
        func scaled() {
            for servers in [2, 3, 5, 8] {
                var world = LoadTests.relieved()
                world.spec.messaging.servers = servers
                expectSettles(&world)
                let levels = world.owners.map { $0.member.owns.count - $0.member.lean }
                let mean = 48 / servers
                #expect(world.owners.count == servers)
                #expect(levels.max()! - levels.min()! <= 1 || world.owners.contains { abs($0.member.lean) > mean / 2 }, "\(levels)")
                #expect(world.owners.allSatisfy { $0.member.owns.count <= 2 * mean + 1 && $0.member.owns.count >= mean / 2 })
            }
        }

        @Test("when the load is gone, the server that had fewer gets its share again, once")
        func returns() {
            var world = LoadTests.relieved()
            world.loads?[0].streams = 400
            world.live(for: .seconds(2_000))
            let counts = world.owners.map(\.member.owns.count)
            #expect(world.assignment.members[LoadTests.first]!.lean > -3)
            #expect(world.owners.allSatisfy { world.bears($0.id) > 0.75 && world.bears($0.id) < 1.25 }, "\(counts)")
            let epochs = world.epochs.count
            world.live(for: .seconds(3_600))
            #expect(world.epochs.count == epochs)
        }

        @Test("status tells while partitions move for load")
        func finding() {
            let world = opening().world
            let opened = world.messaging.reduce(0) { $0 + $1.member.opens.count }
            let texts = world.pass0.findings.map(\.text)
            #expect(opened > 0 && texts.contains("\(opened) partitions are moving, \(opened) of them for load"), "\(texts)")
        }

        /// Partitions open for load, and nothing else has happened.
        private func opening(cap_percent: Int = 10) -> (world: World, opener: ServerID) {
            var world = LoadTests.resting { $0.moves.simultaneous_percent = cap_percent }
            world.live(for: LoadWatch.cooldown)
            world.loads?[0].streams *= 10
            for _ in 0..<200 where world.messaging.allSatisfy({ $0.member.relieves.isEmpty }) {
                world.now = world.now + .seconds(1)
                world.look()
                world.pass()
            }
            return (world, world.messaging.first { !$0.member.relieves.isEmpty }?.id ?? LoadTests.first)
        }

        @Test("a move for load that loses a side leaves nothing behind: counts decide as before")
        func cancelled() {
            let (world, opener) = opening()
            #expect(opener != LoadTests.first)
            for victim in [opener, LoadTests.first] {
                var after = world
                after.kill(victim)
                after.loads?[0].streams = 400
                expectSettles(&after)
                let levels = after.owners.map { $0.member.owns.count - $0.member.lean }
                #expect(after.messaging.allSatisfy { $0.member.relieves.isEmpty })
                #expect(levels.max()! - levels.min()! <= 1, "\(levels)")
                #expect(!after.notes.contains { $0.text.hasSuffix("for balance") })
            }
        }

        @Test("counts do not undo a move for load while it is under way, however many may move at once")
        func underWay() {
            var (world, _) = opening(cap_percent: 100)
            let opens = world.messaging.map(\.member.opens.count)
            #expect(opens.contains { $0 > 1 })
            // Nobody has reported anything since.
            #expect(world.pass().steps.isEmpty)
            #expect(world.messaging.map(\.member.opens.count) == opens)
        }

        @Test("a window begins anew with each change of the assignment, and not before everything has moved")
        func still() {
            var world = LoadTests.resting()
            world.live(for: LoadWatch.cooldown)
            world.loads?[0].streams *= 10
            func decides(_ steps: Int, _ each: (inout World, Int) -> Void) -> Bool {
                var isDecided = false
                for step in 1...steps {
                    each(&world, step)
                    world.now = world.now + LoadWatch.step
                    world.look()
                    isDecided = isDecided || !world.observed.loadWatch.eases.isEmpty
                }
                return isDecided
            }
            let isChanging = decides(60) { world, step in if step % 8 == 0 { world.observed.assignment.epoch = world.assignment.epoch.next } }
            #expect(!isChanging)
            world.observed.assignment.members[LoadTests.first]?.leaves = PartitionSet(47...47)
            let isLeaving = decides(40) { _, _ in }
            #expect(!isLeaving)
            world.observed.assignment.members[LoadTests.first]?.leaves = PartitionSet()
            let isStill = decides(14) { _, _ in }
            #expect(isStill)
        }

        @Test("a drained server gets nothing for load, and what drains goes first")
        func drained() {
            var (world, _) = opening()
            world.observed.drains = [ServerID(.messaging, 2)]
            world.live(for: .seconds(900))
            #expect(world.assignment.members[ServerID(.messaging, 2)]?.owns.isEmpty ?? true)
            #expect(world.owners.allSatisfy { world.bears($0.id) < 1.25 })
        }
    }
}
