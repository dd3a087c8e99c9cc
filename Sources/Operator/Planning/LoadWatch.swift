import Cell

/// What partitions bear, smoothed, and which servers have borne far more than the others for long. Pure: it holds samples, and time is an argument.
///
///     of the mean
///      1.25 ──────────────┬─╮──────────────────────────────────────────
///      1.00 ──────────────╯ │ ╰──── heavy ────▶ relieved        a peak that is shorter is nothing
///                           ├── window ──▶│    ├── cooldown: what has moved for its load stays ──▶
///
/// A window counts only while the assignment stays as it is and nothing moves; the first one begins a cooldown after this operator began to look, so that
/// nothing that another has moved is moved again soon.
public struct LoadWatch: Equatable, Sendable {
    /// How often servers' reports are looked at.
    static let step = Duration.seconds(5)
    /// How long a server must have been too heavy, or too light, without a break.
    static let window = Duration.seconds(60)
    /// A partition that moved for its load does not do so again for as long.
    package static let cooldown = Duration.seconds(600)
    /// So much above the mean, or below, is too much.
    package static let margin = 0.25
    /// So much of the mean has to be gained at least: what is less may be noise.
    static let gain = 0.1
    /// Who bears less than this, of what one server can, is not worth a move.
    package static let significant = 0.05
    /// Of each sample, the share that counts: what is older than some twenty seconds is nearly forgotten.
    private static let fresh = 0.25

    /// Smoothed, by partition number; empty while nobody tells.
    private(set) var streams: [Double] = []
    private(set) var messages: [Double] = []
    private var lookedAt: Moment?
    private var mayActAt: Moment?
    private var epoch: Epoch?
    /// Since when each of those that are too heavy or too light is.
    private var uneven: [ServerID: Moment] = [:]
    /// When partitions moved for their load.
    private(set) var movedAt: [Int32: Moment] = [:]
    /// What is to be done now; the planner does it when nothing else is to be.
    private(set) var eases: [Ease] = []

    public init() {}

    /// Looks at what is reported, at most every `step`.
    mutating func look(at observed: ObservedCell, _ spec: CellSpec, now: Moment, rules: Rules) {
        if let lookedAt, now - lookedAt < Self.step { return }
        // What was not seen is no time of rest.
        if let lookedAt, now - lookedAt > Self.step * 4 { uneven = [:] }
        lookedAt = now
        if mayActAt == nil { mayActAt = now + Self.cooldown }
        movedAt = movedAt.filter { $0.value + Self.cooldown > now }
        // Those that were not taken until now are not possible.
        if !eases.isEmpty { putOff(until: now + Self.window) }
        guard let sample = learn(observed, spec) else {
            streams = []
            messages = []
            return uneven = [:]
        }
        let isStill = epoch == observed.assignment.epoch && observed.assignment.members.allSatisfy { $0.value.opens.isEmpty && $0.value.leaves.isEmpty }
        epoch = observed.assignment.epoch
        guard isStill || !rules.holds(.patience) else { return uneven = [:] }
        let bearing = Bearing(observed, streams, messages, spec)
        watch(bearing, Bearing(observed, sample.streams, sample.messages, spec), now: now)
        let due = uneven.filter { $0.value + Self.window <= now || !rules.holds(.patience) }
        guard !due.isEmpty, mayActAt.map({ $0 <= now }) ?? false || !rules.holds(.patience) else { return }
        eases = Relief(bearing, due: Set(due.keys), cooling: rules.holds(.patience) ? movedAt : [:], spec).eases()
        if eases.isEmpty { putOff(until: now + Self.window) }
    }

    private mutating func putOff(until moment: Moment) {
        eases = []
        mayActAt = max(mayActAt ?? moment, moment)
    }

    /// An assignment is published, or read: what it moves for its load is noted.
    mutating func note(_ assignment: Assignment, now: Moment) {
        for member in assignment.members.values where !member.isLevel {
            for partition in member.relieves { movedAt[partition.number] = now }
        }
        eases = []
    }

    /// Time in which nothing happens was skipped.
    mutating func putOff(by delay: Duration) {
        lookedAt = lookedAt.map { $0 + delay }
        uneven = uneven.mapValues { $0 + delay }
    }

    // MARK: Samples

