@testable import Blackboard
import Cell
import Redis
import Support
import Synchronization
import Testing

@Suite("The newest assignment")
struct AssignmentViewTests {
    let election = Election(term: Term(10), token: "t", leader: "a")

    @Test("never goes back, and applies only what follows")
    func view() {
        var view = AssignmentView()
        let first = Assignment.example(100, election, PartitionSet(0...3))
        #expect(view.take(read: nil) == .unchanged)
        #expect(view.take(read: first) == .changed)
        #expect(view.take(read: nil) == .unchanged && view.newest == first)
        #expect(view.take(read: .example(99, election)) == .unchanged && view.newest == first)
        #expect(view.take(read: .example(100, election)) == .unchanged && view.newest == first)

        let second = Assignment.example(101, election, PartitionSet(0...1), PartitionSet(2...3))
        #expect(view.take(AssignmentDelta(from: first, to: second)) == .changed && view.newest == second)
        #expect(view.take(AssignmentDelta(from: first, to: second)) == .unchanged)
        #expect(view.take(AssignmentDelta(from: .example(102, election), to: .example(103, election))) == .behind && view.newest == second)

        let later = Election(term: Term(11), token: "t", leader: "b")
        #expect(view.take(AssignmentDelta(from: second, to: .example(102, later))) == .behind, "a new leader may have read something else")
        let earlier = Election(term: Term(9), token: "t", leader: "c")
        #expect(view.take(AssignmentDelta(from: second, to: .example(102, earlier))) == .unchanged)
        #expect(view.take(read: .example(500, earlier)) == .unchanged && view.newest == second)
    }
}

/// A follower that runs until the test ends, and everything it told.
final class Following: Sendable {
    let follower: AssignmentFollower
    let told: Told
    private let task: Task<Void, any Error>

    final class Told: Sendable {
        let known = Mutex<[AssignmentFollower.Known]>([])
    }

    init(_ board: CellBlackboard) {
        let told = Told()
        let follower = AssignmentFollower(board, onChange: { known in told.known.withLock { $0.append(known) } })
        self.told = told
        self.follower = follower
        task = Task { try await follower.run() }
    }

    deinit { task.cancel() }

    var epoch: Epoch { follower.known.assignment.epoch }

    func reaches(_ assignment: Assignment, within limit: Duration = .seconds(30)) async throws {
        try await eventually("epoch \(assignment.epoch)", within: limit) { self.follower.known.assignment == assignment }
    }

    /// Whether any change went back.
    var neverWentBack: Bool {
        let versions = told.known.withLock { $0.map(\.assignment.version) }
        return zip(versions, versions.dropFirst()).allSatisfy { $0 <= $1 }
    }
}

@Suite("Following")
struct FollowerTests {
    @Test("reads what is there, follows deltas, settings and the spec's generation")
    func follows() async throws {
        let example = try await Example()
        let board = example.board
        let election = try await example.lead()
        let first = Assignment.example(100, election, PartitionSet(0...3))
        try await board.publish(from: Assignment(), to: first, as: election)
        let following = Following(board)
        try await following.reaches(first)
        let second = Assignment.example(101, election, PartitionSet(0...1), PartitionSet(2...3))
        try await board.publish(from: first, to: second, as: election)
        try await following.reaches(second)
        let settings = Settings(CellSpec.example, generation: 1, epoch: 3)
        try await board.write(settings, as: election)
        try await board.restore(StoredSpec(generation: 6, created_ms: 1, json: "{}"), as: election)
        try await eventually("settings") { following.follower.known.settings == settings }
        try await eventually("generation") { following.follower.known.generation == 6 }
    }

    @Test("a delta that follows is applied without reading anything")
    func readsNothing() async throws {
        let example = try await Example()
        let election = try await example.lead()
        var held = Assignment.example(100, election, PartitionSet(0...3))
        try await example.board.publish(from: Assignment(), to: held, as: election)
        let following = Following(example.board)
        try await following.reaches(held)
        var epoch: Int64 = 100
        // Who had to connect again reads, and rightly: only what is heard on one connection counts.
        try await eventually("20 deltas on one connection", within: .seconds(120)) {
            try await example.redis.command("CONFIG", "RESETSTAT")
            for _ in 1...20 {
                epoch += 1
                let next = Assignment.example(epoch, election, PartitionSet(0...Int32(epoch)))
                try await example.board.publish(from: held, to: next, as: election)
                held = next
            }
            try await following.reaches(held)
            let info = try await example.redis.command("INFO", "ALL").string ?? ""
            guard info.contains("total_connections_received:0\r\n") else { return false }
            #expect(!info.contains("cmdstat_hgetall"))
            return true
        }
    }

