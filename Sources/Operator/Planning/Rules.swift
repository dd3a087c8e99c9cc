/// One rule of the planner. Each can be switched off by a test, which expects the simulation to notice; in production all hold.
package enum Rule: String, CaseIterable, Sendable {
    /// A lease that ran out is no death before a health probe failed too.
    case secondSign
    /// Leases that run out are looked at with a probe.
    case probes
    /// No lease counts until one lease after Redis came back, or this operator woke up or began to lead.
    case leasesSettle
    /// Who renewed its lease after its port was found shut lives.
    case renewedLives
    /// Deaths by lease alone are repaired one lease apart.
    case brake
    /// A name that came back with another incarnation is another server.
    case incarnations
    /// Of two servers of one name the one counts that Redis listens to.
    case namesakes
    /// A repair's publication carries nothing else.
    case repairAlone
    /// The dead server's exact partitions go to one standby.
    case oneHeir
    /// A new owner has read the window before it owns.
    case warmFirst
    /// What a server reports counts once it has applied its part.
    case applied
    /// Who cannot be told to let go, or perhaps cannot, keeps what it has.
    case cutOffKeeps
    /// Moves in flight are capped.
    case moveCap
    /// Owners differ by at most one partition.
    case balance
    /// An owner that bears far more than others for long loses what makes it so.
    case relief
    /// A load that is not there for long moves nothing, and what has moved for its load stays for a while.
    case patience
    /// An old owner may serve its clients until the grace is over.
    case leaveGrace
    /// An old owner that its clients have left lets go.
    case leaveEnds
    /// A server is stopped when it owns nothing.
    case drainFirst
    /// Ready servers that nobody gave a part become members.
    case joins
    /// What nobody owns goes to ready owners.
    case unowned
    /// The first assignment waits for the rest of the servers, a lease at most.
    case settles
    /// Standbys shadow what they may inherit.
    case shadows
    /// Servers that are missing are started.
    case starts
    /// Servers that are too many are stopped.
    case stops
    /// Names are never given twice.
    case newNames
    /// Servers are spread over the zones.
    case zones
    /// Servers that keep dying young wait.
    case crashLoop
    /// A server that hangs is killed once its failover is published.
    case killsHung
    /// A server that never says a word is ended.
    case killsMute
    /// An owner that reads nothing of what others read is as good as dead, whatever its lease says.
    case stuck
    /// What the dead left behind is removed.
    case forgets
}

/// The rules that hold.
package struct Rules: Sendable, Equatable {
    private var off: UInt64 = 0

    package static let all = Rules()

    package func without(_ rule: Rule) -> Rules {
        var rules = self
        rules.off |= Self.bit(rule)
        return rules
    }

    package func holds(_ rule: Rule) -> Bool { off == 0 || off & Self.bit(rule) == 0 }

    private static func bit(_ rule: Rule) -> UInt64 { 1 << UInt64(Rule.allCases.firstIndex(of: rule) ?? 0) }
}
