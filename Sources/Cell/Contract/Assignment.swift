/// Who does what in a cell, as published under one epoch.
public struct Assignment: Equatable, Sendable {
    public var epoch: Epoch
    public var term: Term
    /// Nil until the topic exists.
    public var log: LogID?
    public var members: [ServerID: Member]

    public init(epoch: Epoch = .none, term: Term = .none, log: LogID? = nil, members: [ServerID: Member] = [:]) {
        self.epoch = epoch
        self.term = term
        self.log = log
        self.members = members
    }

    /// The server that owns `partition`, if any.
    public func owner(of partition: Partition) -> (ServerID, Member)? {
        members.first { $0.value.owns.contains(partition) }.map { ($0.key, $0.value) }
    }

    /// The servers of one kind, by name.
    public func members(of kind: ServerKind) -> [(id: ServerID, member: Member)] {
        members.filter { $0.key.kind == kind }.sorted { $0.key < $1.key }.map { (id: $0.key, member: $0.value) }
    }

    /// The standby to which clients of `server` should go first when it is lost: the lowest-named that shadows most of what it owns.
    public func fallback(of server: ServerID) -> Member? {
        guard let owned = members[server]?.owns, !owned.isEmpty else { return nil }
        let candidates = members(of: .messaging).filter { $0.id != server && $0.member.role == .standby }
        let best = candidates.max { a, b in
            let counts = (a.member.shadows.intersection(owned).count, b.member.shadows.intersection(owned).count)
            return counts.0 == counts.1 ? a.id > b.id : counts.0 < counts.1
        }
        return best?.member
    }
}

/// One server's part of the assignment; a server obeys only what names its own incarnation.
///
///                    opening            owner             leaving
///     new owner   ├── warms up ──▶├── serves ─────────────────────────▶
///     old owner   ── serves ─────────▶├── sends Moved, serves on ──▶│ stops consuming
public struct Member: Equatable, Codable, Sendable {
    public enum Role: String, Codable, Sendable {
        /// Owns partitions, or will as soon as it is warm.
        case owner
        /// Shadows partitions that it may inherit.
        case standby
        /// Is losing all its partitions.
        case draining
        /// Known and ready, with nothing to do.
        case idle
        /// A kind without partitions: connect, history, materialize, backplane.
        case service
    }

    public var incarnation: Incarnation
    /// HOST:PORT that clients are told: gRPC, HTTP for connect, Kafka's protocol for the backplane.
    public var address: String
    /// HOST:PORT of health, metrics and status.
    public var http: String
    public var zone: String
    public var role: Role
    /// Serves their users. At most one server under one epoch.
    public var owns = PartitionSet()
    /// Warms them up and holds their streams, to own them next.
    public var opens = PartitionSet()
    /// Owned them until this epoch: sends their clients Moved, and serves those that are left until they go or the grace ends.
    public var leaves = PartitionSet()
    /// Follows them, to be quick when it inherits them.
    public var shadows = PartitionSet()
    /// What the operator keeps in mind of its load; nil while counts alone decide. Servers do not look at it.
    private var tilt: Tilt?

    private struct Tilt: Equatable, Codable, Sendable {
        var lean = 0
        var relieves = PartitionSet()
    }

    public init(incarnation: Incarnation, address: String, http: String, zone: String = "", role: Role) {
        self.incarnation = incarnation
        self.address = address
        self.http = http
        self.zone = zone
        self.role = role
    }
}

extension Member {
    /// How many partitions more than an even share it is to own, fewer when it is negative, because of what they bear.
    public var lean: Int {
        get { tilt?.lean ?? 0 }
        set { setTilt(newValue, relieves) }
    }

    /// Of `opens`, those that it takes from an owner that bears too much.
    public var relieves: PartitionSet {
        get { tilt?.relieves ?? PartitionSet() }
        set { setTilt(lean, newValue) }
    }

    /// Counts alone decide, and it relieves nobody.
    public var isLevel: Bool { tilt == nil }

    private mutating func setTilt(_ lean: Int, _ relieves: PartitionSet) {
        tilt = lean == 0 && relieves.isEmpty ? nil : Tilt(lean: lean, relieves: relieves)
    }
}

/// What changed from the epoch before to `epoch`, as told on the assignment's channel. A hint: the truth is the hash.
public struct AssignmentDelta: Equatable, Codable, Sendable {
    public var epoch: Epoch
    public var term: Term
    public var log: LogID?
    public var changed: [String: Member]
    public var removed: [ServerID]

    public init(from old: Assignment, to new: Assignment) {
        epoch = new.epoch
        term = new.term
        log = new.log
        changed = Dictionary(uniqueKeysWithValues: new.members.filter { old.members[$0.key] != $0.value }.map { ($0.key.description, $0.value) })
        removed = old.members.keys.filter { new.members[$0] == nil }.sorted()
    }
}

extension Assignment {
    /// The assignment after `delta`, or nil when it does not follow on this one: then the hash is to be read.
    public func applying(_ delta: AssignmentDelta) -> Assignment? {
        guard delta.epoch == epoch.next, delta.term >= term else { return nil }
        var result = self
        result.epoch = delta.epoch
        result.term = delta.term
        result.log = delta.log
        for (name, member) in delta.changed {
            guard let id = ServerID(name) else { return nil }
            result.members[id] = member
        }
        for id in delta.removed { result.members[id] = nil }
        return result
    }
}
