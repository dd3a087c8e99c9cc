import Cassandra
import Cell
import FoundationEssentials
import SQLite
import TLS

/// Why the store of a spec cannot be opened, in words for people.
public struct HistoryStoreProblem: Error, Equatable, CustomStringConvertible {
    public var problem: String
    public var remedy: String
    public var description: String { "\(problem). \(remedy)" }
}

extension CellSpec {
    /// Opens the store of the spec.
    ///
    /// A Cassandra that cannot be reached is no error here: the session goes on trying. The tables of an embedded store are made by
    /// whoever opens it first, which is harmless; those of Cassandra only by `createSchema`.
    ///
    /// - Throws: `HistoryStoreProblem`, `CassandraError`, `SQLiteError`.
    public func openHistoryStore() async throws -> any HistoryStore {
        switch store {
        case .sqlite:
            if let slash = historyFile.lastIndex(of: "/"), slash > historyFile.startIndex {
                try FileManager.default.createDirectory(atPath: String(historyFile[..<slash]), withIntermediateDirectories: true)
            }
            let store = try await SQLiteHistoryStore(path: historyFile)
            try await store.createSchema()
            return store
        case .cassandra(let cassandra):
            return try cassandra.open()
        }
    }
}

extension StoreSpec.Cassandra {
    func open() throws -> CassandraHistoryStore {
        var configuration = CassandraConfiguration(contactPoints: try endpoints(), credentials: try credentials())
        configuration.timeout = .seconds(5)
        if let tlsCA {
            do throws(TLSError) { try configuration.useTLS(authorities: tlsCA) } catch {
                throw HistoryStoreProblem(problem: "store.cassandra.tls is not usable: \(error.problem)", remedy: error.remedy)
            }
        }
        let options = CassandraHistoryStore.Options(
            keyspace: keyspace, replicationFactor: replicationFactor, write: try level(write), read: try level(read))
        return try CassandraHistoryStore(CassandraSession(configuration), options)
    }

    private func endpoints() throws -> [Endpoint] {
        try contactPoints.map { text in
            guard let endpoint = Endpoint(text) else {
                throw HistoryStoreProblem(problem: "the contact point \(text) is no address", remedy: "Write HOST:PORT in store.cassandra.contactPoints")
            }
            return endpoint
        }
    }

    private func credentials() throws -> Credentials? {
        guard let user else { return nil }
        guard let passwordFile, let text = try? String(contentsOfFile: passwordFile, encoding: .utf8) else {
            throw HistoryStoreProblem(
                problem: "the password of \(user) cannot be read from \(passwordFile ?? "store.cassandra.passwordFile, which is not set")",
                remedy: "Put it there, readable for this process")
        }
        return Credentials(user: user, password: String(text.prefix { !$0.isNewline }))
    }

    private func level(_ name: StoreSpec.Consistency) throws -> Consistency {
        guard let level = Consistency(name: name.rawValue) else {
            throw HistoryStoreProblem(problem: "\(name.rawValue) is no consistency level of Cassandra", remedy: "Use LOCAL_QUORUM")
        }
        return level
    }
}
