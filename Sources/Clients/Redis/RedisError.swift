/// Redis refused, or cannot be reached.
public struct RedisError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Code: Sendable, Hashable {
        /// Nobody listens there.
        case refused
        /// The name has no address.
        case unknownHost
        /// The connection broke, or was given up.
        case lost
        /// No connection or no answer in time.
        case timeout
        /// What came back is not Redis's protocol.
        case garbled
        case badAddress
        /// More requests wait than the client keeps.
        case overloaded
        /// The client was closed by its owner.
        case closed
        /// This machine has no thread or descriptor left.
        case local
        case noAuth
        case wrongPass
        case noPerm
        case loading
        case readOnly
        case outOfMemory
        /// A script runs too long, or Redis cannot be interrupted.
        case busy
        case wrongType
        /// Redis refuses writes because it cannot persist.
        case cannotPersist
        case noScript
        /// A refusal of the script's own, with its code, such as `TERM`.
        case script(String)
        /// Any other error of Redis, with its code, such as `ERR`.
        case other(String)
    }

    public var code: Code
    /// What was wrong, in the words of Redis or of the system.
    public var problem: String
    /// Where; nil where it is not known yet.
    public var address: RedisAddress?
    /// Whether the command can have run in spite of this error.
    public var mayHaveRun: Bool

    var remedyOverride: String?

    public init(_ code: Code, _ problem: String, at address: RedisAddress? = nil, mayHaveRun: Bool = false) {
        self.code = code
        self.problem = problem
        self.address = address
        self.mayHaveRun = mayHaveRun
    }

    static func badAddress(_ problem: String, remedy: String? = nil) -> RedisError {
        var error = RedisError(.badAddress, "The Redis address is not usable: \(problem)")
        error.remedyOverride = remedy
        return error
    }

    public var description: String {
        "\(address.map { "\($0): " } ?? "")\(problem). \(remedy)"
    }

    /// What to do next.
    public var remedy: String { remedyOverride ?? code.remedy }

    /// Whether the same request can succeed later without anybody changing anything.
    public var isTransient: Bool {
        switch code {
        case .refused, .unknownHost, .lost, .timeout, .loading, .busy, .readOnly, .overloaded, .outOfMemory, .cannotPersist, .local: true
        case .garbled, .badAddress, .closed, .noAuth, .wrongPass, .noPerm, .wrongType, .noScript, .script, .other: false
        }
    }
}

extension RedisError.Code {
    var remedy: String {
        switch self {
        case .refused: "Start Redis there, or name the one that runs."
        case .unknownHost: "Check the name, and that it resolves on this machine."
        case .lost: "It is connected again at the next request; look into Redis's log if this repeats."
        case .timeout: "Check the network, and whether Redis is stuck (redis-cli --latency)."
        case .garbled: "Check that a Redis listens there, without TLS."
        case .badAddress: "Write redis://[user:password@]host:port[/database], host:port, or the path of a unix socket."
        case .overloaded: "Ask less at a time, or wait for answers before asking more."
        case .closed: "Make a new client."
        case .local: "Raise the limits of threads and open files (ulimit -u, ulimit -n)."
        case .noAuth: "Put the password into the address: redis://:password@host:port."
        case .wrongPass: "Check user and password in the address against Redis's ACL LIST or requirepass."
        case .noPerm: "Give the user the keys, channels and commands it needs: ACL SETUSER cell on >password ~{cell:* ~cells &* +@all."
        case .loading: "Wait until Redis has loaded its data set."
        case .readOnly: "This is a replica: the next request resolves the name again; check that it leads to the primary."
        case .outOfMemory: "Raise Redis's maxmemory, or remove what does not belong there."
        case .busy: "Wait, or end the script that blocks Redis: SCRIPT KILL."
        case .wrongType: "Something else wrote that key; remove it, or choose another cell name."
        case .cannotPersist: "Mend Redis's disk; its log names the reason."
        case .noScript: "Send the script's text."
        case .script: "The message says what the script asks for."
        case .other: "Redis's message says what it did not accept."
        }
    }
}
