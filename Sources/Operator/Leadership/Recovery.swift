import Blackboard
import Cell

/// What to do when Redis has less than this operator remembers: it came back empty, or a while older. Pure: the reconciler and the simulation share it.
package enum Recovery: Equatable, Sendable {
    /// Redis has everything.
    case none
    /// The cell was deleted, and nothing of it is left.
    case gone
    /// Nothing but this operator's memory says that the cell lives: it may have been deleted while nobody looked.
    case abandoned
    /// Servers say what they know first, until then at most.
    case waits(until: Moment)
    /// Everything is to be written again.
    case refills

    /// - Parameters:
    ///   - found: the spec in Redis, `assignment` that in Redis.
    ///   - running: what the driver runs.
    ///   - waitsUntil: the end of a wait that has begun.
    package init(
        _ memory: CellMemory, found: StoredSpec?, assignment: Assignment?, seen: ServersInRedis, running: [RunningServer], waitsUntil: Moment?,
        lease: Duration, now: Moment
    ) {
        let knowsServers = !running.isEmpty || !seen.reports.isEmpty
        let missesAssignment = assignment == nil && (memory.assignment.epoch > .none || !seen.reports.isEmpty || found == nil)
        let haveReported = running.allSatisfy { $0.isGone || seen.reports[$0.life.id]?.incarnation == $0.life.incarnation }
        if found == nil, memory.spec?.isDeleted == true, !knowsServers {
            self = .gone
        } else if found == memory.spec, !missesAssignment {
            self = .none
        } else if found == nil, !knowsServers {
            self = .abandoned
        } else if haveReported {
            self = .refills
        } else if let waitsUntil {
            self = now < waitsUntil ? .waits(until: waitsUntil) : .refills
        } else {
            self = .waits(until: now + lease)
        }
    }
}

extension ServersInRedis {
    /// The latest term that a server obeys. When it is above a lead's own, Redis has forgotten that lead and its clock has gone back: servers will not obey
    /// what is lower, so the lead is given up, to be won again above it.
    ///
    /// Numbers above 2^53 are no terms of ours; a campaign leaves them out, too.
    package var latestTerm: Term { reports.values.map(\.term).filter { $0.value < 1 << 53 }.max() ?? .none }
}

extension CellMemory {
    /// Takes what servers have seen: epochs and terms go on from there, and where they know a newer assignment than anyone else, it is made from what they say.
    package mutating func learn(reports: [ServerID: Report]) {
        let reported = reports.values.map(\.epoch).max() ?? .none
        epoch = max(epoch, reported)
        term = max(term, reports.values.map(\.term).max() ?? .none)
        guard assignment.members.isEmpty || assignment.epoch < reported else { return }
        let found = rebuilt(from: reports)
        if found.members.values.contains(where: { !$0.owns.isEmpty }) { learn(found) }
    }
}
