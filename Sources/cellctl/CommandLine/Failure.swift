import Blackboard
import Cell
import Redis

/// Why cellctl did not do what was asked, and what to do about it.
struct Failure: Error, Equatable {
    enum Code: Int32, CaseIterable {
        /// Anything that has no code of its own.
        case failed = 1
        case usage = 2
        /// The file is no valid cell.yaml, or changes what cannot change.
        case invalid = 3
        case unreachable = 4
        case timedOut = 5
        /// `plan`: apply would change something. `apply --plan`: the cell is another than the plan's.
        case changed = 6

        var about: String {
            switch self {
            case .failed: "it failed"
            case .usage: "the command line is wrong"
            case .invalid: "a file is invalid, or changes what is fixed; nothing was written"
            case .unreachable: "Redis cannot be reached"
            case .timedOut: "it did not become ready (or did not go) in time"
            case .changed: "plan: apply would change something; apply --plan: the cell is another than the plan's, and nothing was written"
            }
        }
    }

    var code: Code
    /// For standard error, one each.
    var lines: [String]

    init(_ code: Code, _ problem: String, remedy: String) {
        self.code = code
        lines = ["cellctl: \(problem). \(remedy)"]
    }

    init(_ code: Code, lines: [String]) {
        self.code = code
        self.lines = lines
    }

    /// Problems begin with their place, so that editors find it.
    init(_ problems: SpecProblems) {
        code = .invalid
        lines = problems.description.split(separator: "\n").map(String.init)
    }

    /// Whatever was thrown, as a failure.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let problems as SpecProblems: self.init(problems)
        case let problem as SpecProblem: self.init(SpecProblems([problem]))
        case let error as BlackboardError: self.init(error)
        case let error as RedisError: self.init(error)
        default: self.init(.failed, "\(error)", remedy: "Run it again; if it stays so, report it as a defect")
        }
    }

    init(_ error: RedisError) {
        let address = error.address.map { "\($0): " } ?? ""
        self.init(error.code == .badAddress ? .usage : .unreachable, "Redis: \(address)\(error.problem)", remedy: error.remedy.trimmed)
    }

    init(_ error: BlackboardError) {
        if let redis = error.redis { self.init(redis) } else { self.init(.failed, error.problem, remedy: error.remedy.trimmed) }
    }

    static func usage(_ problem: String, remedy: String) -> Failure { Failure(.usage, problem, remedy: remedy) }

    /// For a word that is none of `names`: asks whether the nearest was meant.
    static func unknown(_ what: String, _ word: String, among names: [String], remedy: String) -> Failure {
        Failure(.usage, "\"\(word)\" is no \(what)", remedy: nearest(to: word, among: names).map { "Did you mean \($0)?" } ?? remedy)
    }
}

extension String {
    /// Without the full stop at its end.
    var trimmed: String { hasSuffix(".") ? String(dropLast()) : self }
}
