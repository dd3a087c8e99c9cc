import Cassandra
import Cell
import Support

@testable import History

/// The stores that pass the contract suite.
enum StoreKind: String, CaseIterable, Sendable {
    case sqlite, cassandra

    /// Cassandra only where there is one, and always in CI.
    static var here: [StoreKind] { Peers.wanted ? allCases : [.sqlite] }

    /// A store with its schema. Rows are told apart by logs: each test makes its own.
    func store<T>(_ body: (any HistoryStore) async throws -> T) async throws -> T {
        switch self {
        case .sqlite:
            let folder = try TemporaryFolder("history")
            let store = try await SQLiteHistoryStore(path: folder.file("history.db"))
            defer { store.close() }
            try await store.createSchema()
            return try await body(store)
        case .cassandra:
            return try await CassandraPeer.shared { peer in
                let store = try cassandraStore(port: peer.port, keyspace: "history_contract")
                defer { store.close() }
                try await Self.once.run { try await store.createSchema() }
                return try await body(store)
            }
        }
    }

    private static let once = Once()
}

/// Does something once, and lets those who come meanwhile wait for it.
private actor Once {
    private var task: Task<Void, any Error>?

    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let task = task ?? Task { try await body() }
        self.task = task
        try await task.value
    }
}

func cassandraStore(port: Int, keyspace: String, _ change: (inout CassandraConfiguration) -> Void = { _ in }) throws -> CassandraHistoryStore {
    var configuration = CassandraConfiguration(contactPoints: [Endpoint(host: "127.0.0.1", port: UInt16(port))])
    configuration.timeout = .seconds(20)
    configuration.attemptTimeout = .seconds(10)
    change(&configuration)
    return try CassandraHistoryStore(CassandraSession(configuration), .init(keyspace: keyspace, replicationFactor: 1))
}

/// Makes users, logs and rows for tests.
struct Sample {
    var random: SeededRandom
    let start_ms: Int64 = 1_764_000_000_000
    let partitions = 12

    init(_ seed: UInt64) { random = SeededRandom(seed) }

    /// A log of its own also beside other runs of the same seed.
    func log() -> LogID {
        var system = SystemRandomNumberGenerator()
        return LogID(UUIDv7(time_ms: start_ms, using: &system))
    }

    mutating func id(at time_ms: Int64) -> MessageID { MessageID(time_ms: time_ms, using: &random) }

    mutating func row(_ offset: Int64, from sender: UInt64, to receiver: UInt64, at time_ms: Int64? = nil, body: [UInt8]? = nil) -> HistoryRow {
        let time = time_ms ?? start_ms + offset
        return HistoryRow(
            offset: offset, id: id(at: time - 3), sender: user(sender), receiver: user(receiver), time_ms: time,
            body: body ?? Array("message \(offset)".utf8))
    }
}

func user(_ number: UInt64) -> UserID {
    guard let user = UserID(number) else { fatalError("user 0 in a test") }
    return user
}

extension Sample {
    /// The same for the same time.
    func logUUID(at time_ms: Int64) -> UUIDv7 {
        var random = SeededRandom(42)
        return UUIDv7(time_ms: time_ms, using: &random)
    }
}
