import Cell
import Redis

/// One cell's part of Redis: everything that operator, servers and cellctl read and write there goes through here.
///
/// A write is one script, so that it happens wholly or not at all. Whoever writes as the leading operator shows an `Election`, which the script
/// compares with the leader's lease. A refusal is an ordinary answer of the script and never an error of Redis, so that a Redis that is read-only or
/// out of memory cannot be mistaken for one.
/// Whatever its methods throw is a `BlackboardError`.
public struct CellBlackboard: Sendable {
    public let cell: CellName
    public let redis: RedisClient
    let keys: RedisKeys

    public init(_ cell: CellName, on redis: RedisClient) {
        self.cell = cell
        self.redis = redis
        keys = RedisKeys(cell)
    }

    /// Every cell that this Redis knows, by name. Names that are none are left out.
    public static func cells(on redis: RedisClient) async throws -> [CellName] {
        do {
            let names = try await redis.command("SMEMBERS", RedisKeys.cells).array ?? []
            return names.compactMap { $0.string.flatMap { CellName($0) } }.sorted()
        } catch let error as RedisError {
            throw BlackboardError(error)
        }
    }

    /// Redis's own clock, Unix milliseconds.
    public func time() async throws -> Int64 {
        let answer = try await command("TIME").array ?? []
        guard answer.count == 2, let seconds = answer[0].integer, let microseconds = answer[1].integer else {
            throw malformed("TIME", "\(answer)", "seconds and microseconds")
        }
        return seconds * 1_000 + microseconds / 1_000
    }

    func command(_ arguments: any RedisArgument...) async throws -> RedisValue {
        do {
            return try await redis.command(RedisCommand(arguments: arguments))
        } catch let error as RedisError {
            throw BlackboardError(error)
        }
    }

    /// Runs a script that answers an array whose first element is a word: `ok`, or what it refuses by.
    func run(_ script: RedisScript, keys: [String], arguments: [any RedisArgument]) async throws -> Verdict {
        let answer: RedisValue
        do {
            answer = try await redis.eval(script, keys: keys, arguments: arguments)
        } catch let error as RedisError {
            throw BlackboardError(error)
        }
        guard let values = answer.array, let word = values.first?.string else {
            throw malformed("a script's answer", "\(answer)", "a word and values")
        }
        return Verdict(word: word, values: Array(values.dropFirst()))
    }

    func malformed(_ place: String, _ value: String, _ expected: String) -> BlackboardError {
        BlackboardError(
            .malformed(place), "\(place) of cell \(cell) is \"\(value.prefix(80))\"; expected \(expected)",
            remedy: "Look who else writes into this Redis; the leading operator writes it again.")
    }
}

/// What a script answered.
struct Verdict {
    var word: String
    var values: [RedisValue]

    func number(_ index: Int) -> Int64 { values.indices.contains(index) ? values[index].integer ?? 0 : 0 }
    func text(_ index: Int) -> String { values.indices.contains(index) ? values[index].string ?? "" : "" }
}
