import Cell
import Streams

extension HistoryClient {
    /// What of an inbox was read, newest first, and through which offset the history was complete before the first page was read.
    public struct Range {
        public var messages: [Message]
        public var through: Int64
    }

    /// Reads every record of one log from `from` to before `to`, page by page.
    public func read(
        _ log: LogID, from: Int64, to: Int64?, as credentials: Credentials, _ done: @escaping (Result<Range, GRPCStatus.Failure>) -> Void
    ) {
        read(log, from: from, to: to, as: credentials, after: nil, done)
    }

    private func read(
        _ log: LogID, from: Int64, to: Int64?, as credentials: Credentials, after earlier: Range?,
        _ done: @escaping (Result<Range, GRPCStatus.Failure>) -> Void
    ) {
        var query = InboxQuery()
        query.log = log.description
        query.from = from
        query.to = to
        query.limit = 500
        inbox(query, as: credentials) { [weak self] answer in
            switch answer {
            case .failure(let failure): done(.failure(failure))
            case .success(let page):
                let range = Range(messages: (earlier?.messages ?? []) + page.messages, through: earlier?.through ?? page.through)
                guard page.more, let last = page.messages.last else { return done(.success(range)) }
                self?.read(log, from: from, to: last.offset, as: credentials, after: range, done)
            }
        }
    }
}
