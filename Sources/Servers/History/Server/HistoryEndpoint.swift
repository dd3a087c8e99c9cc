import Cell
import History
import Streams
import TLS

/// The history over gRPC: loops, listener and desk, made for one store.
final class HistoryEndpoint: Sendable {
    struct Configuration: Sendable {
        var host: String
        /// 0: a free one.
        var port: UInt16
        var tls: TLSServerContext?
        var loops = 1
        /// Queries at once; one more is refused.
        var queries = 1_024
    }

    private let configuration: Configuration
    private let loops: [EventLoop]
    private let server: StreamServer
    private let desk: QueryDesk

    /// - Throws: `StreamError` when there are no descriptors left.
    init(_ configuration: Configuration, answers: HistoryAnswers, authenticate: @escaping HistoryService.Authenticate) throws {
        self.configuration = configuration
        let desk = QueryDesk(limit: configuration.queries)
        self.desk = desk
        loops = try (0..<max(1, configuration.loops)).map { try EventLoop(name: "history-\($0)") }
        var streams = ServerConfiguration()
        // Queries are short and pages long: a page may have all the bytes that a gRPC client takes.
        streams.messageLimit = 64 << 10
        streams.backlog = 8 << 20
        streams.tls = configuration.tls
        server = StreamServer(configuration: streams, loops: loops) { HistoryService($0, desk, answers, authenticate: authenticate) }
    }

    /// Listens, and returns the port. Throws `StreamError`.
    func start() throws -> Int {
        for loop in loops { loop.start() }
        return Int(try server.start(host: configuration.host, port: configuration.port))
    }

    /// Answers queries until `stop`.
    func run() async { await desk.run() }

    var counters: StreamCounters { server.counters }
    var openQueries: Int { desk.open }

    /// Takes no new queries, lets those that are there end within `grace`, and closes everything.
    func stop(grace: Duration) async {
        await withCheckedContinuation { done in
            server.drain(grace: grace) { done.resume() }
        }
        desk.close()
        close()
    }

    /// Closes everything now.
    func close() {
        desk.close()
        for loop in loops { loop.stop() }
    }
}
