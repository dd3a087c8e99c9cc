import Blackboard
import Cell
import Redis
import Support
import Testing

@Suite("Publishing the assignment")
struct AssignmentTests {
    let log = LogID("0193b0c2-0000-7000-8000-000000000001")!

    @Test("what is published is read, change after change")
    func roundTrip() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let first = Assignment.example(100, election, PartitionSet(0...3), PartitionSet(4...7), log: log)
        try await example.board.publish(from: Assignment(), to: first, as: election)
        #expect(try await example.board.assignment() == first)

        var second = first
        second.epoch = first.epoch.next
        second.members[ServerID(.messaging, 2)] = nil
        second.members[ServerID(.messaging, 1)]?.owns = PartitionSet(0...7)
        try await example.board.publish(from: first, to: second, as: election)
        #expect(try await example.board.assignment() == second)
        #expect(try await example.board.assignmentVersion() == (second.epoch, second.term))
    }

    @Test("a change writes the changed fields and no others")
    func onlyWhatChanged() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let first = Assignment.example(100, election, PartitionSet(0...3), PartitionSet(4...7))
        try await example.board.publish(from: Assignment(), to: first, as: election)
        let mark = "{\"untouched\":true}"
        try await example.redis.command("HSET", "{cell:eu-1}:assignment", "messaging-2", mark)
        var second = first
        second.epoch = first.epoch.next
        second.members[ServerID(.messaging, 1)]?.owns = PartitionSet(0...2)
        try await example.board.publish(from: first, to: second, as: election)
        #expect(try await example.redis.command("HGET", "{cell:eu-1}:assignment", "messaging-2").string == mark)
    }

    @Test("a change that starts from another epoch is refused with what Redis holds, and writes nothing")
    func epochConflict() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let held = Assignment.example(100, election, PartitionSet(0...3))
        try await example.board.publish(from: Assignment(), to: held, as: election)
        let cases: [(String, from: Assignment, to: Int64)] = [
            ("from nothing", Assignment(), 101), ("from an older epoch", .example(99, election), 101), ("to the same epoch", held, 100),
            ("to an older epoch", held, 99),
        ]
        for (name, from, to) in cases {
            let refused = try await refusal { try await example.board.publish(from: from, to: .example(to, election, PartitionSet(0...1)), as: election) }
            #expect(refused == .epoch(found: held.epoch, term: held.term), "\(name)")
        }
        #expect(try await example.board.assignment() == held)
    }

    @Test("Redis lost the last epochs: a change is refused, the whole assignment is written over the older one, never over a newer one")
    func rewrite() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let old = Assignment.example(100, election, PartitionSet(0...3), PartitionSet(4...7), PartitionSet(8...9))
        try await example.board.publish(from: Assignment(), to: old, as: election)
        let mine = Assignment.example(105, election, PartitionSet(0...7), log: log)
        var next = mine
        next.epoch = mine.epoch.next
        #expect(try await refusal { try await example.board.publish(from: mine, to: next, as: election) } == .epoch(found: old.epoch, term: old.term))
        try await example.board.rewrite(mine, as: election)
        #expect(try await example.board.assignment() == mine)
        #expect(try await refusal { try await example.board.rewrite(old, as: election) } == .epoch(found: mine.epoch, term: mine.term))
    }

    @Test("an assignment of a later term is not written over, whatever the lease says")
    func laterTerm() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let later = election.term.value + 1_000
        try await example.redis.command("HSET", "{cell:eu-1}:assignment", "epoch", 5, "term", later)
        let refused = try await refusal { try await example.board.rewrite(.example(100, election, PartitionSet(0...3)), as: election) }
        #expect(refused == .overtaken(by: Term(later), leader: ""))
    }

    @Test("a Redis that is read-only or full refuses by that name, and nothing is half written")
    func redisRefuses() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let held = Assignment.example(100, election, PartitionSet(0...3), PartitionSet(4...7))
        try await example.board.publish(from: Assignment(), to: held, as: election)
        let next = Assignment.example(101, election, PartitionSet(0...7))

        try await example.redis.command("CONFIG", "SET", "maxmemory", "1")
        guard case .redis(let full)? = try await refusal({ try await example.board.publish(from: held, to: next, as: election) }) else {
            Issue.record("a full Redis took it, or refused it by another name")
            return
        }
        #expect(full.code == .outOfMemory)
        try await example.redis.command("CONFIG", "SET", "maxmemory", "0")
        #expect(try await example.board.assignment() == held)

        // A client of its own: the board's begins anew when it meets a replica.
        let people = try example.process.client()
        try await people.command("REPLICAOF", "127.0.0.1", "1")
        guard case .redis(let replica)? = try await refusal({ try await example.board.publish(from: held, to: next, as: election) }) else {
            Issue.record("a replica took it, or refused it by another name")
            return
        }
        #expect(replica.code == .readOnly)
        try await people.command("REPLICAOF", "NO", "ONE")
        try await eventually("a primary again") { try await example.board.assignment() == held }
        try await example.board.publish(from: held, to: next, as: election)
        #expect(try await example.board.assignment() == next)
    }

    @Test("scripts that Redis forgot are sent again")
    func scriptFlush() async throws {
        let example = try await Example()
        let election = try await example.lead()
        var held = Assignment()
        for epoch in 100..<110 {
            try await example.redis.command("SCRIPT", "FLUSH")
            let next = Assignment.example(Int64(epoch), election, PartitionSet(0...Int32(epoch)))
            try await example.board.publish(from: held, to: next, as: election)
            held = next
        }
        #expect(try await example.board.assignment() == held)
    }

    @Test("half an assignment is none", arguments: [("epoch", "soon"), ("log", "the first"), ("messaging-1", "{\"owns\":"), ("nobody", "{}")])
    func malformed(field: String, value: String) async throws {
        let example = try await Example()
        let election = try await example.lead()
        try await example.board.publish(from: Assignment(), to: .example(100, election, PartitionSet(0...3)), as: election)
        try await example.redis.command("HSET", "{cell:eu-1}:assignment", field, value)
        guard case .malformed? = try await refusal({ _ = try await example.board.assignment() }) else {
            Issue.record("\(field) = \(value) was taken")
            return
        }
    }

    @Test("one failover among 2,000 servers costs one call and a message below 4 KB")
    func cost() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let parts = (0..<2_000).map { PartitionSet(Int32($0 * 10)...Int32($0 * 10 + 9)) }
        var members: [ServerID: Member] = [:]
        for (index, part) in parts.enumerated() { members[ServerID(.messaging, index + 1)] = .owner(of: part) }
        members[ServerID(.messaging, 2_001)] = Member(incarnation: Incarnation("s1")!, address: "127.0.0.1:1", http: "127.0.0.1:2", role: .standby)
        let before = Assignment(epoch: Epoch(100), term: election.term, members: members)
        try await example.board.rewrite(before, as: election)
        var after = before
        after.epoch = before.epoch.next
        after.members[ServerID(.messaging, 2_001)] = .owner("s1", of: parts[7])
        after.members[ServerID(.messaging, 8)] = nil
        let listener = try RedisSubscription(to: ["{cell:eu-1}:assignment"], at: example.process.address, patience: .seconds(60), options: .patient)
        var events = listener.events.makeAsyncIterator()
        #expect(await events.next() == .subscribed)
        try await example.redis.command("CONFIG", "RESETSTAT")
        try await example.board.publish(from: before, to: after, as: election)
        guard case .message(_, let bytes) = await events.next() else {
            Issue.record("no message")
            return
        }
        #expect(bytes.count < 4_096)
        let calls = try await example.redis.command("INFO", "commandstats").string ?? ""
        let evals = calls.split(separator: "\r\n").filter { $0.hasPrefix("cmdstat_eval") }
        #expect(evals.count == 1 && evals[0].contains("calls=1,"), "\(evals)")
        #expect(try await example.board.assignment() == after)
    }
}
