/// What has to be said before a connection takes statements. Values only.
///
///     STARTUP ──READY──▶ ready
///        └──AUTHENTICATE──▶ AUTH_RESPONSE ──AUTH_SUCCESS──▶ ready
struct Handshake: Sendable {
    enum Action: Equatable { case send(EncodedRequest), ready, fail(CassandraError) }

    private let credentials: Credentials?
    private var answered = false

    init(credentials: Credentials?) { self.credentials = credentials }

    var opening: EncodedRequest { Request.startup }

    mutating func received(_ response: Response) -> Action {
        switch response {
        case .ready, .authSuccess: return .ready
        case .authenticate(let authenticator):
            guard let credentials else {
                return .fail(CassandraError(.badCredentials, "the node asks for a password (\(authenticator)) and none is given"))
            }
            guard !answered else { return .fail(CassandraError(.badCredentials, "the node asks for the password again")) }
            answered = true
            return .send(Request.authenticate(user: credentials.user, password: credentials.password))
        case .authChallenge: return .fail(CassandraError(.badCredentials, "the node asks for more than user and password"))
        case .error(let error): return .fail(error)
        default: return .fail(CassandraError(.protocolViolation, "the node answered the handshake with something else"))
        }
    }
}
