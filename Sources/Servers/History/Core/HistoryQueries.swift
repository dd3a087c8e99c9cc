import Cell
import History

/// Answers the queries of `chat.proto`'s History from a store. A caller only ever gets own rows.
public struct HistoryQueries: Sendable {
    static let usualLimit = 50
    static let highestLimit = 500
    /// How soon `Find` is to be asked again, milliseconds.
    static let retry_ms: ClosedRange<Int64> = 500...10_000

    private let reader: HistoryReader
    private let window_ms: Int64

    /// - Parameters:
    ///   - partitions: of the cell; decides in which a user's records are.
    ///   - idWindow: the cell's W.
    public init(_ store: any HistoryStore, partitions: Int, idWindow: Duration) {
        reader = HistoryReader(store, partitions: partitions)
        window_ms = idWindow.milliseconds
    }

    /// Everything of `caller`, newest first. Throws `HistoryRefusal`, or what the store throws.
    public func inbox(_ query: InboxQuery, of caller: UserID, _ chain: LogChain) async throws -> Page {
        let limit = try Self.limit(query.limit)
        let log = try Self.log(query.log, chain)
        let offsets = Self.offsets(query.from, query.to)
        return page(try await reader.page(.inbox(caller), log, in: offsets, before_ms: query.before_ms, limit: limit), log, chain)
    }

    /// What `caller` exchanged with one peer, newest first. Throws as `inbox`.
    public func dialog(_ query: DialogQuery, of caller: UserID, _ chain: LogChain) async throws -> Page {
        let limit = try Self.limit(query.limit)
        let peer = try Self.user(query.peer, "peer")
        let log = try Self.log(query.log, chain)
        let key = HistoryKey.dialog(caller, with: peer)
        return page(try await reader.page(key, log, in: Self.offsets(nil, query.to), before_ms: query.before_ms, limit: limit), log, chain)
    }

    /// Whether a Send of `caller` was accepted. Throws as `inbox`.
    public func find(_ query: FindQuery, of caller: UserID, _ chain: LogChain) async throws -> Found {
        let receiver = try Self.user(query.receiver, "receiver")
        guard let id = MessageID(bytes: query.id) else {
            throw HistoryRefusal(.invalid, "id has \(query.id.count) bytes or is no UUIDv7", remedy: "Send the 16 bytes of the message's id")
        }
        guard chain.current != nil else { throw Self.noLog }
        var found = Found()
        found.state = .absent
        for log in chain.logs(validFor: id.time_ms, window_ms: window_ms).reversed() {
            switch try await reader.find(id, from: caller, to: receiver, in: log, window_ms: window_ms) {
            case .accepted:
                found.state = .accepted
                found.retryAfter_ms = 0
                return found
            case .notYet(let missing_ms):
                found.state = .notYet
                let wait = min(max(missing_ms, Self.retry_ms.lowerBound), Self.retry_ms.upperBound)
                found.retryAfter_ms = max(found.retryAfter_ms, Int32(wait))
            case .absent: break
            }
        }
        return found
    }

    private func page(_ found: HistoryReader.Page, _ log: LogID, _ chain: LogChain) -> Page {
        var page = Page()
        page.messages = found.rows.map(Self.message)
        page.more = found.more
        page.through = found.through
        page.log = log.description
        page.nextLog = chain.log(after: log)?.description ?? ""
        page.previousLog = chain.log(before: log)?.description ?? ""
        return page
    }

    private static func message(_ row: HistoryRow) -> Message {
        var message = Message()
        message.id = row.id.bytes
        message.offset = row.offset
        message.sender = row.sender.value
        message.receiver = row.receiver.value
        message.body = row.body
        message.time_ms = row.time_ms
        return message
    }

    // MARK: What a query may ask for

    private static let noLog = HistoryRefusal(.unavailable, "the cell has no log yet", remedy: "Ask again in a second")

    private static func limit(_ limit: Int32) throws(HistoryRefusal) -> Int {
        guard limit >= 0 else { throw HistoryRefusal(.invalid, "limit is \(limit)", remedy: "Leave it out, or give 1 to \(highestLimit)") }
        return limit == 0 ? usualLimit : min(Int(limit), highestLimit)
    }

    private static func user(_ number: UInt64, _ field: String) throws(HistoryRefusal) -> UserID {
        guard let user = UserID(number) else { throw HistoryRefusal(.invalid, "\(field) is 0, which is no user", remedy: "Give a user's number") }
        return user
    }

    /// `from` <= offset < `to`; empty when they are the wrong way round.
    private static func offsets(_ from: Int64?, _ to: Int64?) -> Range<Int64> {
        let low = max(0, from ?? 0)
        return low..<max(low, to ?? .max)
    }

    private static func log(_ text: String, _ chain: LogChain) throws(HistoryRefusal) -> LogID {
        guard !text.isEmpty else {
            guard let current = chain.current else { throw noLog }
            return current
        }
        guard let log = LogID(text), chain.contains(log) else {
            throw HistoryRefusal(
                .notFound, "log \(text.prefix(40)) is none of this cell's", remedy: "What was in it is not to be had any more; ask with an empty log")
        }
        return log
    }
}
