import Cell
import Operator
import Testing

@testable import Simulation

/// Loads that are not even, on a virtual clock: the shipped planner behind Redis, operators that die, and servers that take their time.
@Suite("A hot partition")
struct HotPartitionTests {
    /// Six owners and a standby, 96 partitions; long at rest.
    private func world() -> World {
        var shape = Shape()
        shape.servers = 7
        shape.partitions = 96
        let world = World(shape.spec(1), operators: 2, clients: 120_000, seed: 1, recording: true)
        settle(world)
        world.skip(700_000_000)
        world.run(until: world.now_us + 1_000_000)
        return world
    }

    private func settle(_ world: World, at place: SourceLocation = #_sourceLocation) {
        var problem: String? = ""
        let end_us = world.now_us + 300_000_000
        while problem != nil, world.now_us < end_us, world.checks.violation == nil {
            world.run(until: world.now_us + 500_000)
            problem = Rest.problem(world)
        }
        #expect(problem == nil, sourceLocation: place)
        expectSound(world, at: place)
    }

    private func expectSound(_ world: World, at place: SourceLocation = #_sourceLocation) {
        #expect(world.checks.violation == nil, "\(world.timeline.lines.suffix(20).joined(separator: "\n"))", sourceLocation: place)
    }

    private func strike(_ world: World, _ kind: Fault.Kind, lasts_us: Int64 = 0) {
        world.schedule(Fault(kind, at_us: world.now_us + 1_000, lasts_us: lasts_us))
        world.run(until: world.now_us + 100_000)
    }

    private func owner(_ world: World, of partition: Int32) -> ServerID? { world.redis.assignment?.owner(of: Partition(partition))?.0 }

    @Test("makes its owner lose others, once: a few clients move, nobody is without service, and people are told why")
    func relieved() throws {
        let world = world()
        let owner = try #require(self.owner(world, of: 7))
        strike(world, .heat(partition: 7, times: 12))
        world.run(until: world.now_us + 50_000_000)
        #expect(world.checks.figures.plannedMoves == 0, "not before a window is over")
        settle(world)
        let moves = world.checks.figures.plannedMoves
        #expect((1...10).contains(moves), "\(moves) partitions moved")
        #expect(self.owner(world, of: 7) == owner, "the hot one stays")
        #expect(world.timeline.lines.contains { $0.contains("for load: \(owner) bears") })
        world.run(until: world.now_us + 1_800_000_000)
        expectSound(world)
        #expect(world.checks.figures.plannedMoves == moves, "and then there is rest")
    }

    @Test("that dies with its server, is relieved by another operator, or cools: what is even stays even", arguments: [0, 1, 2])
    func beside(_ which: Int) throws {
        let world = world()
        strike(world, .heat(partition: 7, times: 12))
        world.run(until: world.now_us + (which == 0 ? 70_000_000 : 150_000_000))
        switch which {
        case 0: strike(world, .killNamed(try #require(owner(world, of: 7))))
        case 1:
            strike(world, .operatorDies(0, keepsFolder: false), lasts_us: 20_000_000)
            strike(world, .operatorDies(1, keepsFolder: false), lasts_us: 21_000_000)
        default:
            settle(world)
            strike(world, .heat(partition: 7, times: 1))
        }
        // Another operator, and an owner that has just come, are looked at for a cooldown first.
        world.run(until: world.now_us + 800_000_000)
        settle(world)
        let moves = world.checks.figures.plannedMoves
        world.run(until: world.now_us + 1_200_000_000)
        expectSound(world)
        if which == 2 { #expect(world.redis.assignment?.members.values.allSatisfy { $0.lean == 0 } ?? false) }
        #expect(world.checks.figures.plannedMoves == moves)
    }
}
