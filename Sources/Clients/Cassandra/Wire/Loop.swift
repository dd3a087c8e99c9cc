import CLinux
import Glibc
import Synchronization
import Threads

/// One thread that waits for sockets, timers and work handed to it.
///
/// `@unchecked Sendable`: everything but `inbox` is touched on the loop's own thread only.
final class Loop: @unchecked Sendable {
    typealias Work = @Sendable () -> Void
    protocol Watcher: AnyObject {
        func ready(_ events: UInt32)
    }

    private struct Timer {
        var at: ContinuousClock.Instant
        var number: UInt64
        var work: Work
    }
    private struct Inbox {
        var work: [Work] = []
        var closed = false
    }

    private let poller: Int32
    private let bell: Doorbell
    private let inbox = Mutex(Inbox())
    private var watchers: [UInt64: any Watcher] = [:]
    private var timers: [Timer] = []
    private var settled: [Work] = []
    private var lastNumber: UInt64 = 0
    private var running = true
    /// Where sockets are read into: one buffer for all.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    init(name: String) throws(ThreadError) {
        bell = try Doorbell()
        poller = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poller >= 0 else { throw ThreadError(call: "epoll_create1", code: errno) }
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: 0))
        epoll_ctl(poller, EPOLL_CTL_ADD, bell.descriptor, &event)
        try OwnThread.start(name) { self.run() }
    }

    deinit {
        buffer.deallocate()
        Glibc.close(poller)
    }

    /// Has `work` done on the loop's thread. False when the loop has stopped: then it is never done.
    @discardableResult
    func post(_ work: @escaping Work) -> Bool {
        let (accepted, first) = inbox.withLock { inbox in
            guard !inbox.closed else { return (false, false) }
            inbox.work.append(work)
            return (true, inbox.work.count == 1)
        }
        if first { bell.ring() }
        return accepted
    }

    // The rest is called on the loop's thread.

    func stop() { running = false }

    /// Does `work` once, not before `delay` has passed.
    func after(_ delay: Duration, _ work: @escaping Work) {
        lastNumber += 1
        timers.append(Timer(at: .now + delay, number: lastNumber, work: work))
    }

    /// Does `work` when everything that is ready now has been handled: writes are gathered by it.
    func whenSettled(_ work: @escaping Work) { settled.append(work) }

    func watch(_ socket: Int32, _ events: UInt32, _ watcher: any Watcher) -> UInt64 {
        lastNumber += 1
        watchers[lastNumber] = watcher
        var event = epoll_event(events: events, data: epoll_data_t(u64: lastNumber))
        epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event)
        return lastNumber
    }

    func change(_ socket: Int32, _ events: UInt32, _ token: UInt64) {
        var event = epoll_event(events: events, data: epoll_data_t(u64: token))
        epoll_ctl(poller, EPOLL_CTL_MOD, socket, &event)
    }

    func forget(_ socket: Int32, _ token: UInt64) {
        watchers[token] = nil
        epoll_ctl(poller, EPOLL_CTL_DEL, socket, nil)
    }

    private func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while running {
            let count = epoll_wait(poller, &events, 64, timeout())
            for event in events.prefix(Int(max(count, 0))) {
                // By token, not by socket: a socket closed a moment ago may have its number again.
                if event.data.u64 == 0 { bell.quiet() } else { watchers[event.data.u64]?.ready(event.events) }
            }
            doInbox()
            fireTimers()
            while !settled.isEmpty {
                let work = settled
                settled = []
                for item in work { item() }
            }
        }
        inbox.withLock { $0.closed = true }
        doInbox()
        watchers = [:]
        timers = []
        settled = []
    }

    private func doInbox() {
        let work = inbox.withLock { inbox in
            defer { inbox.work = [] }
            return inbox.work
        }
        for item in work { item() }
    }

    private func timeout() -> Int32 {
        guard let first = timers.map(\.at).min() else { return -1 }
        let (seconds, attoseconds) = (first - .now).components
        return Int32(clamping: max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1))
    }

    private func fireTimers() {
        let now = ContinuousClock.now
        guard timers.contains(where: { $0.at <= now }) else { return }
        let due = timers.filter { $0.at <= now }.sorted { ($0.at, $0.number) < ($1.at, $1.number) }
        timers.removeAll { $0.at <= now }
        for timer in due { timer.work() }
    }
}
