import Blackboard
import Cell
import Support
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("A server whose port is shut", .serialized)
    struct ShutPortTests {
        @Test("its standby takes over at once, although nobody told of its end and its lease goes on; then it is killed")
        func shut() async throws {
            // So long that the port is found shut long before it is over.
            let stage = try await Stage(lease: .seconds(5))
            let (generation, before, task) = try await stage.open(stage.spec())
            defer { task.cancel() }
            let victim = try #require(before.owners.first)
            await stage.driver.vanish(victim)
            try await eventually("the failover", within: .seconds(30)) {
                let now = try await stage.assignment()
                return now.members[victim] == nil && now.owned == 24
            }
            try await eventually("its reason") {
                try await stage.board.latestEvents(100).contains { $0.event.kind == "ServerLost" && $0.event.text.contains("its port refuses others") }
            }
            try await eventually("its kill, when its own lease is over") { !stage.driver.living.contains { $0.id == victim } }
            try await stage.waitUntilReady(generation)
        }
    }
}
