import Cell

/// A server as its driver sees it.
public struct RunningServer: Equatable, Sendable {
    public enum State: Equatable, Sendable {
        case running
        /// Asked to stop, not gone yet.
        case stopping
        /// Gone, and why.
        case exited(at: Moment, reason: String)
    }

    public var life: ServerLife
    public var state: State
    /// When its process began to run; while it is on its way, when it was made.
    public var started: Moment
    /// It is made, and nothing of it runs yet: a node is sought, an image fetched, a kubelet busy.
    public var isOnItsWay = false
    public var zone: String
    /// The port it was told to take, for connect servers.
    public var port: UInt16?
    /// It was asked to stop or was killed by us.
    public var asked = false
    /// The template it was started as; empty when its driver does not know: then no rollout touches it.
    public var template = ""
    public var pid: Int32?
    public var container: String?
    public var pod: String?
    /// What it waits for to run, or to be gone, as far as its driver knows: for people, to be read after "it waits for".
    public var waitsFor = ""

    public init(
        _ life: ServerLife, state: State = .running, started: Moment, zone: String = "", port: UInt16? = nil, pid: Int32? = nil, template: String = ""
    ) {
        self.template = template
        self.life = life
        self.state = state
        self.started = started
        self.zone = zone
        self.port = port
        self.pid = pid
    }

    public var isGone: Bool {
        if case .exited = state { true } else { false }
    }
}
