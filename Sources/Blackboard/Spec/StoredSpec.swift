import Cell
import Redis

/// A cell's spec as it stands in Redis.
public struct StoredSpec: Sendable, Equatable, Codable {
    /// One more with each change of the spec.
    public var generation: Int64
    /// When the cell was made, Unix milliseconds by Redis's clock: tells a cell from an earlier one of the same name.
    public var created_ms: Int64
    /// Canonical JSON.
    public var json: String
    /// The cell is to go.
    public var isDeleted: Bool

    public init(generation: Int64, created_ms: Int64, json: String, isDeleted: Bool = false) {
        self.generation = generation
        self.created_ms = created_ms
        self.json = json
        self.isDeleted = isDeleted
    }

    /// Whether this is a later spec than `other`.
    public func isNewer(than other: StoredSpec) -> Bool { (created_ms, generation) > (other.created_ms, other.generation) }
}

extension CellBlackboard {
    /// The spec in Redis; nil when there is none.
    public func spec() async throws -> StoredSpec? {
        let values = try await command("HMGET", keys.spec, "generation", "created_ms", "json", "deleted").array ?? []
        guard values.count == 4, values.contains(where: { !$0.isNull }) else { return nil }
        guard let generation = values[0].integer, let json = values[2].string else {
            throw malformed("the spec", values[0].string ?? "", "a generation and JSON")
        }
        return StoredSpec(generation: generation, created_ms: values[1].integer ?? 0, json: json, isDeleted: values[3].integer == 1)
    }
}
