import CLinux
import Glibc
import Synchronization
import Threads

/// Holds one connection to each server's port, and tells when one breaks and the port refuses another. One thread, whoever asks; nothing is ever sent.
final class ConnectionWatch: Sendable {
    private let wishes: ConnectionWishes

    /// - Throws: when the system has no thread or descriptor left.
    init() throws(ThreadError) {
        let wishes = try ConnectionWishes()
        self.wishes = wishes
        let names = try WorkThread("names")
        let poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poll >= 0 else { throw ThreadError(call: "epoll_create1", code: errno) }
        try OwnThread.start("connections") { ConnectionLoop(wishes, names, poll: poll).run() }
    }

    deinit { wishes.end() }

    /// Holds connections to these servers, HOST:PORT by life, and for this `holder` to no others.
    ///
    /// - Parameter tell: called on the watching thread, with the server whose port is shut.
    func hold(_ addresses: [ServerLife: String], for holder: ObjectIdentifier, tell: @escaping @Sendable (ServerLife) -> Void) {
        let targets = addresses.filter { !$0.value.isEmpty }.map { ConnectionTarget(holder: holder, life: $0.key, address: $0.value) }
        wishes.put(targets.isEmpty ? nil : (Set(targets), tell), for: holder)
    }
}

/// One connection that somebody wants held.
struct ConnectionTarget: Hashable, Sendable {
    var holder: ObjectIdentifier
    var life: ServerLife
    /// HOST:PORT.
    var address: String
}

/// What the watching thread is asked for.
final class ConnectionWishes: Sendable {
    typealias Wish = (targets: Set<ConnectionTarget>, tell: @Sendable (ServerLife) -> Void)

    private struct State {
        var wishes: [ObjectIdentifier: Wish] = [:]
        var isNew = false
        var found: [(target: ConnectionTarget, endpoint: Endpoint?)] = []
        var isOver = false
    }

    enum News {
        case over
        /// Nil: as before.
        case wishes([ObjectIdentifier: Wish]?, found: [(target: ConnectionTarget, endpoint: Endpoint?)])
    }

    let bell: Doorbell
    private let state = Mutex(State())

    init() throws(ThreadError) { bell = try Doorbell() }

    func put(_ wish: Wish?, for holder: ObjectIdentifier) {
        state.withLock {
            $0.wishes[holder] = wish
            $0.isNew = true
        }
        bell.ring()
    }

    /// A name was looked up.
    func put(_ target: ConnectionTarget, _ endpoint: Endpoint?) {
        state.withLock { $0.found.append((target, endpoint)) }
        bell.ring()
    }

    func end() {
        state.withLock { $0.isOver = true }
        bell.ring()
    }

    func take() -> News {
        bell.quiet()
        return state.withLock { state in
            if state.isOver { return .over }
            defer {
                state.isNew = false
                state.found = []
            }
            return .wishes(state.isNew ? state.wishes : nil, found: state.found)
        }
    }
}
