import Cell
import FoundationEssentials
import History
import Kafka
import Streams
import Support
import Testing
import Web

@testable import Servers

/// Strangers at the real servers' doors.
@Suite("Strangers", .timeLimit(.minutes(5)))
struct StrangerTests {
    /// A call's metadata `authorization`, by what is wrong with it.
    struct Stranger: Sendable {
        var name: String
        var authorization: String?
    }

    let folder: TemporaryFolder
    let authenticator: Authenticator
    private let secret = "a secret of thirty-two bytes, or so"

    init() throws {
        folder = try TemporaryFolder("keys")
        let keyFile = try folder.write(secret, to: "secret")
        var jwt = AuthSpec.JWT(keyFile: keyFile, algorithm: .hs256)
        jwt.leeway = .zero
        authenticator = try Authenticator(.jwt(jwt))
    }

    /// Signed by Python's standard library: an issuer of its own.
    func token(_ claims: String, algorithm: String = "HS256", secret: String? = nil, hash: String = "sha256") async throws -> String {
        let program = """
            import base64,hmac,hashlib,sys
            b=lambda x: base64.urlsafe_b64encode(x).rstrip(b'=').decode()
            body=b(b'{"alg":"\(algorithm)","typ":"JWT"}')+'.'+b(sys.argv[1].encode())
            print(body+'.'+('' if '\(algorithm)'=='none' else b(hmac.new(sys.argv[2].encode(),body.encode(),hashlib.\(hash)).digest())),end='')
            """
        return try await ChildProcess.run("python3", ["-c", program, claims, secret ?? self.secret]).output
    }

    private var now_s: Int64 { Int64(Date().timeIntervalSince1970) }

    func strangers() async throws -> [Stranger] {
        let claims = #"{"sub":"7","exp":4000000000}"#
        return [
            Stranger(name: "no token", authorization: nil),
            Stranger(name: "no bearer", authorization: "Basic NzpwYXNz"),
            Stranger(name: "nonsense", authorization: "Bearer a.b.c"),
            Stranger(name: "8 KB of it", authorization: "Bearer " + String(repeating: "x", count: 8_000)),
            Stranger(name: "another's", authorization: "Bearer " + (try await token(claims, secret: "the secret of somebody else, long enough"))),
            Stranger(name: "expired", authorization: "Bearer " + (try await token(#"{"sub":"7","exp":\#(now_s - 60)}"#))),
            Stranger(name: "without end", authorization: "Bearer " + (try await token(#"{"sub":"7"}"#))),
            Stranger(name: "wrong algorithm", authorization: "Bearer " + (try await token(claims, algorithm: "HS512", hash: "sha512"))),
            Stranger(name: "said to be RS256", authorization: "Bearer " + (try await token(claims, algorithm: "RS256"))),
            Stranger(name: "alg none", authorization: "Bearer " + (try await token(claims, algorithm: "none"))),
            Stranger(name: "nobody", authorization: "Bearer " + (try await token(#"{"sub":"0","exp":4000000000}"#))),
        ]
    }

    @Test("messaging takes none of them, whatever x-user-id says; a token's user is who is served, and its end ends the stream with a reason")
    func messaging() async throws {
        let broker = try EmbeddedBroker(topic: "chat", partitions: 4)
        let bench = try EngineBench(kafka: broker.configuration, topic: "chat", authenticate: { MessagingServer.caller(authenticator, $0) })
        bench.assign(epoch: 1, { $0.owns = PartitionSet(all: 4) })
        try await bench.ready()
        for stranger in try await strangers() {
            let metadata = [("x-user-id", "7")] + (stranger.authorization.map { [("authorization", $0)] } ?? [])
            let device = ChatDevice(metadata, at: bench.servers[0].port, on: bench.clients, Open())
            try await eventually(stranger.name) { device.status?.code == .unauthenticated }
            #expect(device.frames.isEmpty && device.status?.message.isEmpty == false, "\(stranger.name)")
        }
        let long = ChatDevice(
            [("authorization", "Bearer " + (try await token(#"{"sub":"7","exp":4000000000}"#))), ("x-user-id", "8")], at: bench.servers[0].port,
            on: bench.clients, Open(device: "tablet", log: EngineBench.log, cursor: -1))
        try await eventually("it is served") { long.opened != nil }
        let (short, end_s) = try await servedForAWhile(by: bench)
        #expect(long.opened?.partition == UserID(7)!.partition(of: 4).number)
        try await eventually("the token's end", within: .seconds(90)) { short.status != nil }
        #expect(short.status?.code == .unauthenticated && short.status?.message.contains("expired") == true, "\(String(describing: short.status))")
        #expect(Date().timeIntervalSince1970 >= Double(end_s))
        long.send("still here", to: 7)
        try await eventually { long.acks.count == 1 }
        await bench.stop()
        broker.stop()
    }

    /// A device that is served although its token ends soon, and that end: a machine that is too slow for a short time gets a longer one.
    private func servedForAWhile(by bench: EngineBench) async throws -> (ChatDevice, end_s: Int64) {
        for while_s in [5, 15, 45] as [Int64] {
            let end_s = now_s + while_s
            let authorization = "Bearer " + (try await token(#"{"sub":"7","exp":\#(end_s)}"#))
            let device = ChatDevice(
                [("authorization", authorization)], at: bench.servers[0].port, on: bench.clients, Open(log: EngineBench.log, cursor: -1))
            try await eventually("an answer", within: .seconds(60)) { device.opened != nil || device.status != nil }
            if device.opened != nil { return (device, end_s) }
        }
        throw NeverHappened(what: "a device with a token that ends soon", limit: .seconds(45), last: nil)
    }

    @Test("the history takes none of them, and answers a token's user")
    func history() async throws {
        let store = try await BreakableStore(path: folder.file("a.db"))
        defer { store.close() }
        let sample = Sample(1)
        let log = LogID(sample.logUUID(at: sample.start_ms))
        let logs = KnownLogs { [log] }
        try await logs.refresh()
        let answers = HistoryAnswers(
            HistoryQueries(store, partitions: sample.partitions, idWindow: .seconds(60)), logs: logs, log: ServerLog("history-1") { _ in }, metrics: Metrics())
        let endpoint = try HistoryEndpoint(.init(host: "127.0.0.1", port: 0), answers: answers) { [authenticator] in
            authenticator.caller(authorization: $0, userID: $1)
        }
        let client = try HistoryEndpointTests.Client(port: try endpoint.start())
        let run = Task { await endpoint.run() }
        try await client.connect()
        for stranger in try await strangers() {
            for method in ["Inbox", "Dialog", "Find"] {
                let answer = await client.call(method, [], [("x-user-id", "7")] + (stranger.authorization.map { [("authorization", $0)] } ?? []))
                guard case .failure(let failure) = answer else {
                    Issue.record("\(stranger.name) was answered by \(method)")
                    continue
                }
                #expect(failure.status.code == .unauthenticated, "\(stranger.name)")
            }
        }
        let token = try await token(#"{"sub":"7","exp":4000000000}"#)
        guard case .success = await client.call("Inbox", [], [("authorization", "Bearer \(token)")]) else {
            Issue.record("a valid token was not answered")
            return
        }
        await endpoint.stop(grace: .milliseconds(100))
        await run.value
    }
}
