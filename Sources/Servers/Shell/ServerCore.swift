import Blackboard
import Cell
import Web

/// What a kind of server does, beneath the shell that every kind has: the shell holds the lease, reports, follows the assignment, serves health and metrics,
/// and hears SIGTERM.
///
/// `apply` is called from the shell's own thread, one call after the other, and must return at once. The lease waits for `readiness` and `contribute`, so ask there
/// whatever does the work (an event loop, say): when that hangs, the lease runs out and `/healthz` fails, and that is meant. They may be plain `func`s.
public protocol ServerCore: AnyObject, Sendable {
    /// Opens what it listens on and begins to work.
    ///
    /// - Throws: why it cannot yet, with what to do: told as not ready, and tried again a second later. What it opened before it threw is closed.
    func start() async throws

    /// A newer assignment; also called right after `start()` with the present one, once there is one. Its `log` is the log to read.
    func apply(_ assignment: Assignment)

    /// Newer settings; also called with the present ones right after `start()`.
    func apply(_ settings: Settings)

    /// Whether it does its work, or what it waits for. A server that was ready and is not any more keeps what it has and gets nothing new.
    var readiness: Readiness { get async }

    /// Fills in what only it knows: address, connections, maxConnections, messagesPerSecond, warm, left, positions, the log it
    /// reads, and epoch and term where it lags behind what was applied. Identity, state and generation are the shell's. Asked at every heartbeat.
    func contribute(to report: inout Report) async

    /// What `/statusz` shows under `core`; a struct of plain values.
    var details: any Encodable & Sendable { get async }

    /// Stops as its kind should: takes nothing new, lets its clients move or end, and returns when nothing is left. The assignment and the lease go on
    /// meanwhile. The shell gives up waiting after the cell's `moves.grace` and some seconds more.
    func stop() async
}

extension ServerCore {
    public func apply(_ assignment: Assignment) {}
    public func apply(_ settings: Settings) {}
    public func contribute(to report: inout Report) {}
    public var details: any Encodable & Sendable { [String: String]() }
}

/// Whether a server does its work.
public enum Readiness: Equatable, Sendable {
    case ready
    /// In words for people: `port 8080 is taken`.
    case waits(for: String)
}

/// Makes the core of one kind. It opens nothing yet; that is `ServerCore.start()`.
/// - Throws: what is wrong for good with the spec or the files it names, with what to do: told as not ready, and tried again with the next spec or a second later.
public typealias ServerCoreMaker = @Sendable (ServerContext) throws -> any ServerCore

/// What a core knows about itself and its surroundings, for its whole life.
public struct ServerContext: Sendable {
    public let server: ServerID
    public let incarnation: Incarnation
    public let zone: String
    public let spec: CellSpec
    /// Where it listens: an address of this machine, or `0.0.0.0`.
    public let bind: String
    /// The host by which other machines reach this one.
    public let host: String
    /// The port to listen on; 0: a free one.
    public let port: Int
    /// Another server listens there until this one does.
    public let sharesPort: Bool
    /// Descriptors this process may have.
    public let descriptors: Int
    public let log: ServerLog
    /// What `/metrics` shows: make counters and readings of your own, named `cell_KIND_…`.
    public let metrics: Metrics
    public let board: CellBlackboard
    let follower: AssignmentFollower
    let ring: @Sendable () -> Void

    /// The newest assignment and settings there are.
    public var known: AssignmentFollower.Known { follower.known }

    /// Reads the assignment again because somebody has seen `epoch`; returns after `apply(_:)` was called with what was found, or when Redis did not answer, about
    /// 2 s later at most.
    public func catchUp(to epoch: Epoch) async { await follower.catchUp(to: epoch) }

    /// Renews the lease now, because something changed that others wait for: readiness, warm or left partitions. From any thread, as often as you like.
    public func reportNow() { ring() }

    /// HOST:PORT as others write it, also for an IPv6 address.
    public func address(port: Int) -> String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }
}
