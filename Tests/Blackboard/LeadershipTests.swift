import Blackboard
import Cell
import Redis
import Support
import Testing

@Suite("Leadership")
struct LeadershipTests {
    @Test("one operator leads; another is told who and until when")
    func oneLeads() async throws {
        let example = try await Example()
        let election = try await example.lead(lease: .seconds(60))
        guard case .follows(let leader) = try await example.board.campaign(as: "operator-b", token: "b", lease: .seconds(60), atLeast: .none) else {
            Issue.record("two lead")
            return
        }
        #expect(leader.name == "operator-a" && leader.term == election.term)
        #expect(leader.remaining > .seconds(30) && leader.remaining <= .seconds(60))
        #expect(try await example.board.leader()?.name == "operator-a")
    }

    @Test("a term is above the clock, the state folder's, the assignment's and every report's")
    func termIsAboveAll() async throws {
        let example = try await Example()
        let first = try await example.lead()
        let time = try await example.board.time()
        #expect(first.term.value > 1_700_000_000_000 && first.term.value <= time + 1)
        try await example.board.resign(first)
        #expect(try await example.lead(atLeast: Term(time + 10_000_000)).term == Term(time + 10_000_001))
        try await example.redis.command("FLUSHALL")

        try await example.redis.command("HSET", "{cell:eu-1}:assignment", "epoch", "\(time + 5_000)", "term", "\(time + 20_000_000)")
        let second = try await example.lead()
        #expect(second.term == Term(time + 20_000_001))
        try await example.board.resign(second)

        var report = Report(incarnation: Incarnation("a1")!, zone: "", pid: 1, build: "1")
        report.term = Term(time + 30_000_000)
        report.epoch = Epoch(time + 40_000_000)
        let server = ServerID(.messaging, 1)
        _ = try await example.board.renewLease(of: server, report.incarnation, arrived_ms: 1, lease: .seconds(60), report: report, urgent: false)
        try await example.redis.command("HSET", "{cell:eu-1}:reports", "messaging-2", "{\"term\":99999999999999999999999, half a repor")
        guard case .leads(let third, let epoch) = try await example.board.campaign(as: "c", token: "c", lease: .seconds(5), atLeast: .none) else {
            Issue.record("nobody leads, and yet nobody can")
            return
        }
        #expect(third.term == Term(time + 30_000_001))
        #expect(epoch == Epoch(time + 40_000_000))
    }

    @Test("a lead that was taken while Redis's clock was an hour ahead keeps nobody from leading")
    func leadOfAnotherClock() async throws {
        let example = try await Example()
        let old = try await example.lead("operator-a", lease: .seconds(3_600))
        let new = try await example.lead("operator-b")
        #expect(new.term > old.term)
        let overtaken = BlackboardError.Code.overtaken(by: new.term, leader: "operator-b")
        #expect(try await refusal { try await example.board.renew(old, lease: .seconds(1)) } == overtaken)
        #expect(try await example.board.leader()?.name == "operator-b")
    }

    @Test("a lease that runs out, or that Redis forgot, is lapsed; one that another holds is overtaken, for every write")
    func fenced() async throws {
        let example = try await Example()
        let board = example.board
        let old = try await example.lead("operator-a", lease: .milliseconds(30))
        try await eventually("the lease's end") { try await board.leader() == nil }
        #expect(try await refusal { try await board.renew(old, lease: .seconds(1)) } == .lapsed)

        let new = try await example.lead("operator-b")
        #expect(new.term > old.term)
        let overtaken = BlackboardError.Code.overtaken(by: new.term, leader: "operator-b")
        let log = LogID("0193b0c2-0000-7000-8000-000000000001")!
        let writes: [(String, () async throws -> Void)] = [
            ("renew", { try await board.renew(old, lease: .seconds(1)) }),
            ("publish", { try await board.publish(from: Assignment(), to: .example(1, old, PartitionSet(all: 4)), as: old) }),
            ("rewrite", { try await board.rewrite(.example(1, old, PartitionSet(all: 4)), as: old) }),
            (
                "settings",
                {
                    var settings = Settings(); settings.epoch = 1; try await board.write(settings, as: old)
                }
            ),
            ("logs", { try await board.add([log], as: old) }),
            ("status", { try await board.write(CellStatus(), as: old) }),
            ("events", { try await board.add([CellEvent("Tested", time_ms: 1, text: "")], as: old) }),
            ("forget", { try await board.forget([(ServerID(.messaging, 1), Incarnation("a1")!)], as: old) }),
            ("restore", { try await board.restore(StoredSpec(generation: 1, created_ms: 1, json: "{}"), as: old) }),
            ("remove", { try await board.removeCell(as: old) }),
        ]
        for (name, write) in writes { #expect(try await refusal(write) == overtaken, "\(name)") }
        #expect(try await example.redis.command("KEYS", "*").array?.map(\.string) == ["{cell:eu-1}:leader"], "a refused write leaves nothing")

        try await example.redis.command("FLUSHALL")
        #expect(try await refusal { try await board.renew(new, lease: .seconds(1)) } == .lapsed)
    }

    @Test("the same term with another token does not lead")
    func tokenCounts() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let thief = Election(term: election.term, token: "another", leader: "thief")
        #expect(try await refusal { try await example.board.renew(thief, lease: .seconds(1)) } == .overtaken(by: election.term, leader: "operator-a"))
    }

    @Test("who resigns makes way at once; who does not lead resigns nobody")
    func resign() async throws {
        let example = try await Example()
        let first = try await example.lead("operator-a")
        try await example.board.resign(first)
        let second = try await example.lead("operator-b")
        try await example.board.resign(first)
        #expect(try await example.board.leader()?.term == second.term)
    }
}
