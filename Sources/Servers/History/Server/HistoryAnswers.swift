import Cassandra
import Cell
import History
import SQLite
import Web

/// Answers queries with the chain of logs of this moment, and counts them.
struct HistoryAnswers: Sendable {
    private let queries: HistoryQueries
    private let logs: KnownLogs
    private let log: ServerLog
    private let metrics: HistoryMetrics

    init(_ queries: HistoryQueries, logs: KnownLogs, log: ServerLog, metrics: Metrics) {
        self.queries = queries
        self.logs = logs
        self.log = log
        self.metrics = HistoryMetrics(metrics)
    }

    /// The answer's bytes. A store that fails makes this query UNAVAILABLE and no other.
    func answer(_ query: HistoryCall.Query, of caller: UserID) async -> Result<[UInt8], HistoryRefusal> {
        let begin = ContinuousClock.now
        let answer = await result(query, of: caller)
        metrics.observe(query, .now - begin, answer)
        return answer
    }

    private func result(_ query: HistoryCall.Query, of caller: UserID) async -> Result<[UInt8], HistoryRefusal> {
        do {
            switch query {
            case .inbox(let query):
                return .success(try await queries.inbox(query, of: caller, logs.chain(knowing: query.log)).encode())
            case .dialog(let query):
                return .success(try await queries.dialog(query, of: caller, logs.chain(knowing: query.log)).encode())
            case .find(let query): return .success(try await queries.find(query, of: caller, logs.chain(knowing: "")).encode())
            }
        } catch let refusal as HistoryRefusal {
            return .failure(refusal)
        } catch {
            log.warning("a query of the history failed: \(error)")
            return .failure(HistoryRefusal(.unavailable, "the store does not answer (\(Self.word(for: error)))", remedy: "Ask again later"))
        }
    }

    /// No addresses of nodes or files for callers.
    private static func word(for error: any Error) -> String {
        switch error {
        case let error as CassandraError: error.code.rawValue
        case let error as SQLiteError: error.code.rawValue
        default: "see the server's log"
        }
    }
}

/// What `/metrics` shows of the queries.
struct HistoryMetrics: Sendable {
    private let durations: [String: Histogram]
    private let answered: Counter
    private let refused: Counter
    private let failed: Counter

    init(_ metrics: Metrics) {
        durations = HistoryCall.Method.allCases.reduce(into: [:]) { durations, method in
            durations[method.rawValue] = metrics.histogram("cell_history_query_seconds", "Time to answer a query.", ["method": method.rawValue])
        }
        func counter(_ outcome: String) -> Counter { metrics.counter("cell_history_queries_total", "Queries, by outcome.", ["outcome": outcome]) }
        answered = counter("answered")
        refused = counter("refused")
        failed = counter("unavailable")
    }

    func observe(_ query: HistoryCall.Query, _ duration: Duration, _ answer: Result<[UInt8], HistoryRefusal>) {
        let method: HistoryCall.Method =
            switch query {
            case .inbox: .inbox
            case .dialog: .dialog
            case .find: .find
            }
        durations[method.rawValue]?.observe(duration)
        switch answer {
        case .success: answered.add()
        case .failure(let refusal): refusal.code == .unavailable ? failed.add() : refused.add()
        }
    }
}
