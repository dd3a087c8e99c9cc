extension CassandraSession {
    /// Waits until every node of the cluster names the same version of the schema, `timeout` at most.
    /// Throws `schemaDisagreement`, with the versions, when they do not.
    ///
    /// A node that is down counts with the version that it had: it may come back with it and answer statements.
    public func awaitSchemaAgreement(within timeout: Duration = .seconds(15)) async throws {
        let deadline = ContinuousClock.now + timeout
        while true {
            let versions = try await schemaVersions()
            if versions.count == 1 { return }
            guard ContinuousClock.now < deadline else {
                let list = versions.map { $0.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }.sorted()
                throw CassandraError(.schemaDisagreement, "after \(timeout) the nodes have \(list.count) schemas: \(list.joined(separator: ", "))")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func schemaVersions() async throws -> Set<[UInt8]> {
        // What one node sees: asked twice, two nodes might answer. `system.peers` has what it heard from the others.
        let own = try await execute("SELECT schema_version FROM system.local", consistency: .localOne, idempotent: true)
        let peers = try await execute("SELECT schema_version FROM system.peers", consistency: .localOne, idempotent: true)
        var versions: Set<[UInt8]> = []
        for row in own.rows + peers.rows {
            if case .uuid(let version) = try row.value(0) { versions.insert(version) }
        }
        return versions
    }

    /// Whether `keyspace` has the tables `names`: for those who wait until somebody else has made them.
    public func tables(of keyspace: String) async throws -> Set<String> {
        let rows = try await execute(
            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?", [.text(keyspace)], consistency: .localOne,
            idempotent: true)
        return Set(try rows.rows.map { row throws(CassandraError) in try row.text(0) })
    }

    /// Rows from as many pages as it takes for `count` of them, or to the end. A page without rows is passed over.
    public func rows(
        _ statement: PreparedStatement, _ values: [CQLValue], first count: Int, consistency: Consistency = .localQuorum
    ) async throws -> [Row] {
        try await Paging.rows(first: count) { page in
            try await self.execute(statement, values, consistency: consistency, page: page)
        }
    }
}

enum Paging {
    /// The first `count` rows that `fetch` has, page by page.
    static func rows(first count: Int, fetch: (PageRequest) async throws -> Rows) async throws -> [Row] {
        var found: [Row] = []
        var state: PagingState?
        repeat {
            let page = try await fetch(PageRequest(size: max(1, count - found.count), after: state))
            found += page.rows
            state = page.next
        } while state != nil && found.count < count
        return Array(found.prefix(count))
    }
}
