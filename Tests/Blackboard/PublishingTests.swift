import Blackboard
import Cell
import Redis
import Support
import Testing

@Suite("Settings, logs, status and events")
struct PublishingTests {
    @Test("settings only get newer")
    func settings() async throws {
        let example = try await Example()
        let election = try await example.lead()
        #expect(try await example.board.settings() == nil)
        let newer = Settings(CellSpec.example, generation: 2, epoch: 5)
        #expect(try await example.board.write(newer, as: election))
        #expect(try await !example.board.write(Settings(CellSpec.example, generation: 3, epoch: 5), as: election))
        #expect(try await !example.board.write(Settings(CellSpec.example, generation: 3, epoch: 4), as: election))
        #expect(try await example.board.settings() == newer)
    }

    @Test("logs are a set in order of time, of which the last thousand stay")
    func logs() async throws {
        let example = try await Example()
        let election = try await example.lead()
        var random = SystemRandomNumberGenerator()
        let logs = (0..<1_010).map { LogID(UUIDv7(time_ms: 1_700_000_000_000 + Int64($0), using: &random)) }
        try await example.board.add([logs[5]], as: election)
        try await example.board.add([logs[2], logs[7]], as: election)
        try await example.board.add([logs[5], logs[7], logs[2]], as: election)
        #expect(try await example.board.logs() == [logs[2], logs[5], logs[7]])
        try await example.board.add(logs, as: election)
        #expect(try await example.board.logs() == Array(logs.suffix(1_000)))
    }

    @Test("the status is what was written last")
    func status() async throws {
        let example = try await Example()
        let election = try await example.lead()
        #expect(try await example.board.status() == nil)
        var status = CellStatus()
        status.conditions = [.init(.ready, .no, reason: "Starting", message: "a \"quoted\" word", observedGeneration: 1, lastTransition_ms: 2)]
        status.servers = [.init(ServerID(.connect, 1), Incarnation("a1")!, state: .ready)]
        try await example.board.write(status, as: election)
        #expect(try await example.board.status() == status)
    }

    @Test("events are kept in order, read from the end and from a place on, and there are never too many")
    func events() async throws {
        let example = try await Example()
        let election = try await example.lead()
        let events = (0..<5).map { CellEvent("Tested", time_ms: Int64($0), server: ServerID(.messaging, $0 + 1), epoch: Epoch(3), text: "event \($0)") }
        try await example.board.add(events, as: election)
        #expect(try await example.board.latestEvents(3).map(\.event) == Array(events.suffix(3)))
        let all = try await example.board.latestEvents(100)
        #expect(try await example.board.events(after: all[1].id, limit: 2).map(\.event) == Array(events[2...3]))
        try await example.redis.command("XADD", "{cell:eu-1}:events", "*", "something", "else")
        #expect(try await example.board.latestEvents(100).count == 5, "what is none is left out")
        for _ in 0..<22 { try await example.board.add((0..<500).map { CellEvent("Many", time_ms: Int64($0), text: "") }, as: election) }
        #expect(try await example.redis.command("XLEN", "{cell:eu-1}:events").integer ?? 0 < 10_300)
    }
}
