import Cell

/// What a store holds cannot be a row: somebody else has written there.
struct StoredRowError: Error, CustomStringConvertible {
    var offset: Int64
    var problem: String
    var description: String { "the stored row at offset \(offset) \(problem). Rebuild the history from the log." }
}

extension HistoryRow {
    /// A row from its stored values; users are kept as the bits of signed numbers.
    init(offset: Int64, id: [UInt8], sender: Int64, receiver: Int64, time_ms: Int64, body: [UInt8]) throws {
        guard let id = MessageID(bytes: id) else { throw StoredRowError(offset: offset, problem: "has an id that is no UUIDv7") }
        guard let sender = UserID(UInt64(bitPattern: sender)), let receiver = UserID(UInt64(bitPattern: receiver)) else {
            throw StoredRowError(offset: offset, problem: "names user 0")
        }
        self.init(offset: offset, id: id, sender: sender, receiver: receiver, time_ms: time_ms, body: body)
    }
}
