import Blackboard
import Cell
import FoundationEssentials

/// What an operator remembers of a cell when Redis forgets: the newest that it has seen.
public struct CellMemory: Equatable, Sendable {
    public var spec: StoredSpec?
    public var assignment = Assignment()
    /// The highest that was ever seen, also where no assignment goes with it.
    public var epoch = Epoch.none
    public var term = Term.none
    public var settingsEpoch: Int64 = 0
    /// Settings set by hand.
    public var overrides = SettingsOverrides()
    /// Oldest first.
    public var logs: [LogID] = []
    public var wishes = Wishes()
    public init() {}

    /// Takes what is newer; nothing ever goes back.
    public mutating func learn(spec other: StoredSpec?) {
        guard let other, spec.map({ other.isNewer(than: $0) }) ?? true else { return }
        if let spec, spec.created_ms != other.created_ms {
            // Another cell of the same name: epochs go on, what they said does not.
            assignment = Assignment()
            overrides = SettingsOverrides()
            logs = []
            wishes = Wishes()
        }
        spec = other
    }

    public mutating func learn(settingsEpoch other: Int64) { settingsEpoch = max(settingsEpoch, other) }

    public mutating func learn(_ other: Wishes) { if other.revision > wishes.revision { wishes = other } }

    public mutating func learn(_ other: SettingsOverrides) { if other.revision > overrides.revision { overrides = other } }

    public mutating func learn(_ other: Assignment) {
        epoch = max(epoch, other.epoch)
        term = max(term, other.term)
        if let log = other.log { learn(logs: [log]) }
        if (other.term, other.epoch) > (assignment.term, assignment.epoch) { assignment = other }
    }

    public mutating func learn(logs other: [LogID]) { logs = Array(Set(logs).union(other).sorted().suffix(CellBlackboard.rememberedLogs)) }
}

/// One file for each cell, replaced at once and on disk when `save` returns.
///
///     cell-state 1 CHECKSUM LENGTH
///     {"assignment": …}
///
/// The checksum is FNV-1a 64 of the JSON, in hex. A damaged file is named and set aside: Redis and the servers' reports know the rest.
public struct StateFolder: Sendable {
    public let path: String
    public init(_ path: String) { self.path = path }

    private func file(_ cell: CellName) -> String { "\(path)/\(cell).state" }

    /// - Returns: what is remembered, and the name of a damaged file that was set aside.
    /// - Throws: `FileError` when the folder cannot be used.
    public func load(_ cell: CellName) throws -> (memory: CellMemory, damaged: String?) {
        try Files.makeFolder(path)
        let bytes: [UInt8]
        do throws(FileError) { bytes = try Files.read(file(cell)) } catch {
            guard Files.isThere(file(cell)) else { return (CellMemory(), nil) }
            throw error
        }
        if let memory = Self.decode(bytes) { return (memory, nil) }
        let aside = "\(file(cell)).damaged-\(OperatorClock().unix_ms)"
        try Files.rename(file(cell), to: aside)
        return (CellMemory(), aside)
    }

    /// - Throws: `FileError`.
    public func save(_ memory: CellMemory, of cell: CellName) throws {
        try Files.replace(file(cell), with: Self.encode(memory), durable: true)
    }

    public func remove(_ cell: CellName) { Files.remove(file(cell)) }

    /// The cells that are remembered.
    public func cells() -> [CellName] {
        ((try? Files.names(in: path)) ?? []).filter { $0.hasSuffix(".state") }.compactMap { CellName(String($0.dropLast(6))) }
    }

    private struct Stored: Codable {
        var spec: StoredSpec?
        var assignmentEpoch: Epoch, assignmentTerm: Term
        var log: LogID?
        var members: [String: Member]
        var epoch: Epoch, term: Term
        var settingsEpoch: Int64
        /// Absent where an older build wrote it.
        var overrides: SettingsOverrides?
        var logs: [LogID]
        /// Nil in files of builds before there were any.
        var wishes: Wishes?
    }

    static func encode(_ memory: CellMemory) -> [UInt8] {
        let members = Dictionary(uniqueKeysWithValues: memory.assignment.members.map { ($0.key.description, $0.value) })
        let stored = Stored(
            spec: memory.spec, assignmentEpoch: memory.assignment.epoch, assignmentTerm: memory.assignment.term, log: memory.assignment.log,
            members: members, epoch: memory.epoch, term: memory.term, settingsEpoch: memory.settingsEpoch, overrides: memory.overrides, logs: memory.logs,
            wishes: memory.wishes)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let json = try? encoder.encode(stored) else { preconditionFailure("a cell's memory cannot be written as JSON") }
        return Array("cell-state 1 \(String(checksum(json), radix: 16)) \(json.count)\n".utf8) + json
    }

    static func decode(_ bytes: [UInt8]) -> CellMemory? {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let head = String(decoding: bytes[..<end], as: UTF8.self).split(separator: " ")
        let json = Data(bytes[(end + 1)...])
        guard head.count == 4, head[0] == "cell-state", head[1] == "1", head[2] == String(checksum(json), radix: 16), head[3] == "\(json.count)",
            let stored = try? JSONDecoder().decode(Stored.self, from: json)
        else { return nil }
        var memory = CellMemory()
        memory.spec = stored.spec
        memory.assignment = Assignment(epoch: stored.assignmentEpoch, term: stored.assignmentTerm, log: stored.log)
        for (name, member) in stored.members {
            guard let id = ServerID(name) else { return nil }
            memory.assignment.members[id] = member
        }
        memory.epoch = stored.epoch
        memory.term = stored.term
        memory.settingsEpoch = stored.settingsEpoch
        memory.overrides = stored.overrides ?? SettingsOverrides()
        memory.logs = stored.logs
        memory.wishes = stored.wishes ?? Wishes()
        return memory
    }

    private static func checksum(_ bytes: Data) -> UInt64 { bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 } }
}
