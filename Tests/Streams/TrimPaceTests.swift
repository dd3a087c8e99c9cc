import Support
import Testing

@testable import Streams

@Suite("freed memory goes back to the system")
struct TrimPaceTests {
    /// Second by second.
    struct Second {
        var turnover = 0
        var streams = 0
        var open = 0
    }

    /// The seconds, counted from 1, in which it is due.
    private func due(_ seconds: [Second]) -> [Int] {
        var pace = TrimPace()
        var (turnover, streams) = (0, 0)
        return seconds.enumerated().compactMap { number, second in
            turnover += second.turnover
            streams += second.streams
            return pace.isDue(turnover: turnover, streams: streams, open: second.open) ? number + 1 : nil
        }
    }

    @Test("once in the first quiet second after a burst, and not again")
    func afterABurst() {
        #expect(due([Second(turnover: 400, open: 400), Second(turnover: 400, open: 800), Second(open: 800), Second(open: 800), Second(open: 800)]) == [3])
    }

    @Test("connections that were accepted at once are waited for until their handshakes are over")
    func handshakes() {
        let handshakes = [Second](repeating: Second(streams: 1_300, open: 10_000), count: 7)
        #expect(due([Second(turnover: 10_000, open: 10_000)] + handshakes + [Second(streams: 20, open: 10_000)]) == [9])
    }

    @Test("a few that come and go are not worth it, until they were many")
    func trickle() {
        #expect(due([Second](repeating: Second(turnover: 10, streams: 5, open: 100), count: 120)) == [50, 100])
    }

    @Test("with many open it takes more")
    func many() {
        #expect(due([Second](repeating: Second(turnover: 100, open: 40_000), count: 60)) == [50])
    }

    @Test("a burst without an end is waited for half a minute")
    func noEnd() {
        #expect(due([Second](repeating: Second(turnover: 2_000, streams: 1_000, open: 1_000), count: 65)) == [30, 60])
    }

    @Test("a server does so once its clients have left, and says how long it took")
    func server() async throws {
        let stage = try TestServer()
        for round in 1...3 {
            var peers = try (0..<100).map { _ in try RawPeer(port: stage.port) }
            try await eventually { stage.counters.accepted == round * 100 && stage.counters.openConnections == 100 }
            peers.removeAll()
            try await eventually { stage.counters.openConnections == 0 }
        }
        try await eventually("a trim") { stage.counters.trims == 1 && stage.counters.trimTime_ns > 0 }
    }
}
