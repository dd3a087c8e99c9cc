import Cell

/// What one pass of the planner looks at, the same for all of its parts. A reference: each part keeps it, and a spec and a cell are large.
final class Situation: Sendable {
    let spec: CellSpec
    let observed: ObservedCell
    let standings: Standings
    let now: Moment
    let rules: Rules

    init(_ spec: CellSpec, _ observed: ObservedCell, _ standings: Standings, now: Moment, rules: Rules) {
        self.spec = spec
        self.observed = observed
        self.standings = standings
        self.now = now
        self.rules = rules
    }
}
