import Blackboard
import Cell
import Support
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Wishes on a real Redis", .serialized)
    struct WishesInRedisTests {
        @Test("a drain is carried out, told, outlives its operator and a Redis that forgot everything, and ends")
        func drain() async throws {
            let stage = try await Stage()
            let generation = try await stage.apply(stage.spec(servers: 2, standbys: 1))
            let task = try stage.startOperator()
            let before = try await stage.waitUntilReady(generation)
            let victim = before.owners[0]
            var wishes = try await stage.board.wishes()
            wishes.drains = [victim]
            let first = try #require(try await stage.board.put(wishes, replacing: 0))
            #expect(try await stage.board.wishes().revision == first)
            #expect(try await stage.board.put(wishes, replacing: 0) == nil, "somebody else's change is not written over")
            func isDrained() async throws -> Bool {
                let now = try await stage.assignment()
                return now.members[victim].map { $0.role == .draining && $0.owns.isEmpty && $0.leaves.isEmpty } ?? false && now.owned == 24
                    && now.owners.count == 2
            }
            try await eventually("the drain") { try await isDrained() }
            try await eventually("the event") { try await stage.board.latestEvents(100).contains { $0.event.kind == "DrainRequested" } }
            try await stage.waitUntilReady(generation)

            task.cancel()
            _ = try? await task.value
            let second = try stage.startOperator("b")
            try await eventually("the next leader") { try await stage.board.leader()?.name == "b" }
            try await stage.waitUntilReady(generation)
            #expect(try await isDrained())
            try await stage.client.command("FLUSHALL")
            try await eventually("the wishes are back") { try await stage.board.wishes().drains == [victim] }
            try await eventually("all is as it was") { try await isDrained() }

            wishes = try await stage.board.wishes()
            wishes.drains = []
            let next = try #require(try await stage.board.put(wishes, replacing: wishes.revision))
            #expect(next > first)
            try await eventually("one too many goes") { try await stage.assignment().members(of: .messaging).count == 3 }
            second.cancel()
            _ = try? await second.value
            try await stage.client.command("FLUSHALL")
            _ = try await stage.apply(stage.spec(servers: 2, standbys: 1))
            #expect(try await stage.board.put(wishes, replacing: 0) ?? 0 > next, "no revision is given out twice, whatever Redis forgot")
        }
    }
}
