import Cell

/// The messaging servers' part of an assignment in the making: who owns, opens and leaves what. In flat arrays, by place.
struct Layout: Sendable {
    /// How many partitions the cell has.
    let partitions: Int
    /// Of every server that anybody knows.
    private let places: Places
    private var parts: [Member]
    private var isThere: [Bool]
    /// May differ from what it was made from.
    private var isTouched: [Bool]
    /// Places of messaging servers, by name; those that are not there among them.
    private let order: [Int]
    /// What nobody owns.
    private(set) var unowned: PartitionSet

    /// What is claimed twice goes to the lower name, and what is beyond the cell's partitions goes away: two facts that contradict each other must
    /// not stop an operator.
    ///
    /// - Parameter standings: of all of them, and of those that may be added.
    init(_ all: [ServerID: Member], partitions: Int, _ standings: Standings) {
        self.partitions = partitions
        places = standings.places
        order = standings.order.filter { standings.places.names[$0].kind == .messaging }
        parts = Array(repeating: .nobody, count: places.count)
        isThere = Array(repeating: false, count: places.count)
        isTouched = isThere
        var claims = Claims(of: partitions)
        for (id, member) in all where id.kind == .messaging {
            guard let place = places[id] else { continue }
            parts[place] = member
            isThere[place] = true
            claims.add(member.owns)
        }
        unowned = claims.free
        guard !claims.areSound else { return }
        var free = PartitionSet(all: partitions)
        for place in order where isThere[place] {
            let own = parts[place].owns.intersection(free)
            if own != parts[place].owns { isTouched[place] = true }
            parts[place].owns = own
            free = free.subtracting(own)
        }
        unowned = free
    }

    // MARK: Looking

    /// Names, in their order.
    var ids: [ServerID] { order.compactMap { isThere[$0] ? places.names[$0] : nil } }

    /// Its members, by name.
    var members: [(id: ServerID, member: Member)] { order.compactMap { isThere[$0] ? (id: places.names[$0], member: parts[$0]) : nil } }

    subscript(id: ServerID) -> Member? { place(of: id).map { parts[$0] } }

    func has(_ id: ServerID) -> Bool { place(of: id) != nil }
    func role(of id: ServerID) -> Member.Role? { place(of: id).map { parts[$0].role } }
    func owns(_ id: ServerID) -> PartitionSet { place(of: id).map { parts[$0].owns } ?? PartitionSet() }
    func opens(_ id: ServerID) -> PartitionSet { place(of: id).map { parts[$0].opens } ?? PartitionSet() }
    func leaves(_ id: ServerID) -> PartitionSet { place(of: id).map { parts[$0].leaves } ?? PartitionSet() }
    func lean(of id: ServerID) -> Int { place(of: id).map { parts[$0].lean } ?? 0 }
    func relieves(_ id: ServerID) -> PartitionSet { place(of: id).map { parts[$0].relieves } ?? PartitionSet() }
    func shadows(_ id: ServerID) -> PartitionSet { place(of: id).map { parts[$0].shadows } ?? PartitionSet() }
    /// Owns partitions, or will.
    func isHolder(_ life: ServerLife) -> Bool {
        guard let place = place(of: life.id), parts[place].incarnation == life.incarnation else { return false }
        return parts[place].role == .owner || !parts[place].owns.isEmpty || !parts[place].opens.isEmpty
    }
    /// Whether it is there under these addresses; an empty one is as good as any.
    func isKnown(_ life: ServerLife, _ address: String, _ http: String) -> Bool {
        guard let place = place(of: life.id), parts[place].incarnation == life.incarnation else { return false }
        return (address.isEmpty || parts[place].address == address) && (http.isEmpty || parts[place].http == http)
    }
    func isLife(_ id: ServerID, _ incarnation: Incarnation) -> Bool { place(of: id).map { parts[$0].incarnation == incarnation } ?? false }

    /// How many partitions are on their way: opened, or left.
    var moving: Int { order.reduce(0) { isThere[$1] ? $0 + parts[$1].opens.count + parts[$1].leaves.count : $0 } }

    /// Names of those for which `isMeant` holds, in their order.
    func ids(where isMeant: (Member) -> Bool) -> [ServerID] { order.compactMap { isThere[$0] && isMeant(parts[$0]) ? places.names[$0] : nil } }

    /// Partition number → the place of its owner in `ids`, or -1.
    func owners(_ ids: [ServerID]) -> [Int32] {
        var owner = [Int32](repeating: -1, count: partitions)
        for (place, id) in ids.enumerated() {
            for range in owns(id).ranges {
                for number in range where number < partitions { owner[Int(number)] = Int32(place) }
            }
        }
        return owner
    }

