import Streams
import Testing

/// A real server with the echo service on a free port; stopped with its last reference.
final class TestServer: Sendable {
    let port: UInt16
    let journal = EchoService.Journal()
    let server: StreamServer
    let loops: [EventLoop]

    init(loops count: Int = 1, port: UInt16 = 0, _ change: (inout ServerConfiguration) -> Void = { _ in }) throws {
        var configuration = ServerConfiguration()
        change(&configuration)
        let journal = journal
        loops = try (0..<count).map { try EventLoop(name: "test-\($0)") }
        server = StreamServer(configuration: configuration, loops: loops) { _ in EchoService(journal) }
        for loop in loops { loop.start() }
        self.port = try server.start(host: "127.0.0.1", port: port)
    }

    deinit {
        server.stop()
        for loop in loops { loop.stop() }
    }

    var counters: StreamCounters { server.counters }

    /// The counters with all that a peer has heard of: they are published after a tick's bytes have left.
    func settledCounters() async -> StreamCounters {
        for loop in loops {
            await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in loop.execute { done.resume() } }
        }
        return counters
    }
}
