/// What people ask of a cell's servers beside its spec: it stays until it is asked otherwise, whatever becomes of operators.
///
/// Servers are meant by name, since a name is never given twice. What is asked of one that is gone means nothing.
public struct Wishes: Equatable, Codable, Sendable {
    /// Higher with each change, whatever Redis forgot in between; 0: nobody ever asked anything.
    public var revision: Int64 = 0
    /// Are to lose their partitions and clients, and to stay without until they are uncordoned.
    public var drains: [ServerID] = []
    /// All servers of these drain, and none is started there.
    public var drainedZones: [String] = []
    /// Partitions that were moved by hand.
    public var places: [Place] = []
    /// How often people asked to replace every server by one of the same template.
    public var restarts: Int = 0
    /// No further batch of a rollout begins.
    public var isRolloutPaused = false

    public init() {}

    /// Partitions that stay at one server while it owns partitions at all.
    public struct Place: Equatable, Codable, Sendable {
        public var server: ServerID
        public var partitions: PartitionSet
        public init(_ server: ServerID, _ partitions: PartitionSet) {
            self.server = server
            self.partitions = partitions
        }
    }

    /// Asks for `partitions` at `server`, or, when that is nil, lets balance decide about them again.
    public mutating func place(_ partitions: PartitionSet, at server: ServerID?) {
        places = places.map { Place($0.server, $0.partitions.subtracting(partitions)) }
        if let server {
            if let index = places.firstIndex(where: { $0.server == server }) {
                places[index].partitions = places[index].partitions.union(partitions)
            } else {
                places.append(Place(server, partitions))
            }
        }
        places = places.filter { !$0.partitions.isEmpty }.sorted { $0.server < $1.server }
    }

    /// Drops what is asked of servers that nobody knows any more.
    public mutating func forget(allBut known: Set<ServerID>) {
        drains.removeAll { !known.contains($0) }
        places.removeAll { !known.contains($0.server) }
    }
}
