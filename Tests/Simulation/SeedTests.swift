import Cell
import FoundationEssentials
import Testing

@testable import Simulation

@Suite("Seeded disasters")
struct SeedTests {
    private static let shape: Shape = {
        var shape = Shape()
        shape.hours = 0.06
        return shape
    }()

    @Test("200 seeds: the invariants hold after every event, and every disaster ends in rest")
    func seeds() async {
        // A seed is the same history whatever runs beside it.
        let summary = await Seeds(1...200, shape: Self.shape, lanes: ProcessInfo.processInfo.activeProcessorCount).run()
        #expect(summary.failure == nil, "seed \(summary.failedSeed ?? 0)")
        #expect(summary.seeds == 200)
        #expect(summary.faults > 200)
    }

    @Test("the same seed is the same history")
    func deterministic() {
        let run = SeedRun(seed: 7, shape: Self.shape)
        let first = run.run(recording: true)
        let second = run.run(recording: true)
        #expect(!first.timeline.isEmpty)
        #expect(first.timeline == second.timeline)
        #expect(first.figures == second.figures)
    }

    @Test("what an operator knows of a cell at rest holds until it plans anew", arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func plansAlike(_ seed: UInt64) {
        var run = SeedRun(seed: seed, shape: Self.shape)
        run.plansTwice = true
        #expect(run.run().violation == nil)
    }

    @Test("events come in the order of time, and of equal times in the order in which they were put in")
    func eventOrder() {
        var numbers = Seeded(5)
        var queue = EventQueue<Int>()
        var expected: [(time_us: Int64, event: Int)] = []
        var taken: [Int] = []
        var now_us: Int64 = 0
        for number in 0..<20_000 {
            let isBeat = numbers.once(in: 2)
            let time_us = now_us + (isBeat ? 500 : numbers.pick(0...900))
            queue.put(number, at: time_us, isLast: isBeat)
            expected.append((time_us, number))
            guard numbers.once(in: 2), let next = queue.takeNext() else { continue }
            #expect(next.time_us >= now_us)
            now_us = next.time_us
            taken.append(next.event)
            if number == 10_000 {
                queue.putOff(by: 77)
                let gone = Set(taken)
                for index in expected.indices where !gone.contains(expected[index].event) { expected[index].time_us += 77 }
            }
        }
        while let next = queue.takeNext() { taken.append(next.event) }
        #expect(taken == expected.sorted { ($0.time_us, $0.event) < ($1.time_us, $1.event) }.map(\.event))
        #expect(queue.nextTime_us == nil)
    }

    @Test("a lost server is rehearsed: its standby takes over within a second, and only its clients notice")
    func rehearsal() throws {
        var spec = Shape().spec(1)
        spec.messaging.servers = 4
        spec.messaging.standbys = 1
        let fault = Fault(.killNamed(ServerID(.messaging, 2)), at_us: 10_000_000)
        let result = try DisasterRehearsal(spec, clients: 40_000, faults: [fault]).run()
        #expect(result.violation == nil)
        #expect(result.affectedPartitions == 90)
        #expect(result.affectedClients == 10_000)
        #expect(result.longestOutage_us > 0 && result.longestOutage_us < 1_000_000)
        #expect(result.failovers == 90)
        #expect(result.recovery_us != nil)
    }

    @Test("a zone or server that is not there is refused")
    func unknownTarget() {
        let rehearsal = DisasterRehearsal(Shape().spec(1), clients: 1_000, faults: [Fault(.killZoneNamed("q"), at_us: 1_000_000)])
        #expect(throws: DisasterRehearsal.Problem.noSuch("zone q", there: [])) { try rehearsal.run() }
    }

    @Test("a publication's bytes are counted as they would be written")
    func deltaSize() throws {
        var numbers = Seeded(3)
        var old = Assignment(epoch: Epoch(99), term: Term(1_795_600_000_001))
        let incarnation = Incarnation.random(using: &numbers)
        for number in 1...12 { old.members[ServerID(.messaging, number)] = Member(incarnation: incarnation, address: "a:1", http: "", role: .idle) }
        var new = old
        new.epoch = Epoch(100)
        new.log = LogID(UUIDv7(time_ms: 1_795_600_000_000, using: &numbers))
        for number in 1...3 { new.members[ServerID(.messaging, number)] = nil }
        for number in 4...9 {
            new.members[ServerID(.messaging, number)]?.role = .standby
            new.members[ServerID(.messaging, number)]?.owns = PartitionSet(ranges: [0...9, 20...20, 30...Int32(100 * number)])
            new.members[ServerID(.messaging, number)]?.shadows = PartitionSet(5...5)
        }
        for (from, to) in [(Assignment(), old), (old, new), (new, new), (new, Assignment())] {
            let delta = AssignmentDelta(from: from, to: to)
            #expect(try JSONEncoder().encode(delta).count == delta.size_bytes)
        }
    }
}
