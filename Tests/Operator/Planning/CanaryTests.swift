import Cell
import Testing

@testable import Operator

/// A log of four partitions, its owner, the standby that shadows it, and an operator that probes.
struct CanaryScene {
    static let (owner, standby) = (ServerID(.messaging, 1), ServerID(.messaging, 2))
    static let partition = Partition(2)
    var canary = Canary()
    var now = Moment(milliseconds: 50_000)
    var assignment = Assignment()
    var positions: [ServerID: Int64] = [owner: 7, standby: 7]
    var cutOff: Set<ServerID> = []
    /// Where the next probe comes to lie, if the log takes it.
    var end: Int64 = 8
    var takesProbes = true

    init() {
        assignment.log = LogID(UUIDv7(bytes: (1...16).map { $0 == 7 ? 0x70 : $0 == 9 ? 0x80 : UInt8($0) })!)
        assignment.epoch = Epoch(1)
        for (id, role) in [(Self.owner, Member.Role.owner), (Self.standby, .standby)] {
            var member = Member(incarnation: Incarnation("a\(id.number)")!, address: "", http: "", zone: "", role: role)
            if role == .owner { member.owns = PartitionSet(all: 4) } else { member.shadows = PartitionSet(all: 4) }
            assignment.members[id] = member
        }
        look()
    }

    var reports: [ServerID: Report] {
        assignment.members.reduce(into: [:]) { reports, entry in
            var report = Report(incarnation: entry.value.incarnation, zone: "", pid: 1, build: "")
            report.state = .ready
            report.log = assignment.log
            report.positions = [Self.partition.description: positions[entry.key] ?? 0]
            reports[entry.key] = report
        }
    }

    mutating func look() { canary.look(at: assignment, reports, now: now) { [cutOff] in !cutOff.contains($0.id) } }

    /// The log gets a probe at `offset`.
    mutating func write(at offset: Int64) { canary.wrote(Self.partition, at: offset, of: assignment.log!, now: now) }

    /// Looks every second, as an operator does, and writes the probes that are due.
    mutating func pass(_ seconds: Int, each: (inout CanaryScene) -> Void = { _ in }) {
        for _ in 0..<seconds {
            now = now + .seconds(1)
            each(&self)
            look()
            for partition in canary.due(of: 4, now: now) where partition == Self.partition && takesProbes {
                canary.wrote(partition, at: end, of: assignment.log!, now: now)
                end += 1
            }
        }
    }

    var stuck: [ServerID] { canary.stuck.keys.map(\.id).sorted() }
    var silent: [Partition] { canary.silent(now: now).map(\.partition) }
}

extension OperatorTests {
    @Suite("Probes through the log")
    struct CanaryTests {
        struct Example: Sendable, CustomTestStringConvertible {
            var testDescription: String
            var each: @Sendable (inout CanaryScene) -> Void
            var isSilent: Bool
            var isStuck: Bool
        }

        @Test(
            "who is silent and who is stuck, 12 s after a probe was written",
            arguments: [
                Example(
                    testDescription: "both read it", each: { $0.positions = [CanaryScene.owner: $0.end, CanaryScene.standby: $0.end] }, isSilent: false,
                    isStuck: false),
                Example(testDescription: "the standby alone reads it", each: { $0.positions[CanaryScene.standby] = $0.end }, isSilent: true, isStuck: true),
                Example(
                    testDescription: "the standby read it before the log went away for everybody",
                    each: {
                        $0.positions[CanaryScene.standby] = 8
                        $0.takesProbes = false
                    }, isSilent: true, isStuck: false),
                Example(
                    testDescription: "the log was away for everybody, and the standby reports first that it reads again",
                    each: { if $0.now.milliseconds >= 62_000 { $0.positions[CanaryScene.standby] = $0.end } }, isSilent: true, isStuck: false),
                Example(testDescription: "nobody reads it: the broker is away", each: { _ in }, isSilent: true, isStuck: false),
                Example(
                    testDescription: "the owner lags, and makes progress",
                    each: {
                        $0.positions[CanaryScene.standby] = 30
                        $0.positions[CanaryScene.owner]! += $0.positions[CanaryScene.owner]! < 1 ? 1 : 0
                        $0.positions[CanaryScene.owner]! = $0.now.milliseconds / 1_000 % 7
                    }, isSilent: false, isStuck: false),
                Example(
                    testDescription: "the owner has lost Redis: what it reported is old",
                    each: {
                        $0.positions[CanaryScene.standby] = $0.end
                        $0.cutOff = [CanaryScene.owner]
                    }, isSilent: false, isStuck: false),
                Example(
                    testDescription: "the operator slept in between",
                    each: {
                        $0.positions[CanaryScene.standby] = $0.end
                        if $0.now.milliseconds % 4_000 == 0 { $0.now = $0.now + .seconds(4) }
                    }, isSilent: false, isStuck: false),
            ])
        func silence(_ example: Example) {
            var scene = CanaryScene()
            scene.write(at: 7)
            scene.pass(12, each: example.each)
            #expect(scene.silent == (example.isSilent ? [CanaryScene.partition] : []))
            #expect(scene.stuck == (example.isStuck ? [CanaryScene.owner] : []))
        }

