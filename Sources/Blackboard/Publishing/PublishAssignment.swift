import Cell
import Redis

extension CellBlackboard {
    /// Turns the assignment in Redis from `old` into `new`: writes what changed, removes what is gone, and tells the channel. `new.term` is the election's.
    ///
    /// - Throws: `epoch` when Redis does not hold `old` (then look at what it holds, and `rewrite` if that is older), `overtaken`, `lapsed`, `redis`.
    public func publish(from old: Assignment, to new: Assignment, as election: Election) async throws {
        let delta = AssignmentDelta(from: old, to: new)
        try await publish(
            new, as: election, mode: "change", expected: old, told: JSONText.encode(delta), changed: delta.changed.keys.sorted(), removed: delta.removed)
    }

    /// Writes the whole assignment anew, where Redis holds none or an older one; readers are told to read it.
    ///
    /// - Throws: `epoch` when Redis holds the same or a newer one, `overtaken`, `lapsed`, `redis`.
    public func rewrite(_ assignment: Assignment, as election: Election) async throws {
        let notice = JSONText.encode(AssignmentNotice(epoch: assignment.epoch, term: assignment.term))
        let all = assignment.members.keys.map(\.description).sorted()
        try await publish(assignment, as: election, mode: "rewrite", expected: Assignment(), told: notice, changed: all, removed: [])
    }

    private func publish(
        _ new: Assignment, as election: Election, mode: String, expected old: Assignment, told: String, changed: [String], removed: [ServerID]
    ) async throws {
        precondition(new.term == election.term, "an assignment of term \(new.term) in an election of term \(election.term)")
        var arguments: [any RedisArgument] = [mode, old.epoch.value, old.term.value, new.epoch.value, new.log?.description ?? "", told, changed.count]
        for name in changed {
            guard let member = ServerID(name).flatMap({ new.members[$0] }) else { continue }
            arguments += [name, JSONText.encode(member)]
        }
        arguments += removed.map { $0.description as any RedisArgument }
        let verdict = try await write(Self.publishAssignment, as: election, keys: [keys.assignment], arguments: arguments)
        switch verdict.word {
        case "epoch": throw epochConflict(publishing: new, found: verdict)
        case "later": throw overtaken(election, by: verdict)
        default: return
        }
    }

    private func epochConflict(publishing new: Assignment, found: Verdict) -> BlackboardError {
        let (epoch, term) = (Epoch(found.number(0)), Term(found.number(1)))
        return BlackboardError(
            .epoch(found: epoch, term: term), "epoch \(new.epoch) of cell \(cell) cannot follow on what Redis holds, epoch \(epoch) of term \(term)",
            remedy: epoch < new.epoch ? "Write the whole assignment." : "Read the assignment, and decide on that.")
    }

    // HSET comes first: a Redis without memory refuses it, and then nothing at all was written.
    private static let publishAssignment = FencedScript(
        """
        local found = redis.call('HMGET', KEYS[2], 'epoch', 'term')
        local epoch, term = tonumber(found[1] or '0'), tonumber(found[2] or '0')
        if term > tonumber(ARGV[1]) then return {'later', found[2], ''} end
        if epoch >= tonumber(ARGV[6]) then return {'epoch', found[1] or '0', found[2] or '0'} end
        if ARGV[3] == 'change' and (epoch ~= tonumber(ARGV[4]) or term ~= tonumber(ARGV[5])) then
            return {'epoch', found[1] or '0', found[2] or '0'}
        end
        redis.call('HSET', KEYS[2], 'epoch', ARGV[6])
        if ARGV[3] == 'rewrite' then redis.call('DEL', KEYS[2]) end
        redis.call('HSET', KEYS[2], 'epoch', ARGV[6], 'term', ARGV[1], 'log', ARGV[7])
        local last = 9 + 2 * tonumber(ARGV[9])
        for at = 10, last, 2 do redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1]) end
        for at = last + 1, #ARGV do redis.call('HDEL', KEYS[2], ARGV[at]) end
        redis.call('PUBLISH', KEYS[2], ARGV[8])
        return {'ok'}
        """)
}

/// Told on the assignment's channel instead of a delta when the hash is to be read.
struct AssignmentNotice: Codable, Equatable {
    var epoch: Epoch
    var term: Term
}

extension CellBlackboard {
    /// The assignment in Redis; nil when there is none.
    /// - Throws: `malformed` when a part of it is: half an assignment is none.
    public func assignment() async throws -> Assignment? {
        let answer = try await command("HGETALL", keys.assignment)
        guard let pairs = answer.pairs, !pairs.isEmpty else { return nil }
        var result = Assignment()
        for (field, value) in pairs {
            let text = value.string ?? ""
            switch field {
            case "epoch": result.epoch = Epoch(try number(text, "the assignment's epoch"))
            case "term": result.term = Term(try number(text, "the assignment's term"))
            case "log":
                result.log = LogID(text)
                if result.log == nil, !text.isEmpty { throw malformed("the assignment's log", text, "a UUIDv7") }
            default:
                guard let id = ServerID(field) else { throw malformed("a server of the assignment", field, "KIND-NUMBER") }
                guard let member = JSONText.decode(Member.self, from: text) else { throw malformed("\(field) in the assignment", text, "a member as JSON") }
                result.members[id] = member
            }
        }
        return result
    }

    /// Epoch and term alone.
    public func assignmentVersion() async throws -> (epoch: Epoch, term: Term) {
        let values = try await command("HMGET", keys.assignment, "epoch", "term").array ?? []
        return (Epoch(values.first?.integer ?? 0), Term(values.last?.integer ?? 0))
    }

    private func number(_ text: String, _ place: String) throws(BlackboardError) -> Int64 {
        guard let number = Int64(text) else { throw malformed(place, text, "a number") }
        return number
    }
}
