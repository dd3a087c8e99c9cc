import Cell
import Operator
import Testing

@testable import Simulation

/// What people ask for beside the spec, on a virtual clock.
@Suite("Wishes of people")
struct PeopleTests {
    private func world(_ change: (inout CellSpec) -> Void = { _ in }) -> World {
        var shape = Shape()
        shape.servers = 6
        shape.partitions = 60
        var spec = shape.spec(1)
        spec.rollout.batch = 1
        change(&spec)
        return World(spec, operators: 2, clients: 60_000, seed: 1)
    }

    /// Lets time pass until the cell is at rest. Fails after five minutes.
    private func settle(_ world: World, at place: SourceLocation = #_sourceLocation) {
        var problem: String? = ""
        let end_us = world.now_us + 300_000_000
        while problem != nil, world.now_us < end_us, world.checks.violation == nil {
            world.run(until: world.now_us + 500_000)
            problem = Rest.problem(world)
        }
        #expect(problem == nil, sourceLocation: place)
        #expect(world.checks.violation == nil, sourceLocation: place)
    }

    private func strike(_ world: World, _ kind: Fault.Kind, lasts_us: Int64 = 0) {
        world.schedule(Fault(kind, at_us: world.now_us + 1_000, lasts_us: lasts_us))
        world.run(until: world.now_us + 100_000)
    }

    private func owned(_ world: World, by id: ServerID) -> PartitionSet { world.redis.assignment?.members[id]?.owns ?? PartitionSet() }

    @Test("a rollout stops at a server that is never ready, and every old one serves on; mended, it goes on to its end")
    func rolloutStops() {
        let world = world()
        settle(world)
        let old = Set(world.substrate.living.map(\.life))
        strike(world, .noBirths, lasts_us: 120_000_000)
        strike(world, .upgrade)
        world.run(until: world.now_us + 90_000_000)
        #expect(world.checks.violation == nil)
        #expect(old.allSatisfy { world.substrate.server($0)?.isReady ?? false }, "nobody was taken away")
        #expect(world.substrate.living.count <= old.count + 1, "one new server at a time")
        #expect(world.leader?.lastPlan?.findings.contains { $0.reason == "RolloutStopped" } ?? false)
        world.run(until: world.now_us + 31_000_000)
        settle(world)
        #expect(world.substrate.living.allSatisfy { !old.contains($0.life) })
    }

    @Test("who pauses rollouts and resumes them while Redis is away is heard in that order", arguments: [2_050, 2_150, 2_250, 2_350, 2_450])
    func order(_ paused_ms: Int64) {
        let world = world()
        settle(world)
        let revision = world.redis.wishes.revision
        strike(world, .redisAway(refuses: true), lasts_us: 8_000_000)
        strike(world, .rolloutPaused, lasts_us: paused_ms * 1_000)
        world.run(until: world.now_us + 20_000_000)
        #expect(world.redis.wishes.revision > revision)
        #expect(!world.redis.wishes.isRolloutPaused)
    }

    @Test("a drained server loses everything once, stays without, and owns again after it was taken back")
    func drain() {
        let world = world()
        settle(world)
        let drained = ServerID(.messaging, 1)
        world.checks.watchMoves(true)
        strike(world, .drain(0))
        settle(world)
        #expect(world.redis.wishes.drains == [drained])
        #expect(owned(world, by: drained).isEmpty)
        #expect(world.substrate.living.contains { $0.life.id == drained })
        #expect(world.checks.figures.plannedMoves == 12)
        strike(world, .takeBack)
        settle(world)
        #expect(world.substrate.living.count { $0.life.id.kind == .messaging } == 6, "whoever is too many by then goes")
    }

    @Test("what people asked outlives a Redis that forgot it together with the leader who knew it")
    func drainOutlives() throws {
        let world = world()
        settle(world)
        strike(world, .drain(0))
        settle(world)
        let wishes = world.redis.wishes
        let leader = try #require(world.operators.firstIndex { $0 === world.leader })
        strike(world, .operatorDies(leader, keepsFolder: true), lasts_us: 20_000_000)
        strike(world, .redisLosesEverything, lasts_us: 800_000)
        world.run(until: world.now_us + 10_000_000)
        #expect(world.redis.wishes == wishes)
        settle(world)
        strike(world, .drain(1))
        settle(world)
        #expect(world.redis.wishes.revision > wishes.revision)
    }

    @Test("settings of a leader whose Redis was an hour ahead are overtaken by the next leader, who stood by, after Redis has lost them")
    func settingsEpochs() throws {
        let world = world()
        settle(world)
        strike(world, .redisClock(jump_ms: 3_600_000), lasts_us: 10_000_000)
        world.run(until: world.now_us + 3_000_000)
        strike(world, .failover(lease_ms: 3_000))
        world.run(until: world.now_us + 3_000_000)
        let writer = try #require(world.operators.firstIndex { $0 === world.leader })
        world.run(until: world.now_us + 15_000_000)
        settle(world)
        strike(world, .operatorDies(writer, keepsFolder: true), lasts_us: 60_000_000)
        strike(world, .redisLosesEverything, lasts_us: 800_000)
        world.run(until: world.now_us + 10_000_000)
        strike(world, .failover(lease_ms: 2_000))
        settle(world)
    }

    @Test("an operator that waits for what servers know goes on when people write again what Redis lost")
    func waitEnds() {
        let world = world {
            $0.failover.lease = .seconds(5)
            $0.failover.heartbeat = .seconds(1)
        }
        settle(world)
        world.run(until: world.now_us + 3_000_000)
        strike(world, .muteBirths, lasts_us: 30_000_000)
        world.schedule(Fault(.redisLosesASecond, at_us: world.now_us + 1_300_000, lasts_us: 200_000))
        world.run(until: world.now_us + 500_000)
        // The operator has read it when Redis loses it, and the servers that it started for it have not reported.
        strike(world, .scale(servers: 8))
        world.run(until: world.now_us + 60_000_000)
        settle(world)
        #expect(world.substrate.living.count { $0.life.id.kind == .messaging } == 8 + world.spec.messaging.standbys)
    }

    @Test("partitions that were moved by hand stay where they are while others come and go")
    func moveByHand() throws {
        let world = world()
        settle(world)
        strike(world, .moveByHand(33))
        settle(world)
        let place = try #require(world.redis.wishes.places.first)
        #expect(place.partitions == PartitionSet(33...38))
        #expect(place.partitions.subtracting(owned(world, by: place.server)).isEmpty)
        let other = try #require(world.substrate.living.first { $0.life.id.kind == .messaging && $0.life.id != place.server })
        strike(world, .killNamed(other.life.id))
        strike(world, .scale(servers: 7))
        settle(world)
        #expect(place.partitions.subtracting(owned(world, by: place.server)).isEmpty)
    }

    @Test("an autoscaled cell follows its clients up and down, whoever leads")
    func autoscale() {
        let world = world()
        settle(world)
        strike(world, .autoscale(true))
        strike(world, .load(percent: 200))
        settle(world)
        #expect(world.redis.scale == 6)
        strike(world, .operatorDies(0, keepsFolder: false), lasts_us: 5_000_000)
        strike(world, .load(percent: 80))
        world.run(until: world.now_us + 6_000_000)
        settle(world)
        #expect(world.redis.scale == 3)
    }
}
