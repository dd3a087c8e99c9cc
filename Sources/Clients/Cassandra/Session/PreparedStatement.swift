import Synchronization

/// A statement that each node prepares once, when it is first asked to run it there.
///
/// Name its columns: after `ALTER TABLE … ADD`, `SELECT *` means something else on each node for a while.
public struct PreparedStatement: Sendable, Hashable {
    public let cql: String
    /// Whether running it twice leaves what running it once leaves. Only such a statement is repeated after an unknown outcome.
    public let idempotent: Bool

    public init(_ cql: String, idempotent: Bool = true) {
        self.cql = cql
        self.idempotent = idempotent
    }
}

/// The ids of one connection's statements. One caller prepares; those who come meanwhile wait for it.
final class PreparedCache: Sendable {
    private enum Entry {
        case known(Response.Prepared)
        case coming([CheckedContinuation<Response.Prepared?, any Error>])
    }
    private let entries = Mutex<[String: Entry]>([:])

    /// The id for `cql`, prepared with `prepare` unless it is known.
    func id(of cql: String, prepare: () async throws -> Response.Prepared) async throws -> Response.Prepared {
        enum Step { case known(Response.Prepared), lead, wait }
        let step = entries.withLock { entries -> Step in
            switch entries[cql] {
            case .known(let prepared): return .known(prepared)
            case .coming: return .wait
            case nil:
                entries[cql] = .coming([])
                return .lead
            }
        }
        switch step {
        case .known(let prepared): return prepared
        case .lead: return try await lead(cql, prepare)
        case .wait: return try await wait(cql, prepare)
        }
    }

    private func lead(_ cql: String, _ prepare: () async throws -> Response.Prepared) async throws -> Response.Prepared {
        let result: Result<Response.Prepared, any Error>
        do { result = .success(try await prepare()) } catch { result = .failure(error) }
        let waiting = entries.withLock { entries -> [CheckedContinuation<Response.Prepared?, any Error>] in
            guard case .coming(let waiting) = entries[cql] else { return [] }
            entries[cql] = (try? result.get()).map { .known($0) }
            return waiting
        }
        for continuation in waiting { continuation.resume(with: result.map { $0 }) }
        return try result.get()
    }

    private func wait(_ cql: String, _ prepare: () async throws -> Response.Prepared) async throws -> Response.Prepared {
        let early: Response.Prepared? = try await withCheckedThrowingContinuation { continuation in
            let now = entries.withLock { entries -> Result<Response.Prepared?, any Error>? in
                switch entries[cql] {
                case .known(let prepared): return .success(prepared)
                case .coming(let waiting):
                    entries[cql] = .coming(waiting + [continuation])
                    return nil
                case nil: return .success(nil)
                }
            }
            if let now { continuation.resume(with: now) }
        }
        // The one who prepared failed just now: this caller tries for itself.
        guard let early else { return try await id(of: cql, prepare: prepare) }
        return early
    }

    /// The node says that it does not know `id` any more.
    func forget(_ cql: String, id: [UInt8]) {
        entries.withLock { entries in
            if case .known(let prepared) = entries[cql], prepared.id == id { entries[cql] = nil }
        }
    }
}
