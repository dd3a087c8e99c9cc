import Cell

/// An assignment from nothing but what servers report: for when Redis and every state folder forgot it.
///
/// Reports do not tell owners from standbys. Who has most connections has most likely owned what it reads, so it is believed first; who is left with
/// nothing was a standby. Whatever that gets wrong, moves put right.
func rebuilt(from reports: [ServerID: Report]) -> Assignment {
    var result = Assignment()
    var taken = PartitionSet()
    let order = reports.sorted { ($1.value.connections, $0.key) < ($0.value.connections, $1.key) }
    for (id, report) in order {
        result.epoch = max(result.epoch, report.epoch)
        result.term = max(result.term, report.term)
        if let log = report.log { result.log = result.log.map { max($0, log) } ?? log }
        guard report.state == .ready else { continue }
        var member = Member(
            incarnation: report.incarnation, address: report.address, http: report.http, zone: report.zone, role: id.kind == .messaging ? .idle : .service)
        if id.kind == .messaging {
            let read = PartitionSet(report.positions.keys.compactMap { Int32($0) }.map { Partition($0) })
            member.owns = read.subtracting(taken)
            taken = taken.union(read)
            if !member.owns.isEmpty { member.role = .owner } else if !read.isEmpty { member.role = .standby }
        }
        result.members[id] = member
    }
    return result
}
