import Blackboard
import Cell
import Redis
import Support
import Testing

/// A cell on a Redis of its own.
struct Example {
    let process: RedisProcess
    let redis: RedisClient
    let board: CellBlackboard

    init(options: [String] = []) async throws {
        process = try await RedisProcess(options: options)
        redis = try process.client()
        board = CellBlackboard(CellName("eu-1")!, on: redis)
    }

    func lead(_ name: String = "operator-a", lease: Duration = .seconds(300), atLeast: Term = .none) async throws -> Election {
        let result = try await board.campaign(as: name, token: "token-of-\(name)", lease: lease, atLeast: atLeast)
        guard case .leads(let election, _) = result else {
            Issue.record("\(name) does not lead: \(result)")
            return Election(term: .none, token: "", leader: name)
        }
        return election
    }
}

extension Member {
    static func owner(_ incarnation: String = "a1", of partitions: PartitionSet) -> Member {
        var member = Member(incarnation: Incarnation(incarnation)!, address: "127.0.0.1:7001", http: "127.0.0.1:7002", role: .owner)
        member.owns = partitions
        return member
    }
}

extension Assignment {
    /// One messaging server for each set of partitions.
    static func example(_ epoch: Int64, _ election: Election, _ parts: PartitionSet..., log: LogID? = nil) -> Assignment {
        var members: [ServerID: Member] = [:]
        for (index, part) in parts.enumerated() { members[ServerID(.messaging, index + 1)] = .owner(of: part) }
        return Assignment(epoch: Epoch(epoch), term: election.term, log: log, members: members)
    }
}

/// The blackboard's error of `body`; nil when it throws none.
func refusal(_ body: () async throws -> Void) async throws -> BlackboardError.Code? {
    do {
        try await body()
        return nil
    } catch let error as BlackboardError {
        return error.code
    }
}
