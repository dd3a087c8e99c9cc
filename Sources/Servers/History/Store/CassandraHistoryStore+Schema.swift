import Cassandra

extension CassandraHistoryStore {
    private static let row = "offset bigint, id uuid, sender bigint, receiver bigint, time_ms bigint, body blob"

    private static let tables = [
        ("inbox", "log uuid, owner bigint, bucket bigint, \(row), PRIMARY KEY ((log, owner, bucket), offset)", "offset"),
        ("dialog", "log uuid, owner bigint, peer bigint, bucket bigint, \(row), PRIMARY KEY ((log, owner, peer, bucket), offset)", "offset"),
        ("inbox_buckets", "log uuid, owner bigint, bucket bigint, PRIMARY KEY ((log, owner), bucket)", "bucket"),
        ("dialog_buckets", "log uuid, owner bigint, peer bigint, bucket bigint, PRIMARY KEY ((log, owner, peer), bucket)", "bucket"),
        ("hours", "log uuid, part int, hour bigint, first bigint, PRIMARY KEY ((log, part), hour)", "hour"),
        ("progress", "log uuid, part int, through bigint, time_ms bigint, PRIMARY KEY ((log, part))", ""),
    ]

    /// One statement after another, each once all nodes know the one before: nodes that make tables at the same time end with different ids.
    public func createSchema() async throws {
        let keyspace = options.keyspace
        let replication = "{'class': 'NetworkTopologyStrategy', 'replication_factor': \(options.replicationFactor)}"
        try await change("CREATE KEYSPACE IF NOT EXISTS \(keyspace) WITH replication = \(replication)")
        let there = try await session.tables(of: keyspace)
        for (name, columns, order) in Self.tables where !there.contains(name) {
            let clustering = order.isEmpty ? "" : " WITH CLUSTERING ORDER BY (\(order) DESC)"
            try await change("CREATE TABLE IF NOT EXISTS \(keyspace).\(name) (\(columns))\(clustering)")
        }
        try await session.awaitSchemaAgreement()
    }

    private func change(_ cql: String) async throws {
        _ = try await session.execute(cql, timeout: .seconds(30))
        try await session.awaitSchemaAgreement()
    }

    public func missingTables() async throws -> [String] {
        let there = try await session.tables(of: options.keyspace)
        return Self.tables.map(\.0).filter { !there.contains($0) }.sorted()
    }
}
