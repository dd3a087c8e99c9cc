import Cell
import Kafka
import Streams
import TLS

/// What a messaging server needs besides assignment, settings and the log's address.
struct MessagingConfiguration: Sendable {
    var identity: MessagingIdentity
    var settings: Settings
    /// Where to listen; port 0 takes a free one.
    var host: String
    var port: UInt16
    var topic: String
    /// Nil: HTTP/2 with prior knowledge.
    var tls: TLSServerContext?
    /// Who calls, by a call's metadata.
    var authenticate: Authenticate
    /// Reads the assignment from where it is published; nil when it cannot be read.
    var readAssignment: @Sendable () async -> Assignment?
    /// Called when the operator should hear of a change at once.
    var reportChanged: @Sendable () -> Void
    /// Told how long an acknowledged Send took.
    var acknowledged: @Sendable (Duration) -> Void

    init(
        identity: MessagingIdentity, settings: Settings, host: String = "127.0.0.1", port: UInt16 = 0, topic: String,
        tls: TLSServerContext? = nil, authenticate: @escaping Authenticate, readAssignment: @escaping @Sendable () async -> Assignment?,
        reportChanged: @escaping @Sendable () -> Void = {}, acknowledged: @escaping @Sendable (Duration) -> Void = { _ in }
    ) {
        self.identity = identity
        self.settings = settings
        self.host = host
        self.port = port
        self.topic = topic
        self.tls = tls
        self.authenticate = authenticate
        self.readAssignment = readAssignment
        self.reportChanged = reportChanged
        self.acknowledged = acknowledged
    }
}

/// Who calls; `metadata` gives a name's first value, names are in lower case.
typealias Authenticate = @Sendable (_ metadata: (String) -> String?) -> Caller

enum Caller: Sendable, Equatable {
    /// From `until_ms` on, Unix time, that is not proven any more; nil: for good.
    case user(UserID, until_ms: Int64? = nil)
    /// The status with which the call ends.
    case refused(GRPCStatus)
}
