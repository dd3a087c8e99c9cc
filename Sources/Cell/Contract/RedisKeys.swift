/// The keys of one cell in Redis, which are also the names of its channels. They share a hash tag, so that one script may touch them all.
public struct RedisKeys: Hashable, Sendable {
    public let cell: CellName
    public init(_ cell: CellName) { self.cell = cell }

    /// The set of all cells' names.
    public static let cells = "cells"

    /// Hash: `generation`, `json` (canonical), and `deleted` = 1 once the cell is to go. Set by compare-and-set on the generation.
    public var spec: String { key("spec") }
    /// Hash: `term`, `token`, `operator`; expires with the leader's lease.
    public var leader: String { key("leader") }
    /// Hash: `epoch`, `term`, `log`, then a field per server: `Member` as JSON.
    public var assignment: String { key("assignment") }
    /// Hash: `epoch`, `json` (`Settings`), of the operator; `revision`, `overrides` (`SettingsOverrides`), of cellctl.
    public var settings: String { key("settings") }
    /// Sorted set: `SERVER/INCARNATION` → expiry, Unix milliseconds by Redis's clock.
    public var leases: String { key("leases") }
    /// Hash: server → `INCARNATION ARRIVED_MS`: the incarnation that counts, and Redis's clock when it first came.
    public var arrivals: String { key("arrivals") }
    /// Hash: server → `Report` as JSON.
    public var reports: String { key("reports") }
    /// List: every log the cell had, oldest first.
    public var logs: String { key("logs") }
    /// Hash: `revision`, `json` (`Wishes`), `scale` (of an autoscaled cell). Set by compare-and-set on the revision.
    public var wishes: String { key("wishes") }
    /// List: the specs before this one as canonical JSON, newest first (the last 10).
    public var pastSpecs: String { key("past-specs") }
    /// Hash: `json` (`CellStatus`).
    public var status: String { key("status") }
    /// Stream: `time_ms`, `kind`, `server`, `text`, `json` (`CellEvent`).
    public var events: String { key("events") }

    private func key(_ last: String) -> String { "{cell:\(cell)}:\(last)" }
}
