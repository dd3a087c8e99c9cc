import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("A cell at rest")
    struct RestingTests {
        /// At rest, leases settled, and the planner has seen it so.
        private func resting() -> World {
            var world = World(World.spec(servers: 3, standbys: 1))
            expectSettles(&world)
            world.now = world.now + .seconds(5)
            world.look()
            world.pass()
            return world
        }

        @Test("is not planned anew while nothing but leases changes")
        func kept() {
            var world = resting()
            let before = world.planner.kept
            for _ in 0..<10 {
                world.now = world.now + .milliseconds(100)
                world.look()
                #expect(world.pass().lookAgain != nil)
            }
            #expect(world.planner.kept == before + 10)
        }

        struct Change: Sendable, CustomTestStringConvertible {
            var testDescription: String
            var make: @Sendable (inout World) -> Void
            init(_ name: String, _ make: @escaping @Sendable (inout World) -> Void) { (testDescription, self.make) = (name, make) }
        }

        private static let first = ServerID(.messaging, 1)
        static let changes = [
            Change("a server ends") { $0.kill(first) },
            Change("a server says that it is not ready") { $0.observed.reports[first]?.state = .starting },
            Change("half a lease is over") { $0.now = $0.now + .milliseconds(800) },
            Change("a lease has run out") { $0.observed.leases[$0.observed.leases.keys.sorted()[0]] = $0.observed.leasesRead },
            Change("a lease is gone") { $0.observed.leases[$0.observed.leases.keys.sorted()[0]] = nil },
            Change("a server of another operator has a lease") {
                $0.observed.leases[ServerLife(ServerID(.messaging, 99), Incarnation("other")!)] = $0.now + .seconds(1)
            },
            Change("the report of a dead server is there") {
                $0.observed.reports[ServerID(.messaging, 99)] = Report(incarnation: Incarnation("dead")!, zone: "", pid: 1, build: "")
            },
            Change("the spec asks for more") { $0.spec.messaging.servers += 1 },
            Change("people drain one") { $0.observed.wishes.drains = [first] },
            Change("the assignment is another") { $0.observed.assignment.members[first]?.owns.remove(Partition(0)) },
            Change("the topic is made anew") { $0.observed.log = .renewed },
            Change("Redis is away") { $0.observed.redisBack = nil },
            Change("this operator was paused") { $0.observed.seenSince = $0.now },
            Change("the driver cannot be asked") { $0.observed.servers = nil },
            Change("the cell is to go") { $0.observed.deleted = true },
        ]

        @Test("is planned anew when anything else has changed", arguments: changes)
        func changed(_ change: Change) {
            var world = resting()
            change.make(&world)
            let before = world.planner.kept
            // The pass compares the two plans.
            world.pass()
            #expect(world.planner.kept == before)
        }
    }

    @Suite("Claims")
    struct ClaimTests {
        @Test("what is free is what sets say, wherever ranges begin and end")
        func free() {
            var numbers = Seeded(11)
            for count in [1, 63, 64, 65, 128, 720, 1_000] {
                for _ in 0..<200 {
                    var claims = Claims(of: count)
                    var rest = PartitionSet(all: count)
                    for _ in 0..<Int.random(in: 0...6, using: &numbers) {
                        let low = Int32.random(in: 0..<Int32(count), using: &numbers)
                        let set = PartitionSet(low...Int32.random(in: low..<Int32(count), using: &numbers)).intersection(rest)
                        claims.add(set)
                        rest = rest.subtracting(set)
                    }
                    #expect(claims.free == rest)
                    #expect(claims.areSound)
                }
            }
        }

        @Test("a partition that two claim, and one that is none, are noticed")
        func unsound() {
            var twice = Claims(of: 200)
            twice.add(PartitionSet(10...70))
            twice.add(PartitionSet(70...80))
            #expect(!twice.areSound)
            var beyond = Claims(of: 200)
            beyond.add(PartitionSet(190...200))
            #expect(!beyond.areSound)
        }

        @Test("two facts that contradict each other: the lower name keeps what both claim, and what is none goes away")
        func contradiction() {
            var world = World(World.spec(servers: 3, standbys: 0))
            expectSettles(&world)
            let ids = world.owners.map(\.id)
            let stolen = world.assignment.members[ids[0]]!.owns
            world.observed.assignment.members[ids[1]]?.owns = stolen.union(PartitionSet(715...900))
            world.pass()
            let members = world.assignment.members
            #expect(members[ids[0]]?.owns == stolen)
            #expect(PartitionSet(ranges: members.values.flatMap(\.owns.ranges)) == PartitionSet(all: 720))
            #expect(members.values.reduce(0) { $0 + $1.owns.count } == 720)
        }
    }
}
