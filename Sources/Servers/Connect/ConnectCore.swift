import Cell

/// What the connect server answers. Pure.
enum ConnectAnswer: Equatable, Sendable {
    case go(Directory.Directions)
    /// The user is none: 400.
    case noUser(String)
    /// No valid token: 401.
    case noToken(String)
    /// The partition has no ready owner: 503, ask again.
    case notNow(String)

    /// - Parameter directory: nil before the first assignment.
    init(to caller: Result<UserID, CallerRefusal>, by directory: Directory?) {
        switch caller {
        case .failure(.noUser(let why)): self = .noUser(why)
        case .failure(.noToken(let why)): self = .noToken(why)
        case .success(let user):
            if let directions = directory?.directions(for: user) {
                self = .go(directions)
            } else {
                self = .notNow(directory == nil ? "the cell has assigned nothing yet" : "the partition of user \(user) has no owner at the moment")
            }
        }
    }

    var status: Int {
        switch self {
        case .go: 200
        case .noUser: 400
        case .noToken: 401
        case .notNow: 503
        }
    }

    var headers: [(name: String, value: String)] {
        switch self {
        case .go: [("Cache-Control", "no-store")]
        case .noUser: []
        case .noToken: [("WWW-Authenticate", "Bearer")]
        case .notNow: [("Retry-After", "1")]
        }
    }

    static let help = """
        This is the connect server of a chat cell. It tells a client where to go:

          GET /v1/connect   with Authorization: Bearer TOKEN; in a cell without authentication with X-User-Id: 42
          200 {"user":"42","partition":17,"messaging":"host:port","history":["host:port"],"tls":false,"log":"…","epoch":1764000000012}
          400 a user that is none; 401 no valid token; 503 with Retry-After while the partition has no ready owner

        """
}
