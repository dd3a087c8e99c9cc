import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Balance by load")
    struct LoadTests {
        static let first = ServerID(.messaging, 1)

        /// Four owners of 12 partitions each, 400 streams in each of these; leases settled, and a window watched.
        static func resting(
            servers: Int = 4, standbys: Int = 1, partitions: Int = 48, streams: Int = 400, change: (inout CellSpec) -> Void = { _ in }
        ) -> World {
            var world = World(World.spec(servers: servers, standbys: standbys, partitions: partitions) { change(&$0) })
            world.loads = Array(repeating: (streams, 0), count: partitions)
            expectSettles(&world)
            return world
        }

        /// A hot partition 0, until everybody who bore too much is relieved.
        static func relieved(times: Int = 10) -> World {
            var world = resting()
            world.live(for: LoadWatch.cooldown)
            world.loads?[0].streams *= times
            world.live(for: .seconds(600))
            return world
        }

        // MARK: when it acts

        struct Course: Sendable, CustomTestStringConvertible {
            var testDescription: String
            /// What partition 0 has at each second, as many times the usual.
            var times: @Sendable (Int) -> Double
            var usual = 400
            /// Of every partition, by chance.
            var noise = 0.0
            /// The first move begins between these seconds; nil: nothing ever moves.
            var moves: ClosedRange<Int>?
        }

        @Test(
            "moves only what has made a server bear too much, without a break, for a whole window",
            arguments: [
                Course(testDescription: "even loads") { _ in 1 },
                Course(testDescription: "even loads with noise", times: { _ in 1 }, noise: 0.5),
                Course(testDescription: "a peak of 50 s") { (1_000..<1_050).contains($0) ? 10 : 1 },
                Course(testDescription: "peaks that come and go") { $0 % 80 < 40 ? 6 : 1 },
                Course(testDescription: "a little more for long") { $0 > 1_000 ? 3 : 1 },
                Course(testDescription: "hot, in a cell that bears next to nothing", times: { $0 > 1_000 ? 10 : 1 }, usual: 60),
                Course(testDescription: "hot for long", times: { $0 > 1_000 ? 10 : 1 }, moves: 1_060...1_100),
                Course(testDescription: "hot for long, with noise", times: { $0 > 1_000 ? 10 : 1 }, noise: 0.2, moves: 1_060...1_130),
                Course(testDescription: "hot from the beginning: a cooldown is waited for", times: { _ in 10 }, moves: 590...640),
            ])
        func course(_ course: Course) {
            var world = Self.resting()
            let before = world.epochs.count
            var first: Int?
            for second in stride(from: 0, to: 2_000, by: 5) {
                for number in 0..<48 {
                    let usual = Double(course.usual) * (number == 0 ? course.times(second) : 1)
                    world.loads?[number].streams = Int(usual * (1 + Double.random(in: -course.noise...course.noise, using: &world.random)))
                }
                world.live(for: .seconds(5))
                if first == nil, world.epochs.count > before { first = second }
            }
            #expect((first == nil) == (course.moves == nil), "after \(first ?? 0) s")
            if let first, let expected = course.moves { #expect(expected.contains(first), "after \(first) s") }
            #expect(world.pass0.steps.isEmpty)
        }

        // MARK: what it moves

        struct Case: Sendable, CustomTestStringConvertible {
            var testDescription: String
            /// Streams and messages of each owner's partitions.
            var owners: [[Double]]
            var zones: [String] = []
            var notReady: Set<Int> = []
            var placed: [Int] = []
            var cooling: [Int] = []
            var clientsPerSecond = 100_000
            var simultaneous_percent = 100
            /// `from → to: partitions back: partitions`.
            var expected: [String]
        }

        /// Loads are parts of what one server can bear.
        @Test(
            "of a heavy server the fewest partitions go to the lightest, and only where that helps",
            arguments: [
                Case(testDescription: "nobody is heavy", owners: [[0.2, 0.2], [0.2, 0.1]], expected: []),
                Case(testDescription: "to the mean", owners: [[0.4, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]], expected: ["1 > 2: 1"]),
                Case(testDescription: "the heaviest that fits goes alone", owners: [[0.14, 0.2, 0.05, 0.31], [0.1, 0.1, 0.1, 0.1]], expected: ["1 > 2: 0"]),
                Case(
                    testDescription: "one too heavy to fit, when both are better off", owners: [[0.35, 0.35, 0.3], [0.25, 0.25, 0.001]],
                    expected: ["1 > 2: 2"]),
                Case(
                    testDescription: "two are swapped where no single one helps", owners: [[0.50, 0.52, 0.001], [0.40, 0.18, 0.02]],
                    expected: ["1 > 2: 1 back: 3"]),
                Case(testDescription: "one partition that is more than a server, alone", owners: [[0.9], [0.1], [0.1]], expected: []),
                Case(
                    testDescription: "beside such a one at least half of the usual number stays", owners: [[0.9, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]],
                    expected: ["1 > 2: 1-2"]),
                Case(
                    testDescription: "several take a little each",
                    owners: [[0.2, 0.1, 0.1, 0.1, 0.1, 0.1]] + Array(repeating: [0.1, 0.1, 0.05, 0.05], count: 5),
                    expected: ["1 > 2: 1", "1 > 3: 2", "1 > 4: 3"]),
                Case(
                    testDescription: "one of the same zone before a lighter one",
                    owners: [[0.35, 0.1, 0.1, 0.05], [0.1, 0.1, 0.05, 0.05], [0.1, 0.1, 0.1, 0.06]],
                    zones: ["a", "b", "a"], expected: ["1 > 3: 1", "1 > 2: 3"]),
                Case(
                    testDescription: "one of another zone when its own cannot",
                    owners: [[0.4, 0.2, 0.1, 0.1], [0.1, 0.1, 0.05, 0.05], [0.2, 0.2, 0.1, 0.1]],
                    zones: ["a", "b", "a"], expected: ["1 > 2: 1"]),
                Case(
                    testDescription: "never to one that is not ready", owners: [[0.4, 0.1, 0.1, 0.1], [0.1, 0.1, 0.05, 0.05], [0.1, 0.1, 0.1, 0.1]],
                    notReady: [1],
                    expected: ["1 > 3: 1"]),
                Case(testDescription: "never from one that is not ready", owners: [[0.4, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]], notReady: [0], expected: []),
                Case(
                    testDescription: "never what people have placed, or what has just moved", owners: [[0.4, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]], placed: [1],
                    cooling: [2], expected: ["1 > 2: 3"]),
                Case(
                    testDescription: "as many as there is no limit for", owners: [Array(repeating: 0.06, count: 12), Array(repeating: 0.06, count: 5)],
                    expected: ["1 > 2: 0-2"]),
                Case(
                    testDescription: "no more clients than can be told within the grace",
                    owners: [Array(repeating: 0.06, count: 12), Array(repeating: 0.06, count: 5)], clientsPerSecond: 400, expected: ["1 > 2: 0"]),
                Case(
                    testDescription: "no more than may move at once, where only several are worth it",
                    owners: [Array(repeating: 0.04, count: 18), Array(repeating: 0.04, count: 8)], simultaneous_percent: 5, expected: ["1 > 2: 0"]),
                Case(
                    testDescription: "one partition that has more clients than that goes alone", owners: [[0.4, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]],
                    clientsPerSecond: 100, expected: ["1 > 2: 1"]),
            ])
        func relief(_ example: Case) {
            var spec = World.spec(servers: example.owners.count, standbys: 0, partitions: example.owners.reduce(0) { $0 + $1.count })
            spec.moves.simultaneous_percent = example.simultaneous_percent
            spec.moves.clientsPerSecond = example.clientsPerSecond
            var observed = ObservedCell()
            var weights: [Double] = []
            for (place, loads) in example.owners.enumerated() {
                let id = ServerID(.messaging, place + 1)
                let incarnation = Incarnation("i\(place)")!
                let zone = example.zones.isEmpty ? "" : example.zones[place]
                var member = Member(incarnation: incarnation, address: "", http: "", zone: zone, role: .owner)
                member.owns = PartitionSet(Int32(weights.count)...Int32(weights.count + loads.count - 1))
                weights += loads
                observed.assignment.members[id] = member
                var report = Report(incarnation: incarnation, zone: zone, pid: 1, build: "")
                report.state = example.notReady.contains(place) ? .starting : .ready
                let first = Int(member.owns.ranges[0].lowerBound)
                report.loads = PartitionLoads(member.owns.map { .init($0, streams: Int((loads[Int($0.number) - first] * 50_000).rounded()), messages: 0) })
                observed.reports[id] = report
            }
            observed.wishes.places = example.placed.isEmpty ? [] : [.init(Self.first, PartitionSet(example.placed.map { Partition($0) }))]
            var watch = LoadWatch()
            watch.look(at: observed, spec, now: Moment(milliseconds: 0), rules: .all)
            let cooling = Dictionary(uniqueKeysWithValues: example.cooling.map { (Int32($0), Moment(milliseconds: 0)) })
            let due = Set(observed.assignment.members.keys)
            let eases = Relief(Bearing(observed, watch.streams, watch.messages, spec), due: due, cooling: cooling, spec).eases()
            let told = eases.map { ease -> String in
                guard case .move(let out, let from, let to, let back, _) = ease else { return "\(ease)" }
                return "\(from.number) > \(to.number): \(out)\(back.isEmpty ? "" : " back: \(back)")"
            }
            #expect(told == example.expected)
        }

        @Test("messages weigh as streams do, and what the spec says that a server is to bear counts")
        func weights() {
            for (messages, target, isHeavy) in [(900, nil, true), (300, nil, false), (300, 4_000, true)] as [(Int, Int?, Bool)] {
                var world = Self.resting(streams: 40) { spec in
                    var scale = MessagingSpec.Autoscale(min: 4, max: 4)
                    (scale.targetConnections, scale.targetMessagesPerSecond) = (50_000, target)
                    spec.messaging.autoscale = scale
                }
                world.loads?[3].messages = messages
                world.live(for: .seconds(900))
                #expect((world.assignment.members[Self.first]!.lean != 0) == isHeavy, "\(messages) messages, \(target ?? 0)")
            }
        }

        // MARK: what comes of it

        @Test("a heavy server's neighbours of the hot partition go, everybody is told why, and then there is rest")
        func story() {
            var world = Self.relieved()
            let hot = world.assignment.members[Self.first]!
            #expect(hot.owns.contains(Partition(0)), "what is hottest stays where it is when the rest can go")
            #expect(hot.lean == hot.owns.count - 12 && hot.lean < 0)
            #expect(world.owners.reduce(0) { $0 + $1.member.lean } == 0)
            #expect(world.bears(Self.first) < 1.25)
            #expect(world.owners.allSatisfy { world.bears($0.id) < 1.25 && $0.member.owns.count <= 24 })
            #expect(world.notes.contains { $0.kind == "MoveStarted" && $0.text.hasSuffix("for load: messaging-1 bears 47% more than the mean") })
            let epochs = world.epochs.count
            let kept = world.planner.kept
            world.live(for: .seconds(3_600))
            #expect(world.epochs.count == epochs)
            #expect(world.planner.kept >= kept + 700, "and it is known without planning")
        }

        @Test("loads that change make no plan of a cell at rest")
        func kept() {
            var world = Self.resting()
            world.live(for: .seconds(100))
            let before = world.planner.kept
            for _ in 0..<100 {
                for number in 0..<48 { world.loads?[number].streams = Int.random(in: 200...600, using: &world.random) }
                world.live(for: .seconds(5))
            }
            #expect(world.planner.kept >= before + 99)
        }

        @Test("without the rule counts alone decide")
        func withoutRule() {
            var world = Self.resting()
            world.live(for: LoadWatch.cooldown)
            world.loads?[0].streams *= 10
            for _ in 0..<200 where world.observed.loadWatch.eases.isEmpty {
                world.now = world.now + .seconds(1)
                world.look()
            }
            func publishes(_ rules: Rules) -> Bool {
                plan(for: world.spec, observed: world.observed, now: world.now, rules: rules).steps.contains { if case .publish = $0 { true } else { false } }
            }
            #expect(publishes(.all))
            #expect(!publishes(Rules.all.without(.relief)))
        }

        @Test(
            "a day of noise and of hot partitions that come and go: nothing moves twice within the cooldown, and rest is rest",
            arguments: [1, 2, 3] as [UInt64])
        func day(_ seed: UInt64) {
            var world = Self.resting()
            var random = Seeded(seed)
            var usual = (0..<48).map { _ in Double.random(in: 200...600, using: &random) }
            var movedAt: [Partition: Moment] = [:]
            var underWay = PartitionSet()
            var restlessUntil = world.now + .seconds(900)
            var seen = world.epochs.count
            var moves = 0
            for hour in 0..<24 {
                // A hot one each third hour, for an hour; and two hours in which it is another every three minutes.
                let isWild = (19...20).contains(hour)
                var hot = hour % 3 == 1 ? Int.random(in: 0..<48, using: &random) : nil
                if hour % 3 != 0 || isWild { restlessUntil = world.now + .seconds(isWild ? 6_000 : 3_000) }
                if hour == 12 { usual = usual.map { $0 * 2 } }
                for quarter in 0..<(3_600 / 15) {
                    if isWild, quarter % 12 == 0 { hot = Int.random(in: 0..<48, using: &random) }
                    for number in 0..<48 {
                        let times = number == hot ? 12.0 : 1
                        world.loads?[number].streams = Int(usual[number] * times * Double.random(in: 0.8...1.2, using: &random))
                    }
                    world.live(for: .seconds(15), step: .seconds(5))
                    for epoch in world.epochs[seen...] {
                        let relieves = PartitionSet(ranges: epoch.members.values.flatMap(\.relieves.ranges))
                        for partition in relieves.subtracting(underWay) {
                            if let last = movedAt[partition] { #expect(world.now - last >= LoadWatch.cooldown, "partition \(partition)") }
                            movedAt[partition] = world.now
                            if !isWild { moves += 1 }
                        }
                        underWay = relieves
                    }
                    if world.now > restlessUntil { #expect(seen == world.epochs.count, "hour \(hour): moves for no reason") }
                    seen = world.epochs.count
                }
            }
            #expect(moves > 0 && moves < 4 * 24, "\(moves) partitions moved")
            #expect(world.pass0.steps.isEmpty)
        }
    }
}

extension World {
    /// Passes, `step` apart, each as long as there is something to do.
    mutating func live(for time: Duration, step: Duration = .seconds(5)) {
        let end = now + time
        while now < end {
            now = now + min(step, end - now)
            look()
            for _ in 0..<20 {
                if pass().steps.isEmpty { break }
                look()
            }
        }
    }

    /// How much of the owners' mean one of them bears.
    func bears(_ id: ServerID) -> Double {
        func load(_ set: PartitionSet) -> Double { set.reduce(0) { $0 + Double(loads?[Int($1.number)].streams ?? 0) } }
        let mean = owners.reduce(0) { $0 + load($1.member.owns) } / Double(max(1, owners.count))
        return load(assignment.members[id]?.owns ?? PartitionSet()) / max(1, mean)
    }
}
