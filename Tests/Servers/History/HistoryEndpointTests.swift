import Cell
import History
import Streams
import Support
import Testing
import Web

@testable import Servers

/// The history over gRPC, asked by this package's own client.
@Suite(.timeLimit(.minutes(5)))
struct HistoryEndpointTests {
    /// A client of one endpoint.
    final class Client: @unchecked Sendable {
        // Why @unchecked: the connection is used on its loop's thread only.
        private let loop: EventLoop
        private var connection: ClientConnection?
        let port: Int

        init(port: Int) throws {
            self.port = port
            loop = try EventLoop(name: "client")
            loop.start()
        }

        func connect() async throws {
            try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
                loop.execute { [self] in
                    connection = ClientConnection.connect(host: "127.0.0.1", port: UInt16(port), on: loop) {
                        done.resume(with: $0.map { _ in }.mapError { $0 as any Error })
                    }
                }
            }
        }

        func call(_ method: String, _ message: [UInt8], _ metadata: [(String, String)]) async -> Result<[UInt8], GRPCStatus.Failure> {
            await withCheckedContinuation { done in
                loop.execute { [self] in
                    _ = connection?.call("/cecochat.v1.History/\(method)", message, metadata: metadata) { done.resume(returning: $0) }
                }
            }
        }

        deinit { loop.stop() }
    }

    func endpoint<T>(_ body: (Client, BreakableStore, Sample, LogID) async throws -> T) async throws -> T {
        let folder = try TemporaryFolder("history")
        let store = try await BreakableStore(path: folder.file("a.db"))
        defer { store.close() }
        let sample = Sample(1)
        let log = LogID(sample.logUUID(at: sample.start_ms))
        let logs = KnownLogs { [log] }
        try await logs.refresh()
        let answers = HistoryAnswers(
            HistoryQueries(store, partitions: sample.partitions, idWindow: .seconds(60)), logs: logs, log: ServerLog("history-1") { _ in }, metrics: Metrics())
        let endpoint = try HistoryEndpoint(.init(host: "127.0.0.1", port: 0), answers: answers) { _, userID in
            userID.flatMap { UserID($0) }.map { .success($0) } ?? .failure(.noUser("no user"))
        }
        let port = try endpoint.start()
        let run = Task { await endpoint.run() }
        let client = try Client(port: port)
        try await client.connect()
        let result = try await body(client, store, sample, log)
        await endpoint.stop(grace: .milliseconds(100))
        await run.value
        return result
    }

    func code(_ result: Result<[UInt8], GRPCStatus.Failure>) -> GRPCCode {
        switch result {
        case .success: .ok
        case .failure(let failure): failure.status.code
        }
    }

    let caller = [("x-user-id", "7")]

    @Test("a page comes over the wire, also a large one; each caller gets own rows")
    func pages() async throws {
        try await endpoint { client, store, sample, log in
            var sample = sample
            let rows = (Int64(0)..<60).map { sample.row($0, from: 7, to: 8, body: [UInt8](repeating: 1, count: 60_000)) }
            try await store.write(HistoryBatch(log: log, partition: Partition(0), entries: rows.map { HistoryEntry(owner: user(7), row: $0) }))
            var query = InboxQuery()
            query.limit = 500
            let page = try Page(decoding: try await client.call("Inbox", query.encode(), caller).get())
            #expect(page.messages.count == 52 && page.more)
            #expect(page.messages[0].body.count == 60_000)
            #expect(try Page(decoding: try await client.call("Inbox", query.encode(), [("x-user-id", "8")]).get()).messages.isEmpty)
            var find = FindQuery()
            (find.receiver, find.id) = (8, rows[10].id.bytes)
            #expect(try Found(decoding: try await client.call("Find", find.encode(), caller).get()).state == .notYet)
        }
    }

    @Test("refusals have their status")
    func refusals() async throws {
        try await endpoint { client, _, sample, _ in
            var unknown = InboxQuery()
            unknown.log = LogID(sample.logUUID(at: 5)).description
            #expect(code(await client.call("Inbox", [], [])) == .unauthenticated)
            #expect(code(await client.call("Inbox", [], [("x-user-id", "0")])) == .unauthenticated)
            #expect(code(await client.call("Outbox", [], caller)) == .unimplemented)
            #expect(code(await client.call("Inbox", [0xff, 0xff, 0xff], caller)) == .invalidArgument)
            #expect(code(await client.call("Inbox", unknown.encode(), caller)) == .notFound)
            #expect(code(await client.call("Dialog", [], caller)) == .invalidArgument)
            #expect(code(await client.call("Find", [], caller)) == .invalidArgument)
            #expect(code(await client.call("Inbox", [], caller)) == .ok)
        }
    }

    @Test("a store that fails makes its queries UNAVAILABLE, without telling where it is, and works again afterwards")
    func failing() async throws {
        try await endpoint { client, store, _, _ in
            store.isBroken = true
            guard case .failure(let failure) = await client.call("Inbox", [], caller) else { return #expect(Bool(false), "an answer from a broken store") }
            #expect(failure.status.code == .unavailable)
            #expect(!failure.status.message.contains("10.1.2.3"))
            store.isBroken = false
            #expect(code(await client.call("Inbox", [], caller)) == .ok)
        }
    }

    @Test("many queries at once are all answered")
    func many() async throws {
        try await endpoint { client, _, _, _ in
            let codes = await withTaskGroup(of: GRPCCode.self) { group in
                for _ in 0..<90 { group.addTask { code(await client.call("Inbox", [], caller)) } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(codes == [GRPCCode](repeating: .ok, count: 90))
        }
    }
}
