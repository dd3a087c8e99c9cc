import Support
import Testing

/// The soak that users run for an hour, scaled down.
@Suite("the soak", .serialized, .timeLimit(.minutes(12)))
struct SoakTests {
    @Test("servers, a broker and Cassandra killed and stopped, the network cut: the ledger is clean", .enabled(if: Peers.wanted))
    func scaledDown() async throws {
        let variables = ["CELL_BINARIES": CellUnderTest.binaries, "CELL_PYTHON": python]
        let soak = try await ChildProcess.run(
            "\(CellUnderTest.repository)/scripts/soak", ["30", "--clients", "60", "--rate", "60", "--every", "6", "--settle", "120"], environment: variables,
            within: .seconds(600))
        #expect(soak.exit == .code(0), "\(soak.output) \(soak.errors)")
        #expect(soak.output.contains("clean"))
    }
}
