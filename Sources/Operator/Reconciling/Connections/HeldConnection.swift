/// What to do about one connection that is only held to see it break. Pure: the shell connects, and says what came of it.
///
///     connect ──opened──▶ held ──broke──▶ connect at once ──refused──▶ tell ──▶ connect again later
///        ▲                                     │
///        └──────────── later ◀──failed─────────┘
///
/// The port of a process that runs, however slowly, takes connections: the kernel does that for it. So a refusal after a connection stood says that the
/// process is gone or has closed its port. A cut network and a lost machine give silence instead, which says nothing here.
struct HeldConnection: Equatable, Sendable {
    enum Event: Equatable, Sendable {
        case opened, broke
        /// Nobody listens there.
        case refused
        /// Out of time, no way there, no such name, no descriptor left.
        case failed
    }

    enum Action: Equatable, Sendable {
        case wait
        case connect(after: Duration)
        /// The port is shut; and connect again, since who refuses may be something in between.
        case tell(thenConnectAfter: Duration)
    }

    /// A connection that breaks sooner is no sign of a server that lets it stand.
    static let stands = Duration.milliseconds(500)
    static let again = Duration.seconds(1)
    private static let longest = Duration.seconds(5)

    private var isOpen = false
    /// What it was about to find out: without a connection that stood, a refusal may be of the wrong address.
    private var everOpened = false
    private var isTold = false
    private var openedAt = Moment(milliseconds: 0)
    /// In a row: breaks soon after opening, and other failures.
    private var flaws = 0

    mutating func take(_ event: Event, now: Moment) -> Action {
        switch event {
        case .opened:
            (isOpen, everOpened, isTold, openedAt) = (true, true, false, now)
            return .wait
        case .broke:
            isOpen = false
            flaws = now - openedAt >= Self.stands ? 0 : flaws + 1
            // A dying process may close its connections before its port: that one is then taken once more, and breaks at once.
            return .connect(after: flaws < 4 ? .zero : pause)
        case .refused:
            guard everOpened, !isTold else { return .connect(after: Self.again) }
            isTold = true
            return .tell(thenConnectAfter: Self.again)
        case .failed:
            flaws += 1
            return .connect(after: pause)
        }
    }

    private var pause: Duration { min(Self.longest, .milliseconds(250 << min(flaws, 5))) }
}