    /// - Returns: what is told now, and of partitions of which nobody tells what was known; nil when nobody tells at all.
    private mutating func learn(_ observed: ObservedCell, _ spec: CellSpec) -> (streams: [Double], messages: [Double])? {
        let members = observed.assignment.members.filter { id, member in
            id.kind == .messaging && observed.reports[id].map { $0.incarnation == member.incarnation && $0.loads != nil } ?? false
        }
        guard !members.isEmpty else { return nil }
        // Of a partition whose owner says nothing, what was known stays.
        var isTold = [Bool](repeating: false, count: spec.partitions)
        var found = (streams: [Double](repeating: 0, count: spec.partitions), messages: [Double](repeating: 0, count: spec.partitions))
        for (id, member) in members {
            for range in member.owns.ranges where Int(range.upperBound) < spec.partitions { for number in range { isTold[Int(number)] = true } }
            // While clients go from one to another, both count.
            observed.reports[id]?.loads?.forEach { number, streams, messages in
                guard Int(number) < spec.partitions else { return }
                found.streams[Int(number)] += Double(streams)
                found.messages[Int(number)] += Double(messages)
            }
        }
        guard streams.count == spec.partitions else {
            (streams, messages) = found
            return found
        }
        for number in isTold.indices {
            guard isTold[number] else {
                (found.streams[number], found.messages[number]) = (streams[number], messages[number])
                continue
            }
            streams[number] += (found.streams[number] - streams[number]) * Self.fresh
            messages[number] += (found.messages[number] - messages[number]) * Self.fresh
        }
        return found
    }

    // MARK: Windows

    /// - Parameter sample: of what is told now alone: smoothed, a high peak lasts longer than it did.
    private mutating func watch(_ bearing: Bearing, _ sample: Bearing, now: Moment) {
        var found: [ServerID: Moment] = [:]
        for (owner, present) in zip(bearing.owners, sample.owners) {
            let isHeavy = bearing.isHeavy(owner) && present.load > sample.middle
            if isHeavy || bearing.isOwed(owner) { found[owner.id] = uneven[owner.id] ?? now }
        }
        uneven = found
    }
}

/// Something to do for the load's sake.
enum Ease: Equatable, Sendable {
    /// `back` goes the other way. `over_percent`: how much more than the mean `from` bears.
    case move(PartitionSet, from: ServerID, to: ServerID, back: PartitionSet, over_percent: Int)
    /// The server leans only so much from now on: it bears little.
    case lean(ServerID, Int)
}

/// Who bears how much, in parts of what one server can.
struct Bearing {
    struct Owner {
        var id: ServerID
        var zone: String
        var owns: PartitionSet
        var lean: Int
        var load: Double
        /// It can be given something, and be told to let something go.
        var isReady: Bool
        var count: Int
    }

    /// By name.
    var owners: [Owner] = []
    /// By partition number.
    let weights: [Double]
    let streams: [Double]
    let mean: Double
    /// Moved by hand, so that load moves them nowhere.
    let placed: PartitionSet

    /// A message a second costs as much as one stream in so many that a server can hold, unless the spec says what one server is to bear.
    static let messagesOfOneServer = 20_000

    /// - Parameters streams, messages: by partition number.
    init(_ observed: ObservedCell, _ streams: [Double], _ messages: [Double], _ spec: CellSpec) {
        let scale = spec.messaging.autoscale
        let mostStreams = Double(max(1, scale?.targetConnections ?? spec.messaging.maxConnections))
        let mostMessages = Double(max(1, scale?.targetMessagesPerSecond ?? Self.messagesOfOneServer))
        self.streams = streams
        weights = zip(streams, messages).map { $0 / mostStreams + $1 / mostMessages }
        placed = PartitionSet(ranges: observed.wishes.places.flatMap(\.partitions.ranges))
        for (id, member) in observed.assignment.members(of: .messaging) where member.role == .owner {
            var load = 0.0
            for range in member.owns.ranges where Int(range.upperBound) < weights.count { for number in range { load += weights[Int(number)] } }
            let report = observed.reports[id]
            owners.append(
                Owner(
                    id: id, zone: member.zone, owns: member.owns, lean: member.lean, load: load,
                    isReady: report?.state == .ready && report?.incarnation == member.incarnation, count: member.owns.count))
        }
        mean = owners.isEmpty ? 0 : owners.reduce(0) { $0 + $1.load } / Double(owners.count)
    }

    /// Whoever is relieved is brought below this, and nobody is given more for it: between this and what is too much lies what noise may do.
    var middle: Double { mean * (1 + LoadWatch.margin / 2) }

    func isHeavy(_ owner: Owner) -> Bool { owner.load >= LoadWatch.significant && owner.load > mean * (1 + LoadWatch.margin) }

    /// It has fewer partitions than others because of a load that is gone.
    func isOwed(_ owner: Owner) -> Bool { owner.lean < 0 && mean >= LoadWatch.significant && owner.load < mean * (1 - LoadWatch.margin) }
}

extension ObservedCell {
    /// Looks at what partitions bear; to be called before each plan.
    package mutating func weigh(_ spec: CellSpec, now: Moment, rules: Rules = .all) {
        guard redisBack != nil, !deleted else { return }
        var watch = loadWatch
        // Whoever holds it twice copies it.
        loadWatch = LoadWatch()
        watch.look(at: self, spec, now: now, rules: rules)
        loadWatch = watch
    }
}
