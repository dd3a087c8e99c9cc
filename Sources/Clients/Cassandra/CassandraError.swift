/// What went wrong with Cassandra: a closed code, where, what, and what to do instead.
public struct CassandraError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable, CaseIterable {
        // Said by a node.
        case serverError, protocolViolation, badCredentials, unavailable, overloaded, bootstrapping, truncateFailure
        case writeTimeout, readTimeout, readFailure, functionFailure, writeFailure
        case syntax, unauthorized, invalid, configuration, alreadyExists, unprepared
        // Found out here.
        case timedOut, connectionLost, noNode, busy, malformed, wrongValue, schemaDisagreement, cancelled, closed
    }

    public var code: Code
    /// The node that said so, `host:port`; empty when no node was asked.
    public var node: String
    public var what: String

    public init(_ code: Code, node: String = "", _ what: String) {
        self.code = code
        self.node = node
        self.what = what
    }

    public var remedy: String { code.remedy }

    public var description: String {
        "cassandra\(node.isEmpty ? "" : " \(node)"): \(code.rawValue): \(what). \(remedy)"
    }

    func at(_ endpoint: Endpoint) -> CassandraError {
        node.isEmpty ? CassandraError(code, node: endpoint.description, what) : self
    }
}

extension CassandraError.Code {
    public var remedy: String {
        switch self {
        case .serverError, .truncateFailure, .functionFailure: "See the node's log"
        case .protocolViolation, .malformed: "Check that a Cassandra that speaks CQL v4 listens there; the connection is replaced"
        case .badCredentials: "Check store.cassandra.user and passwordFile"
        case .unavailable: "Bring nodes back, or lower store.cassandra.consistency"
        case .overloaded, .busy: "Try again later, with fewer requests at once"
        case .bootstrapping: "Wait until the node has joined"
        case .writeTimeout, .readTimeout, .timedOut: "Try again when the request may be repeated; see whether nodes are overloaded"
        case .readFailure, .writeFailure: "See the replicas' logs; too many deleted rows are one cause"
        case .syntax, .invalid, .configuration: "Mend the statement or the schema"
        case .unauthorized: "Grant the role what the statement needs"
        case .alreadyExists: "Use IF NOT EXISTS"
        case .unprepared: "The node forgets statements as fast as they are prepared: prepare fewer"
        case .connectionLost: "Try again when the request may be repeated"
        case .noNode: "Check store.cassandra.contactPoints and that the nodes run"
        case .wrongValue: "Give the statement the values that it asks for, in their types"
        case .schemaDisagreement: "Wait until all nodes are up; `nodetool describecluster` shows who differs"
        case .cancelled: "The caller gave up; nothing is to be done"
        case .closed: "Open a new session"
        }
    }

    /// The code of an ERROR frame's number, by section 9 of the protocol's specification, version 4.
    init(number: Int32) {
        let known: [Int32: Self] = [
            0x0000: .serverError, 0x000A: .protocolViolation, 0x0100: .badCredentials, 0x1000: .unavailable,
            0x1001: .overloaded, 0x1002: .bootstrapping, 0x1003: .truncateFailure, 0x1100: .writeTimeout,
            0x1200: .readTimeout, 0x1300: .readFailure, 0x1400: .functionFailure, 0x1500: .writeFailure,
            0x2000: .syntax, 0x2100: .unauthorized, 0x2200: .invalid, 0x2300: .configuration,
            0x2400: .alreadyExists, 0x2500: .unprepared,
        ]
        self = known[number] ?? .serverError
    }
}
