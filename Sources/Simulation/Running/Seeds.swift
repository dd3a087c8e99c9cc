import Cell
import Operator

/// Many seeds, on all cores.
public struct Seeds: Sendable {
    public var range: ClosedRange<UInt64>
    public var shape: Shape
    /// Seeds at a time.
    public var lanes: Int
    package var rules = Rules.all

    public init(_ range: ClosedRange<UInt64>, shape: Shape, lanes: Int) {
        self.range = range
        self.shape = shape
        self.lanes = max(1, lanes)
    }

    /// Runs them, and stops at the first that breaks an invariant.
    ///
    /// - Parameter each: called after each seed, one call after the other.
    /// - Returns: what all that ran have in common, and the failing one with the lowest seed.
    public func run(each: @Sendable (Summary) -> Void = { _ in }) async -> Summary {
        await withTaskGroup(of: Outcome.self) { group in
            var summary = Summary()
            var next = range.lowerBound
            func add() {
                guard next <= range.upperBound, summary.failure == nil, !Task.isCancelled else { return }
                let run = SeedRun(seed: next, shape: shape, rules: rules)
                group.addTask { run.run() }
                next += 1
            }
            for _ in 0..<lanes { add() }
            while let outcome = await group.next() {
                summary.add(outcome, hours: shape.hours)
                each(summary)
                add()
            }
            return summary
        }
    }
}

/// What many histories have in common.
public struct Summary: Sendable, Codable {
    public var seeds = 0
    public var hours = 0.0
    public var faults = 0
    public var events = 0
    public var plans = 0
    public var starts = 0
    public var publications = 0
    public var bytes = 0
    public var plannedMoves = 0
    public var failovers = 0
    public var longestOutage_us: Int64 = 0
    /// While nothing but the fault itself hindered the operator.
    public var longestUnexcused_us: Int64 = 0
    /// The lowest seed that broke an invariant, and which.
    public var failedSeed: UInt64?
    public var failure: Violation?

    public init() {}

    mutating func add(_ outcome: Outcome, hours: Double) {
        seeds += 1
        self.hours += hours
        faults += outcome.figures.faults
        events += outcome.figures.events
        plans += outcome.figures.plans
        starts += outcome.figures.starts
        publications += outcome.figures.publications
        bytes += outcome.figures.bytes
        plannedMoves += outcome.figures.plannedMoves
        failovers += outcome.figures.failovers
        longestOutage_us = max(longestOutage_us, outcome.figures.longestOutage_us)
        longestUnexcused_us = max(longestUnexcused_us, outcome.figures.longestUnexcused_us)
        if let violation = outcome.violation, failedSeed.map({ outcome.seed < $0 }) ?? true {
            failedSeed = outcome.seed
            failure = violation
        }
    }
}
