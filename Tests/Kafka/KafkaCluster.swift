import class Support.TemporaryFolder
import func Support.freePorts
import Testing

@testable import Kafka

#if canImport(Glibc)
    import Glibc
#endif

/// A real Kafka on loopback, with a folder and ports of its own.
final class KafkaCluster: Sendable {
    @TaskLocal static var current: KafkaCluster?

    private let folder: TemporaryFolder
    let directory: String
    let port: UInt16
    let brokers: Int
    private let scripts: String

    var configuration: KafkaConfiguration {
        KafkaConfiguration(brokers: (0..<brokers).map { "127.0.0.1:\(Int(port) + $0)" }, clientID: "cell-tests")
    }

    /// Starts a broker or three, with the scripts that CELL_PEERS names.
    static func start(brokers: Int) async throws -> KafkaCluster {
        let cluster = try KafkaCluster(brokers: brokers)
        try await cluster.startBrokers()
        return cluster
    }

    private init(brokers: Int) throws {
        let folder = try TemporaryFolder("cell-kafka")
        self.folder = folder
        directory = folder.path
        port = UInt16(freePorts((0..<brokers).flatMap { [$0, $0 + 10] }))
        self.brokers = brokers
        scripts = Self.peers! + "/kafka"
    }

    static var peers: String? { getenv("CELL_PEERS").map { String(cString: $0) } }
    /// Without the peers' folder the tests are skipped, except in CI, where they fail.
    static var isWanted: Bool { peers != nil || getenv("CI").map { String(cString: $0) } == "true" }

    /// Starts the brokers that are gone.
    func startBrokers() async throws {
        try await run("KAFKA_PORT=\(port) KAFKA_HEAP=256m \(scripts)/start \(directory) \(brokers)")
    }

    /// SIGKILL, as a machine that loses its power.
    func killBroker(_ number: Int) async throws {
        let file = fopen("\(directory)/\(number).pid", "r")
        guard let file else { throw PeerError(what: "broker \(number) has no pid") }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 32)
        fgets(&line, 32, file)
        guard let pid = Int32(line.text.filter(\.isNumber)), pid > 1 else { throw PeerError(what: "broker \(number) has pid \(line.text)") }
        kill(pid, SIGKILL)
        // `start` takes a broker for alive as long as its process is there, be it as a zombie.
        _ = await eventually(.seconds(20)) { kill(pid, 0) != 0 }
    }

    func stop() async {
        _ = try? await run("\(scripts)/stop \(directory)")
    }

    /// A new topic of this cluster as a cell has it.
    func topic(partitions: Int32, replicationFactor: Int32? = nil, _ configuration: [String: String] = [:]) async throws -> String {
        let name = "topic-\(UInt32.random(in: 0...UInt32.max))"
        let queries = try LogQueries(self.configuration, topic: name)
        defer { queries.close() }
        let properties = ["message.timestamp.type": "LogAppendTime"].merging(configuration) { $1 }
        try await queries.createTopic(
            NewTopic(partitions: partitions, replicationFactor: replicationFactor ?? Int32(brokers), configuration: properties))
        return name
    }

    @discardableResult
    private func run(_ command: String) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            startThread("peer") {
                guard let pipe = popen(command, "r") else { return continuation.resume(throwing: PeerError(what: command)) }
                var output = ""
                var line = [CChar](repeating: 0, count: 1024)
                while fgets(&line, 1024, pipe) != nil { output += line.text }
                let status = pclose(pipe)
                if status == 0 { continuation.resume(returning: output) } else { continuation.resume(throwing: PeerError(what: "\(command): \(status)")) }
            }
        }
    }
}

struct PeerError: Error { var what: String }

/// Runs a suite beside a Kafka that is started before it and stopped after it.
struct WithKafka: SuiteTrait, TestScoping {
    var brokers: Int
    var isRecursive: Bool { false }

    func provideScope(for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void) async throws {
        try #require(KafkaCluster.peers != nil, "CELL_PEERS names no folder with a Kafka to start")
        let cluster = try await KafkaCluster.start(brokers: brokers)
        do {
            try await KafkaCluster.$current.withValue(cluster) { try await body() }
            await cluster.stop()
        } catch {
            await cluster.stop()
            throw error
        }
    }
}

extension Trait where Self == WithKafka {
    static func kafka(brokers: Int = 1) -> Self { WithKafka(brokers: brokers) }
}
