import Cell
import Streams
import TLS

/// How a client shows who it is.
public enum Credentials: Sendable {
    /// In a cell without authentication.
    case user(UserID)
    case token(String)

    /// As gRPC metadata, and as HTTP headers.
    public var metadata: [(String, String)] {
        switch self {
        case .user(let user): [("x-user-id", user.description)]
        case .token(let token): [("authorization", "Bearer \(token)")]
        }
    }
}

/// One device of one user: it keeps itself served as `contract/chat.proto` says, wherever its partition goes. On its loop's thread only.
public final class Device {
    public private(set) var machine: DeviceMachine
    public let credentials: Credentials
    private let loop: EventLoop
    private let connectServer: any ConnectService
    private let clock: ContinuousClock.Instant
    private let tell: (Device, DeviceAction) -> Void
    private var lines: [StreamKey: Line] = [:]
    private(set) var security: Security
    private var isStopped = false

    /// - Parameters:
    ///   - tls: whom to trust where the cell speaks TLS, as the connect server says; the system's authorities when nil.
    ///   - clock: the beginning of the run; times are counted from it.
    ///   - tell: what happens, as it happens: `deliver`, `acknowledged`, `refused`, `gap`, `opened`, `moved`, `ended`, and each `send`.
    public init(
        _ state: DeviceState, credentials: Credentials, seed: UInt64, on loop: EventLoop, connect: any ConnectService, tls: TLSContext? = nil,
        since clock: ContinuousClock.Instant, tell: @escaping (Device, DeviceAction) -> Void
    ) {
        machine = DeviceMachine(state, seed: seed)
        self.credentials = credentials
        self.loop = loop
        connectServer = connect
        self.clock = clock
        security = Security(trusts: tls)
        self.tell = tell
    }

    public var now: Duration { .now - clock }

    public func start() { perform(machine.start(at: now)) }

    public func submit(_ token: Int, to receiver: UserID, body: [UInt8]) {
        perform(machine.submit(token, to: receiver, body: body, at: now))
    }

    public func filled(_ gap: HistoryGap, through: Int64) { machine.filled(gap, through: through) }

    /// To be called some ten times a second.
    public func tick() {
        guard !isStopped else { return }
        perform(machine.tick(at: now))
    }

    /// Closes its streams; nothing is told any more.
    public func stop() {
        isStopped = true
        for line in lines.values { line.close() }
        lines = [:]
    }

    // MARK: Doing what the machine says

    private func perform(_ actions: [DeviceAction]) {
        for action in actions {
            switch action {
            case .askConnect(let wait): later(wait) { $0.ask() }
            case .open(let key, let address, let open, let wait): begin(key, at: address, open, after: wait)
            case .send(let key, let send):
                lines[key]?.send(.send(send))
                tell(self, action)
            case .drop(let key): lines.removeValue(forKey: key)?.close()
            default: tell(self, action)
            }
        }
    }

    private func later(_ wait: Duration, _ work: @escaping (Device) -> Void) {
        guard wait > .zero else { return work(self) }
        _ = loop.schedule(after: wait) { [weak self] in
            if let self, !self.isStopped { work(self) }
        }
    }

    private func ask() {
        connectServer.ask(as: credentials, on: loop) { [weak self] answer in
            guard let self, !self.isStopped else { return }
            switch answer {
            case .success(let answer):
                self.security.isOn = answer.tls
                self.perform(self.machine.connected(to: answer.messaging, epoch: answer.epoch, at: self.now))
            case .failure: self.perform(self.machine.connectFailed(at: self.now))
            }
        }
    }

    private func begin(_ key: StreamKey, at address: String, _ open: Open, after wait: Duration) {
        let line = Line(to: address, credentials, security, on: loop) { [weak self] event in
            guard let self, !self.isStopped, self.lines[key] != nil else { return }
            switch event {
            case .frame(let frame): self.perform(self.machine.received(frame, on: key, at: self.now))
            case .over(let status):
                self.lines.removeValue(forKey: key)?.close()
                self.perform(self.machine.lost(key, code: status.code.rawValue, detail: status.message, at: self.now))
            }
        }
        lines[key] = line
        later(wait) { device in
            // It may have been dropped while it waited.
            if device.lines[key] === line { line.connect(saying: .open(open)) }
        }
    }
}
