import Cell

/// Where a user's clients go, as one assignment says. Pure.
struct Directory: Sendable {
    /// What `/v1/connect` tells, as in chat.proto.
    struct Directions: Equatable, Sendable {
        var user: UserID
        var partition: Partition
        /// HOST:PORT.
        var messaging: String
        var history: [String]
        var tls: Bool
        var log: LogID
        var epoch: Epoch
    }

    private let partitions: Int
    private let tls: Bool
    private let log: LogID?
    private let epoch: Epoch
    private let history: [String]
    /// Partition → messaging server; empty where nobody owns it.
    private let owners: [String]

    init(_ assignment: Assignment, of spec: CellSpec) {
        partitions = spec.partitions
        tls = spec.messaging.tls != nil
        log = assignment.log
        epoch = assignment.epoch
        history = assignment.members(of: .history).map(\.member.address).filter { !$0.isEmpty }
        var owners = [String](repeating: "", count: spec.partitions)
        let all = PartitionSet(all: spec.partitions)
        for (_, member) in assignment.members(of: .messaging) {
            for partition in member.owns.intersection(all) { owners[Int(partition.number)] = member.address }
        }
        self.owners = owners
    }

    /// Nil while the user's partition has no owner, or the cell no log.
    func directions(for user: UserID) -> Directions? {
        let partition = user.partition(of: partitions)
        let owner = owners[Int(partition.number)]
        guard let log, !owner.isEmpty else { return nil }
        return Directions(user: user, partition: partition, messaging: owner, history: history, tls: tls, log: log, epoch: epoch)
    }
}

extension Directory.Directions {
    var json: JSON {
        .object([
            "user": .text(user.description), "partition": .integer(Int(partition.number)), "messaging": .text(messaging),
            "history": .list(history.map { .text($0) }), "tls": .flag(tls), "log": .text(log.description), "epoch": .integer(Int(epoch.value)),
        ])
    }
}
