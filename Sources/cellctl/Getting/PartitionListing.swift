import Blackboard
import Cell

extension Listing {
    /// Pure: each of `wanted`, who owns it, who shadows it, whether it moves, and how far its owner has read.
    static func partitions(_ snapshot: Snapshot, _ wanted: PartitionSet) -> Listing {
        let members = snapshot.assignment.members(of: .messaging)
        let owners = PartitionIndex(members.map { ($0.id, $0.member.owns) })
        let standbys = PartitionIndex(members.map { ($0.id, $0.member.shadows) })
        let opening = PartitionIndex(members.map { ($0.id, $0.member.opens) })
        let leaving = PartitionIndex(members.map { ($0.id, $0.member.leaves) })
        let items = wanted.map { partition in
            let owner = owners[partition]
            let position = owner.flatMap { snapshot.servers.reports[$0]?.positions["\(partition)"] }
            let address = owner.flatMap { snapshot.assignment.members[$0]?.address } ?? ""
            return item(
                partition,
                Place(
                    owner: owner, standby: standbys[partition], opening: opening[partition], leaving: leaving[partition], position: position, address: address))
        }
        return Listing(
            columns: ["PARTITION", "OWNER", "STANDBY", "MOVING", "POSITION"], wideColumns: ["ADDRESS"], items: items, mood: { $0 == "none" ? .red : nil })
    }

    private struct Place {
        var owner: ServerID?, standby: ServerID?, opening: ServerID?, leaving: ServerID?, position: Int64?
        var address: String
    }

    private static func item(_ partition: Partition, _ place: Place) -> Item {
        let moving = (place.opening.map { ["to \($0)"] } ?? []) + (place.leaving.map { ["from \($0)"] } ?? [])
        var members: [String: JSON] = ["partition": .integer(Int(partition.number)), "address": .text(place.address)]
        for (name, server) in [("owner", place.owner), ("standby", place.standby), ("opening", place.opening), ("leaving", place.leaving)] {
            members[name] = server.map { .text($0.description) } ?? .null
        }
        members["position"] = place.position.map { .integer(Int($0)) } ?? .null
        return Item(
            name: "partition/\(partition)",
            cells: [
                "\(partition)", place.owner?.description ?? "none", place.standby?.description ?? "", moving.joined(separator: " "),
                place.position.map { "\($0)" } ?? "",
            ], wide: [place.address], json: JSON.object(members).description)
    }
}

/// Partition → server, for many look-ups.
private struct PartitionIndex {
    private var ranges: [(range: ClosedRange<Int32>, server: ServerID)]

    init(_ sets: [(ServerID, PartitionSet)]) {
        ranges = sets.flatMap { server, set in set.ranges.map { ($0, server) } }.sorted { $0.range.lowerBound < $1.range.lowerBound }
    }

    subscript(partition: Partition) -> ServerID? {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].range.lowerBound <= partition.number { low = middle + 1 } else { high = middle }
        }
        // Ranges of one kind do not overlap, but for shadows, of which any will do.
        return ranges[..<low].suffix(4).reversed().first { $0.range.contains(partition.number) }?.server
    }
}