    @Test("killed connections, missed deltas: up to date with the next connection")
    func killed() async throws {
        let example = try await Example()
        let election = try await example.lead()
        var held = Assignment.example(100, election, PartitionSet(0...3))
        try await example.board.publish(from: Assignment(), to: held, as: election)
        let following = Following(example.board)
        try await following.reaches(held)
        for epoch in 101...115 {
            try await example.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            let next = Assignment.example(Int64(epoch), election, PartitionSet(0...Int32(epoch)))
            try await example.board.publish(from: held, to: next, as: election)
            held = next
            if epoch.isMultiple(of: 5) { try await following.reaches(held) }
        }
        try await following.reaches(held)
        #expect(following.neverWentBack)
    }

    @Test("a deaf follower learns from a renewal's answer, and from a client's word")
    func deaf() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let first = Assignment.example(100, election, PartitionSet(0...3))
        try await example.board.publish(from: Assignment(), to: first, as: election)
        let following = Following(example.board)
        try await following.reaches(first)
        func publishSilently(_ assignment: Assignment) async throws {
            try await example.redis.command("HSET", "{cell:eu-1}:assignment", "epoch", assignment.epoch.value)
        }
        let second = Assignment.example(101, election, PartitionSet(0...3))
        try await publishSilently(second)
        let renewal = try await example.board.renewLease(
            of: ServerID(.connect, 1), Incarnation("a1")!, arrived_ms: 1, lease: .seconds(1), report: nil, urgent: false)
        following.follower.hear(renewal)
        try await following.reaches(second)
        let third = Assignment.example(102, election, PartitionSet(0...3))
        try await publishSilently(third)
        await following.follower.catchUp(to: third.epoch)
        #expect(following.follower.known.assignment == third, "known when catchUp returns")
        await following.follower.catchUp(to: Epoch(.max))
        #expect(following.follower.known.assignment == third, "a client's word is only a hint")
    }

    @Test("FLUSHALL, an older assignment, nonsense: it goes on with what it has, and takes the next newer one")
    func forgetful() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let held = Assignment.example(100, election, PartitionSet(0...3))
        try await example.board.publish(from: Assignment(), to: held, as: election)
        let following = Following(example.board)
        try await following.reaches(held)
        try await example.redis.command("FLUSHALL")
        await following.follower.catchUp(to: Epoch(1_000))
        #expect(following.follower.known.assignment == held)

        let again = try await example.lead(atLeast: election.term)
        #expect(again.term > election.term)
        try await example.redis.command("HSET", "{cell:eu-1}:assignment", "epoch", 90, "term", election.term.value)
        try await example.redis.command("PUBLISH", "{cell:eu-1}:assignment", "{\"epoch\":")
        try await example.redis.command("PUBLISH", "{cell:eu-1}:assignment", "{\"epoch\":5000,\"term\":\(again.term.value)}")
        await following.follower.catchUp(to: Epoch(1_000))
        #expect(following.follower.known.assignment == held)

        try await example.redis.command("HSET", "{cell:eu-1}:assignment", "epoch", 100, "messaging-1", "nonsense")
        let next = Assignment.example(101, again, PartitionSet(0...1))
        try await example.board.rewrite(next, as: again)
        try await following.reaches(next)
        #expect(following.neverWentBack)
    }

    @Test("Redis gone and back: what was published since is known soon after its return")
    func redisRestarts() async throws {
        let process = try await RedisProcess(appendOnly: true)
        let board = CellBlackboard(CellName("eu-1")!, on: try process.client())
        guard case .leads(let election, _) = try await board.campaign(as: "a", token: "a", lease: .seconds(600), atLeast: .none) else {
            Issue.record("nobody leads")
            return
        }
        let first = Assignment.example(100, election, PartitionSet(0...3))
        try await board.publish(from: Assignment(), to: first, as: election)
        let following = Following(board)
        try await following.reaches(first)
        try await process.kill()
        await following.follower.catchUp(to: Epoch(101))
        #expect(following.epoch == first.epoch, "it goes on with what it has")
        try await process.start()
        try await eventually("Redis answers") { try await board.time() > 0 }
        let second = Assignment.example(101, election, PartitionSet(0...1))
        try await board.publish(from: first, to: second, as: election)
        try await following.reaches(second, within: .seconds(10))
    }
}
