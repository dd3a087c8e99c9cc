import Cell

extension AssignmentDelta {
    /// Bytes of its JSON, as the channel tells it: what encoding it would give, without the work.
    var size_bytes: Int {
        var size = #"{"changed":{},"epoch":,"removed":[],"term":}"#.utf8.count
        size += digits(epoch.value) + digits(term.value)
        if let log { size += #""log":"","#.utf8.count + log.description.utf8.count }
        for (name, member) in changed { size += name.utf8.count + 3 + member.size_bytes }
        for id in removed { size += id.description.utf8.count + 2 }
        return size + max(0, changed.count - 1) + max(0, removed.count - 1)
    }
}

extension Member {
    fileprivate var size_bytes: Int {
        #"{"address":"","http":"","incarnation":"","leaves":"","opens":"","owns":"","role":"","shadows":"","zone":""}"#.utf8.count
            + address.utf8.count + http.utf8.count + incarnation.description.utf8.count + zone.utf8.count + role.rawValue.utf8.count
            + [leaves, opens, owns, shadows].reduce(0) { $0 + textSize($1) }
            + (isLevel ? 0 : #""tilt":{"lean":,"relieves":""},"#.utf8.count + digits(Int64(lean)) + textSize(relieves))
    }

    private func textSize(_ set: PartitionSet) -> Int {
        set.ranges.reduce(max(0, set.ranges.count - 1)) { size, range in
            let first = digits(Int64(range.lowerBound))
            return size + first + (range.count == 1 ? 0 : 1 + digits(Int64(range.upperBound)))
        }
    }
}

private func digits(_ number: Int64) -> Int {
    var (count, rest) = (number < 0 ? 2 : 1, number / 10)
    while rest != 0 {
        count += 1
        rest /= 10
    }
    return count
}
