import CLinux
import Glibc
import Threads

/// The watching thread's own: sockets, and when to try again. Decides nothing.
final class ConnectionLoop {
    private struct Held {
        var state = HeldConnection()
        var endpoint: Endpoint?
        var descriptor: Int32 = -1
        var isOpen = false
    }

    /// One that listens takes a connection sooner, unless the network is cut.
    private static let patience = Duration.seconds(3)

    private let wishes: ConnectionWishes
    private let names: WorkThread
    private let poll: Int32
    private let clock = OperatorClock()
    private var tells: [ObjectIdentifier: @Sendable (ServerLife) -> Void] = [:]
    private var held: [ConnectionTarget: Held] = [:]
    private var targets: [Int32: ConnectionTarget] = [:]
    /// When to connect, or to give up connecting.
    private var due: [ConnectionTarget: Moment] = [:]

    init(_ wishes: ConnectionWishes, _ names: WorkThread, poll: Int32) {
        self.wishes = wishes
        self.names = names
        self.poll = poll
    }

    deinit {
        for descriptor in targets.keys { close(descriptor) }
        close(poll)
    }

    /// Until nobody wants it any more.
    func run() {
        var bell = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(fd: wishes.bell.descriptor))
        guard epoll_ctl(poll, EPOLL_CTL_ADD, wishes.bell.descriptor, &bell) == 0 else { return }
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        while takeWishes() {
            connectDue()
            let wait = due.values.min().map { Int32(clamping: max(0, ($0 - clock.now).milliseconds)) } ?? -1
            let count = epoll_wait(poll, &events, 256, wait)
            for index in 0..<max(0, Int(count)) where events[index].data.fd != wishes.bell.descriptor {
                if let target = targets[events[index].data.fd] { look(target, events[index].events) }
            }
        }
    }

    // MARK: What is wanted

    private func takeWishes() -> Bool {
        guard case .wishes(let wanted, let found) = wishes.take() else { return false }
        if let wanted {
            tells = wanted.mapValues(\.tell)
            let all = wanted.values.reduce(into: Set()) { $0.formUnion($1.targets) }
            for target in held.keys where !all.contains(target) {
                drop(target)
                held[target] = nil
                due[target] = nil
            }
            for target in all where held[target] == nil {
                held[target] = Held(endpoint: Endpoint(target.address, numericOnly: true))
                due[target] = clock.now
            }
        }
        for (target, endpoint) in found where held[target] != nil {
            held[target]?.endpoint = endpoint
            if endpoint == nil { happened(.failed, to: target) } else { connect(target) }
        }
        return true
    }

    // MARK: Connecting

    private func connectDue() {
        let now = clock.now
        for (target, _) in due.filter({ $0.value <= now }) {
            // It was connecting, and its time is over.
            if held[target]?.descriptor ?? -1 >= 0 { happened(.failed, to: target) } else { connect(target) }
        }
    }

    private func connect(_ target: ConnectionTarget) {
        due[target] = nil
        guard let endpoint = held[target]?.endpoint else {
            return names.post { [wishes] in wishes.put(target, Endpoint(target.address, numericOnly: false)) }
        }
        guard let descriptor = endpoint.connect() else { return happened(errno == ECONNREFUSED ? .refused : .failed, to: target) }
        var event = epoll_event(events: EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue, data: epoll_data_t(fd: descriptor))
        guard epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            close(descriptor)
            return happened(.failed, to: target)
        }
        held[target]?.descriptor = descriptor
        targets[descriptor] = target
        due[target] = clock.now + Self.patience
    }

    private func look(_ target: ConnectionTarget, _ events: UInt32) {
        guard let entry = held[target], entry.descriptor >= 0 else { return }
        if !entry.isOpen {
            let error = Endpoint.error(of: entry.descriptor)
            if error != 0 { return happened(error == ECONNREFUSED ? .refused : .failed, to: target) }
            guard events & EPOLLOUT.rawValue != 0 else { return }
            if Endpoint.isItself(entry.descriptor) { return happened(.refused, to: target) }
            held[target]?.isOpen = true
            due[target] = nil
            happened(.opened, to: target)
        }
        if isBroken(entry.descriptor) { happened(.broke, to: target) }
    }

    /// Takes what there is; nobody has anything to say here.
    private func isBroken(_ descriptor: Int32) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 512)
        while true {
            let count = recv(descriptor, &bytes, bytes.count, 0)
            if count > 0 || (count < 0 && errno == EINTR) { continue }
            return count == 0 || errno != EAGAIN
        }
    }

    private func happened(_ event: HeldConnection.Event, to target: ConnectionTarget) {
        if event != .opened { drop(target) }
        let now = clock.now
        switch held[target]?.state.take(event, now: now) {
        case .connect(after: .zero): connect(target)
        case .connect(let pause): retry(target, at: now + pause)
        case .tell(let pause):
            tells[target.holder]?(target.life)
            retry(target, at: now + pause)
        case .wait, nil: break
        }
    }

    private func retry(_ target: ConnectionTarget, at moment: Moment) {
        due[target] = moment
        // A name may lead elsewhere by then.
        if Endpoint(target.address, numericOnly: true) == nil { held[target]?.endpoint = nil }
    }

    private func drop(_ target: ConnectionTarget) {
        guard let descriptor = held[target]?.descriptor, descriptor >= 0 else { return }
        targets[descriptor] = nil
        held[target]?.descriptor = -1
        held[target]?.isOpen = false
        epoll_ctl(poll, EPOLL_CTL_DEL, descriptor, nil)
        close(descriptor)
    }
}