    private func place(of id: ServerID) -> Int? {
        guard let place = places[id], isThere[place] else { return nil }
        return place
    }

    // MARK: Changing

    /// Adds a server that is not there yet.
    mutating func add(_ id: ServerID, _ member: Member) {
        guard let place = places[id], !isThere[place] else { return }
        parts[place] = member
        isThere[place] = true
        isTouched[place] = true
    }

    mutating func change(_ id: ServerID, _ body: (inout Member) -> Void) {
        guard let place = place(of: id) else { return }
        isTouched[place] = true
        body(&parts[place])
        if !parts[place].isLevel { parts[place].relieves = parts[place].relieves.intersection(parts[place].opens) }
    }

    /// Sets its role; only standbys shadow, and only owners open and lean.
    mutating func setRole(_ role: Member.Role, of id: ServerID) {
        guard let place = place(of: id) else { return }
        let isSame =
            parts[place].role == role && (role == .standby || parts[place].shadows.isEmpty)
            && (role == .owner || parts[place].opens.isEmpty && parts[place].isLevel)
        guard !isSame else { return }
        isTouched[place] = true
        parts[place].role = role
        if role != .standby { parts[place].shadows = PartitionSet() }
        guard role != .owner else { return }
        parts[place].opens = PartitionSet()
        parts[place].relieves = PartitionSet()
        parts[place].lean = 0
    }

    /// Takes a server out; what it owned is unowned now.
    @discardableResult
    mutating func remove(_ id: ServerID) -> Member? {
        guard let place = place(of: id) else { return nil }
        isThere[place] = false
        isTouched[place] = true
        if !parts[place].owns.isEmpty { unowned = unowned.union(parts[place].owns) }
        return parts[place]
    }

    /// Gives `set`, which nobody owns, to `id`.
    mutating func give(_ set: PartitionSet, to id: ServerID) {
        guard !set.isEmpty else { return }
        unowned = unowned.subtracting(set)
        take(set, id)
    }

    /// Gives `set`, which nobody owns, to those of `ids`, the fewest first (beyond what they lean). In contiguous slices, in the order of `ids`.
    mutating func spread(_ set: PartitionSet, over ids: [ServerID]) {
        let shares = fill(ids.map { max(0, owns($0).count + opens($0).count - lean(of: $0)) }, with: set.count)
        var slices = Slices(set)
        for (id, share) in zip(ids, shares) where share > 0 { take(slices.next(share), id) }
        if !ids.isEmpty { unowned = unowned.subtracting(set) }
    }

    private mutating func take(_ set: PartitionSet, _ id: ServerID) {
        change(id) {
            // What relieves another is beside the even share.
            if !$0.relieves.isEmpty { $0.lean += $0.relieves.intersection(set).count }
            $0.owns = $0.owns.union(set)
            $0.opens = $0.opens.subtracting(set)
            $0.leaves = $0.leaves.subtracting(set)
        }
    }

    // MARK: What became of it

    /// Puts what has changed into `all`, which this layout was made from.
    ///
    /// - Returns: whether anything has.
    func apply(to all: inout [ServerID: Member]) -> Bool {
        var isChanged = false
        if all.count * 2 < order.count { all.reserveCapacity(order.count) }
        for place in order where isTouched[place] {
            let id = places.names[place]
            guard isThere[place] else {
                if all.removeValue(forKey: id) != nil { isChanged = true }
                continue
            }
            if all[id] != parts[place] {
                all[id] = parts[place]
                isChanged = true
            }
        }
        return isChanged
    }
}

extension Member {
    /// In the place of one that is not there.
    fileprivate static let nobody = Member(incarnation: Incarnation("0")!, address: "", http: "", role: .idle)
}

/// A set, handed out in slices from its lowest partition on.
struct Slices {
    private let ranges: [ClosedRange<Int32>]
    private var place = 0
    /// Of the range at `place`, how many are gone.
    private var used: Int32 = 0

    init(_ set: PartitionSet) { ranges = set.ranges }

    mutating func next(_ count: Int) -> PartitionSet {
        var slice: [ClosedRange<Int32>] = []
        var wanted = Int32(count)
        while wanted > 0, place < ranges.count {
            let low = ranges[place].lowerBound + used
            let high = min(ranges[place].upperBound, low + wanted - 1)
            slice.append(low...high)
            wanted -= high - low + 1
            used += high - low + 1
            if high == ranges[place].upperBound {
                place += 1
                used = 0
            }
        }
        return PartitionSet(ranges: slice)
    }
}
