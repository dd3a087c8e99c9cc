import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Any order of events")
    struct DisasterTests {
        enum Fault: CaseIterable { case kill, hang, cutOff, heal, scale, standbys, drain, never, redisAway, time }

        /// What holds after every pass, whatever happens.
        func check(_ world: World, _ before: Assignment, _ seed: UInt64) {
            let owned = world.messaging.flatMap(\.member.owns.ranges)
            let union = PartitionSet(ranges: owned)
            #expect(owned.reduce(0) { $0 + $1.count } == union.count, "seed \(seed): no partition has two owners under one epoch")
            let moving = world.messaging.reduce(0) { $0 + $1.member.opens.count + $1.member.leaves.count }
            let was = before.members.values.reduce(0) { $0 + $1.opens.count + $1.leaves.count }
            #expect(moving <= max(was, max(1, world.spec.partitions * world.spec.moves.simultaneous_percent / 100)), "seed \(seed): the cap holds")
            let repaired = before.members.keys.contains { world.assignment.members[$0] == nil && !(before.members[$0]?.owns.isEmpty ?? true) }
            if repaired {
                let lost = before.members.filter { world.assignment.members[$0.key] == nil }.reduce(into: PartitionSet()) { $0 = $0.union($1.value.owns) }
                for (id, member) in world.assignment.members {
                    guard let old = before.members[id] else { continue }
                    #expect(old.owns.subtracting(member.owns).isEmpty, "seed \(seed): repair takes nothing from \(id)")
                    #expect(member.owns.subtracting(old.owns).subtracting(lost).isEmpty, "seed \(seed): repair gives \(id) only what the dead owned")
                }
            }
            let ready = world.messaging.contains { id, member in
                world.servers[id].map { !$0.hangs && !$0.cutOff && !$0.stopping && $0.life.incarnation == member.incarnation } ?? false
            }
            if ready, before.epoch > .none, union.count < world.spec.partitions {
                // Only the first assignment may wait, and for a lease at most.
                #expect(
                    union.isEmpty || world.assignment.log == nil,
                    "seed \(seed): a ready server, and \(world.spec.partitions - union.count) partitions without owner")
            }
        }

        mutating func strike(_ world: inout World, _ fault: Fault) {
            let messaging = world.servers.keys.filter { $0.kind == .messaging }.sorted()
            let victim = messaging.randomElement(using: &world.random)
            switch fault {
            case .kill: if let id = world.servers.keys.sorted().randomElement(using: &world.random) { world.kill(id) }
            case .hang: if let victim { world.servers[victim]?.hangs = true }
            case .cutOff: if let victim { world.servers[victim]?.cutOff = true }
            case .heal:
                for id in messaging {
                    world.servers[id]?.hangs = false
                    world.servers[id]?.cutOff = false
                }
            case .scale: world.spec.messaging.servers = Int.random(in: 1...9, using: &world.random)
            case .standbys: world.spec.messaging.standbys = Int.random(in: 0...3, using: &world.random)
            case .drain: if let victim { world.observed.drains = [victim] }
            case .never: world.birth = Bool.random(using: &world.random) ? nil : .milliseconds(Int64.random(in: 50...3_000, using: &world.random))
            case .redisAway:
                world.observed.redisBack = nil
                world.now = world.now + .milliseconds(Int64.random(in: 100...10_000, using: &world.random))
                world.pass()
                world.observed.redisBack = world.now
            case .time: world.now = world.now + .milliseconds(Int64.random(in: 1...5_000, using: &world.random))
            }
        }

        @Test("seeded disasters: the invariants hold after every pass, and every disaster ends in rest", arguments: 1...UInt64(25))
        mutating func seeds(_ seed: UInt64) {
            var world = World(World.spec(servers: 4, standbys: 1, partitions: Int(seed % 5) * 90 + 7), seed: seed)
            world.settle()
            for _ in 0..<60 {
                strike(&world, Fault.allCases.randomElement(using: &world.random)!)
                for _ in 0..<Int.random(in: 1...6, using: &world.random) {
                    world.look()
                    let before = world.assignment
                    let passes = Int.random(in: 1...3, using: &world.random)
                    var last = before
                    for _ in 0..<passes {
                        world.pass()
                        check(world, last, seed)
                        last = world.assignment
                    }
                    world.now = world.now + .milliseconds(Int64.random(in: 1...400, using: &world.random))
                }
            }
            world.birth = .milliseconds(100)
            for id in world.servers.keys {
                world.servers[id]?.hangs = false
                world.servers[id]?.cutOff = false
                if world.servers[id]?.readyAt == nil { world.servers[id]?.readyAt = world.now + .milliseconds(100) }
            }
            world.observed.drains = []
            expectSettles(&world, within: .seconds(300))
            let counts = world.owners.map(\.member.owns.count)
            #expect(counts.reduce(0, +) == world.spec.partitions, "seed \(seed)")
            #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1, "seed \(seed): balanced")
            #expect(world.servers.keys.count { $0.kind == .messaging } == world.spec.messaging.servers + world.spec.messaging.standbys, "seed \(seed)")
            #expect(plan(for: world.spec, observed: world.observed, now: world.now) == plan(for: world.spec, observed: world.observed, now: world.now))
        }
    }
}
