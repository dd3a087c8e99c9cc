import Cell
import Redis

/// A won election, shown with every write of an operator.
public struct Election: Sendable, Hashable {
    public let term: Term
    /// Random; two operators that came to the same term differ in it.
    public let token: String
    /// The operator's name, for people.
    public let leader: String

    public init(term: Term, token: String, leader: String) {
        self.term = term
        self.token = token
        self.leader = leader
    }
}

/// Who leads, and for how long without another renewal.
public struct Leader: Sendable, Equatable {
    public let term: Term
    public let name: String
    public let remaining: Duration
}

/// A script of the leading operator: it does nothing unless the leader's lease is its own. KEYS[1] is that lease, ARGV[1] and ARGV[2] are term and
/// token; the rest of KEYS and ARGV is the script's.
struct FencedScript {
    let script: RedisScript

    init(_ body: String) { script = RedisScript(Self.fence + body) }

    private static let fence = """
        local leader = redis.call('HMGET', KEYS[1], 'term', 'token', 'operator')
        if not leader[1] then return {'lapsed'} end
        if leader[1] ~= ARGV[1] or leader[2] ~= ARGV[2] then return {'overtaken', leader[1], leader[3] or ''} end

        """
}

extension CellBlackboard {
    /// Runs a script of the leading operator.
    /// - Throws: `overtaken` or `lapsed` when `election` does not lead; then nothing was written.
    func write(
        _ fenced: FencedScript, as election: Election, keys more: [String], arguments: [any RedisArgument] = []
    ) async throws -> Verdict {
        let verdict = try await run(fenced.script, keys: [keys.leader] + more, arguments: [election.term.value, election.token] + arguments)
        switch verdict.word {
        case "lapsed": throw lapsed(election)
        case "overtaken": throw overtaken(election, by: verdict)
        default: return verdict
        }
    }

    func lapsed(_ election: Election) -> BlackboardError {
        BlackboardError(.lapsed, "nobody leads cell \(cell): the lease of term \(election.term) ran out or was forgotten", remedy: "Campaign again.")
    }

    func overtaken(_ election: Election, by verdict: Verdict) -> BlackboardError {
        BlackboardError(
            .overtaken(by: Term(verdict.number(0)), leader: verdict.text(1)),
            "term \(election.term) was overtaken by term \(verdict.number(0)) of \(verdict.text(1))", remedy: "Stop deciding for cell \(cell).")
    }

    /// Who leads, or nil.
    public func leader() async throws -> Leader? {
        let verdict = try await run(Self.readLeader, keys: [keys.leader], arguments: [])
        guard verdict.word == "ok" else { return nil }
        return Leader(term: Term(verdict.number(0)), name: verdict.text(1), remaining: .milliseconds(max(0, verdict.number(2))))
    }

    private static let readLeader = RedisScript(
        """
        local leader = redis.call('HMGET', KEYS[1], 'term', 'operator')
        if not leader[1] then return {'none'} end
        return {'ok', leader[1], leader[2] or '', redis.call('PTTL', KEYS[1])}
        """)
}
