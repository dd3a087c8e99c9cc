import Cell
import Streams

/// One call on its way, kept with its stream. Loop thread only.
final class HistoryCall {
    enum Method: String, CaseIterable {
        case inbox = "Inbox", dialog = "Dialog", find = "Find"

        init?(path: String) {
            guard let method = Self.allCases.first(where: { path == "/cecochat.v1.History/\($0.rawValue)" }) else { return nil }
            self = method
        }
    }

    /// A message that was read.
    enum Query: Sendable {
        case inbox(InboxQuery), dialog(DialogQuery), find(FindQuery)

        init(_ method: Method, _ message: UnsafeRawBufferPointer) throws(ProtobufError) {
            switch method {
            case .inbox: self = .inbox(try InboxQuery(decoding: message))
            case .dialog: self = .dialog(try DialogQuery(decoding: message))
            case .find: self = .find(try FindQuery(decoding: message))
            }
        }
    }

    let caller: UserID
    let method: Method
    var query: Query?
    var isOver = false

    init(_ caller: UserID, _ method: Method) {
        self.caller = caller
        self.method = method
    }
}
