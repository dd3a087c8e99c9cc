import Kafka
import Testing

@testable import Servers

@Suite("the backplane server")
struct BackplaneTests {
    @Test("is ready only with a broker that answers with all of its partitions")
    func check() async throws {
        let broker = try EmbeddedBroker(topic: "dev-messages", partitions: 720)
        try await BackplaneServer.check(broker)
        broker.stop()
        await #expect(throws: (any Error).self) { try await BackplaneServer.check(broker, timeout: .milliseconds(500)) }
    }
}
