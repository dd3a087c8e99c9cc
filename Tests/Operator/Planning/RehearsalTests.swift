import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Rehearsals")
    struct RehearsalTests {
        /// A settled cell, with 100 clients on each partition.
        private func settled(_ spec: CellSpec) -> World {
            var world = World(spec)
            expectSettles(&world)
            for (id, member) in world.owners { world.observed.reports[id]?.connections = member.owns.count * 100 }
            return world
        }

        @Test("a cell at rest stays as it is: no servers, no moves, no time")
        func rest() {
            let world = settled(World.spec(servers: 4, standbys: 1))
            let outcome = Rehearsal(world.spec, from: world.observed).outcome
            #expect(outcome == Rehearsal.Outcome())
        }

        @Test("from nothing: every server starts, nothing moves")
        func birth() {
            let outcome = Rehearsal(World.spec(servers: 4, standbys: 1), from: ObservedCell()).outcome
            #expect(outcome.started.count == 8 && outcome.stopped.isEmpty && outcome.partitionsMoved == 0 && outcome.unfinished.isEmpty)
            #expect(outcome.time_ms >= 2_000 && outcome.time_ms < 10_000)
        }

        @Test("scaling up moves the newcomers' fair share and its clients", arguments: [(2, 3, 240), (4, 5, 144), (4, 8, 360)])
        func grow(_ from: Int, _ to: Int, _ moved: Int) {
            let world = settled(World.spec(servers: from, standbys: 1))
            var spec = world.spec
            spec.messaging.servers = to
            let outcome = Rehearsal(spec, from: world.observed).outcome
            #expect(outcome.started.count == to - from && outcome.stopped.isEmpty && outcome.unfinished.isEmpty)
            #expect(outcome.partitionsMoved == moved)
            #expect(outcome.clientsMoved == moved * 100)
            #expect(outcome.timeline.contains { $0.text.contains("starts") })
        }

        @Test("what the world then does is what was rehearsed")
        func comesTrue() {
            var world = settled(World.spec(servers: 5, standbys: 1))
            world.spec.messaging.servers = 3
            let outcome = Rehearsal(world.spec, from: world.observed).outcome
            let before = world.assignment
            expectSettles(&world)
            var moved = 0
            for (id, member) in world.owners { moved += member.owns.subtracting(before.members[id]?.owns ?? PartitionSet()).count }
            #expect(outcome.partitionsMoved == moved)
            #expect(outcome.stopped.count == 2 && outcome.started.isEmpty)
        }

        @Test("a new template replaces every server, and each partition moves with its clients")
        func upgrade() {
            var world = settled(World.spec(servers: 3, standbys: 1))
            guard case .process(var process) = world.spec.run else { return }
            process.environment["VERSION"] = "2"
            world.spec.run = .process(process)
            world.observed.servers = world.observed.servers?.filter { !$0.isGone }
            let outcome = Rehearsal(world.spec, from: world.observed).outcome
            #expect(outcome.unfinished.isEmpty)
            #expect(outcome.started.count == 7 && outcome.stopped.count == 7, "\(outcome.started) \(outcome.stopped)")
            #expect(outcome.partitionsMoved == 720 && outcome.epochs < 100, "\(outcome.partitionsMoved) in \(outcome.epochs) epochs")
        }

        @Test("slow telling takes its time")
        func duration() {
            var world = settled(World.spec(servers: 2, standbys: 1))
            world.spec.messaging.servers = 3
            let quick = Rehearsal(world.spec, from: world.observed).outcome
            world.spec.moves.clientsPerSecond = 500
            let slow = Rehearsal(world.spec, from: world.observed).outcome
            #expect(slow.time_ms > quick.time_ms * 2)
            #expect(slow.unfinished.isEmpty)
        }
    }
}