        @Test("who reads on is stuck no longer; a new log forgets everything")
        func recovery() {
            var scene = CanaryScene()
            scene.write(at: 7)
            scene.pass(12) { $0.positions[CanaryScene.standby] = $0.end }
            #expect(scene.stuck == [CanaryScene.owner])
            var other = scene
            scene.pass(1) { $0.positions[CanaryScene.owner] = 8 }
            #expect(scene.stuck == [] && scene.silent == [])
            #expect(scene.canary.delays[CanaryScene.partition] == .seconds(13))
            other.assignment.log = LogID(UUIDv7(bytes: (2...17).map { $0 == 8 ? 0x70 : $0 == 10 ? 0x80 : UInt8($0) })!)
            other.pass(1)
            #expect(other.stuck == [] && other.silent == [])
        }

        @Test("every partition is probed once in its interval, at no more than the rate")
        func pace() {
            var canary = Canary()
            var now = Moment(milliseconds: 0)
            var asked: [Partition: Int] = [:]
            for _ in 0..<(100 * 60) {
                let due = canary.due(of: 3_000, now: now)
                #expect(due.count <= 200)
                for partition in due { asked[partition, default: 0] += 1 }
                now = now + .milliseconds(10)
            }
            // 200 a second: 15 s for all, in 60 s four times, and a few once more.
            #expect(asked.count == 3_000 && asked.values.allSatisfy { $0 == 4 || $0 == 5 })
            var small = Canary()
            let counts = (0..<30).map { small.due(of: 12, now: Moment(milliseconds: Int64($0) * 1_000)).count }
            #expect(counts.reduce(0, +) == 36)
        }

        @Test("a stuck owner is replaced by its standby and then killed; alone it keeps what it has")
        func replacement() {
            var world = World(World.spec(servers: 1, standbys: 1, partitions: 12))
            world.settle()
            let owner = world.owners[0].id
            let life = ServerLife(owner, world.owners[0].member.incarnation)
            func stick(_ world: inout World, readers: (ServerID) -> Bool) {
                for second in 0..<13 {
                    world.now = world.now + .seconds(1)
                    world.look()
                    let (assignment, now) = (world.assignment, world.now)
                    for id in world.observed.reports.keys {
                        world.observed.reports[id]?.log = assignment.log
                        world.observed.reports[id]?.positions = ["3": readers(id) ? 10 : 8]
                    }
                    let reports = world.observed.reports
                    world.observed.canary.look(at: assignment, reports, now: now) { _ in true }
                    if second == 0 || second == 6 { world.observed.canary.wrote(Partition(3), at: second == 0 ? 8 : 9, of: assignment.log!, now: now) }
                }
            }
            var alone = world
            for id in world.servers.keys where id.kind == .messaging && id != owner { alone.kill(id) }
            alone.birth = nil
            stick(&alone) { $0 != owner }
            alone.pass()
            #expect(alone.owners.map(\.id) == [owner], "there is nobody else")

            stick(&world) { $0 != owner }
            world.pass()
            #expect(world.owners.count == 1 && world.owners[0].id != owner && world.owners[0].member.owns.count == 12)
            #expect(world.notes.contains { $0.kind == "ServerLost" && $0.text.contains("reads nothing of partition 3") })
            let next = world.pass()
            #expect(next.steps.contains { if case .kill(life, _) = $0 { true } else { false } })
        }
    }
}
