import Blackboard
import Cell

/// What `get` can show.
enum Resource: String, CaseIterable {
    case cells, servers, partitions, events, settings

    /// `cells`, `cell`; kubectl's habit of short names too.
    init(_ word: String) throws(Failure) {
        let short = ["sv": Resource.servers, "part": .partitions, "ev": .events]
        guard let resource = Resource(rawValue: word) ?? Resource(rawValue: word + "s") ?? short[word] else {
            throw .unknown("kind of thing to get", word, among: Self.allCases.map(\.rawValue), remedy: "Write cells, servers, partitions, events or settings")
        }
        self = resource
    }

    /// What tells that it may have changed.
    var topics: Set<BlackboardListener.Topic> {
        switch self {
        case .cells: [.spec, .status]
        case .servers: [.status, .assignment, .servers]
        case .partitions: [.assignment]
        case .events: [.events]
        case .settings: [.settings]
        }
    }
}

/// A `get`, ready to be asked again and again.
struct Getter: Sendable {
    let resource: Resource
    /// Names that are wanted; all when empty.
    let names: [String]
    let limit: Int
    let session: Session

    /// - Parameter cell: the cell that is meant; of no use for `cells`.
    func listing(_ cell: CellName?) async throws -> Listing {
        guard resource != .cells, let cell else { return try await cells() }
        switch resource {
        case .events: return Listing.events(try await session.board(cell).latestEvents(limit))
        case .settings: return try picked(Listing.settings(try await settings(cell), try await session.board(cell).overrides()), "setting")
        case .partitions:
            let snapshot = try await session.snapshot(cell)
            return Listing.partitions(snapshot, try wanted(in: snapshot))
        default:
            let all = Listing.servers(try await session.snapshot(cell))
            return try picked(all, "server")
        }
    }

    private func cells() async throws -> Listing {
        let known = try await session.cells()
        let wanted = names.isEmpty ? known : try names.map { try Session.cell($0, among: known) }
        var snapshots: [Snapshot] = []
        for cell in wanted { snapshots.append(try await session.snapshot(cell)) }
        return Listing.cells(snapshots, now_ms: now_ms())
    }

    private func settings(_ cell: CellName) async throws -> Settings {
        guard let settings = try await session.board(cell).settings() else {
            throw Failure(.failed, "cell \(cell) has no settings yet", remedy: "Its operator writes them when it first looks at the cell: start cell-operator")
        }
        return settings
    }

    /// The items named; a server's kind names all of its kind.
    private func picked(_ listing: Listing, _ kind: String) throws(Failure) -> Listing {
        guard !names.isEmpty else { return listing }
        var listing = listing
        let all = listing.items
        for name in names where !all.contains(where: { Self.matches($0, name) }) {
            let near = nearest(to: name, among: all.map { String($0.name.dropFirst(kind.count + 1)) })
            throw Failure(.failed, "there is no \(kind) \"\(name)\"", remedy: near.map { "Did you mean \($0)?" } ?? "cellctl get \(kind)s lists them")
        }
        listing.items = all.filter { item in names.contains { Self.matches(item, $0) } }
        return listing
    }

    private static func matches(_ item: Listing.Item, _ name: String) -> Bool {
        let own = item.name.split(separator: "/", maxSplits: 1).last ?? ""
        return own == name || item.name == name || (own.hasPrefix(name + "-") && ServerKind(rawValue: name) != nil)
    }

    private func wanted(in snapshot: Snapshot) throws -> PartitionSet {
        let count = try snapshot.spec.map { try CellSpec.read(json: $0.json, source: "the spec in Redis").partitions } ?? 0
        guard !names.isEmpty else { return PartitionSet(all: count) }
        let text = names.joined(separator: ",")
        guard let set = PartitionSet(text), !set.isEmpty else {
            throw Failure.usage("\"\(text)\" names no partitions", remedy: "Write them like 17, 0-9 or 3,5,8-10")
        }
        guard set.subtracting(PartitionSet(all: count)).isEmpty else {
            throw Failure(.failed, "cell \(snapshot.cell) has the partitions 0 to \(count - 1)", remedy: "Name some of those")
        }
        return set
    }
}
