import CLinux
import Glibc
import Synchronization

/// One epoll thread. Everything of a connection and of its streams happens on its loop's thread.
///
/// A tick: wait, read what is readable, run what other threads sent, fire timers, tell services what ended, call the tick hooks, and
/// write once for each connection that has something to say.
public final class EventLoop: @unchecked Sendable {
    // Why @unchecked: `mailbox`, `thread` and `stopping` are synchronised; everything else belongs to the loop's thread, or to whoever
    // sets the loop up before `start`.
    public let name: String
    let epoll: Int32
    let state = LoopState()
    private let waker: Waker
    private let mailbox = Mutex<[@Sendable () -> Void]>([])
    private let thread = Atomic<UInt>(0)
    private let stopping = Atomic<Bool>(false)
    private let handle = Mutex<pthread_t?>(nil)
    private var hooks: [() -> Void] = []

    /// - Throws: `system` when the process has no descriptors left.
    public init(name: String) throws(StreamError) {
        self.name = name
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw .system("epoll_create1 of loop \(name)", errno) }
        let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else {
            close(epoll)
            throw .system("eventfd of loop \(name)", errno)
        }
        waker = Waker(descriptor: descriptor)
        watch(waker)
    }

    deinit {
        close(waker.descriptor)
        close(epoll)
    }

    /// Starts the thread. Call it once.
    public func start() {
        var id = pthread_t()
        let failed = pthread_create(
            &id, nil,
            { context in
                let loop = Unmanaged<EventLoop>.fromOpaque(context!).takeRetainedValue()
                loop.run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(failed == 0, "loop \(name) has no thread: \(failed)")
        handle.withLock { $0 = id }
    }

    /// Ends every connection and the thread, and waits for it. Not from the loop's own thread. A second call does nothing.
    public func stop() {
        precondition(!isCurrent, "EventLoop.stop called on its own thread")
        guard let id = handle.withLock({ $0.take() }) else { return }
        stopping.store(true, ordering: .releasing)
        waker.wake()
        pthread_join(id, nil)
    }

    /// Runs `work` on the loop's thread, in the order of the calls; from any thread. What is sent to a stopped loop never runs.
    public func execute(_ work: @escaping @Sendable () -> Void) {
        let first = mailbox.withLock { mail in
            mail.append(work)
            return mail.count == 1
        }
        if first { waker.wake() }
    }

    /// Runs `work` on the loop's thread when `duration` has passed. Loop thread only.
    public func schedule(after duration: Duration, _ work: @escaping () -> Void) -> TimerID {
        state.timers.schedule(at: .now() + duration, work)
    }

    /// Forgets a timer; one that fired or was cancelled is nothing. Loop thread only.
    public func cancel(_ timer: TimerID) {
        state.timers.cancel(timer)
    }

    /// Memory of all that its connections have not finished: incomplete frames, unsent rests, backlogs. Loop thread only.
    public var queuedBytes: Int { state.pool.usedBytes }

    /// Whether the caller runs on the loop's thread.
    public var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    /// Whether the thread was started and not yet stopped.
    public var isRunning: Bool { handle.withLock { $0 != nil } }

    /// Calls `work` at the end of every tick, after the services were told what ended and before connections are written.
    /// On the loop's thread, or before `start`.
    public func onTick(_ work: @escaping () -> Void) {
        precondition(isCurrent || !isRunning, "EventLoop.onTick called beside the loop's thread")
        hooks.append(work)
    }

    /// Reports the events of `pollable` from now on; whoever holds it calls `forget` before closing its descriptor.
    /// - Returns: false when the system has no room for it.
    @discardableResult
    func watch(_ pollable: Pollable) -> Bool {
        var event = epoll_event()
        event.events = pollable.interest
        event.data.ptr = Unmanaged.passUnretained(pollable).toOpaque()
        pollable.epoll = epoll
        return epoll_ctl(epoll, EPOLL_CTL_ADD, pollable.descriptor, &event) == 0
    }

    // MARK: the thread

    private func run() {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        name.prefix(15).withCString { _ = cell_set_thread_name($0) }
        var events = [epoll_event](repeating: epoll_event(), count: 512)
        while !stopping.load(ordering: .acquiring) {
            tick(&events)
        }
        state.now = .now()
        runMail()
        state.closeAll(.stopped)
        settle()
        thread.store(0, ordering: .relaxed)
    }

    private func tick(_ events: inout [epoll_event]) {
        let count = epoll_wait(epoll, &events, Int32(events.count), timeout())
        state.waits += 1
        state.now = .now()
        for index in 0..<max(0, Int(count)) {
            let event = events[index]
            Unmanaged<Pollable>.fromOpaque(event.data.ptr).takeUnretainedValue().ready(event.events)
        }
        for channel in state.takeUnfinished() { channel.readMore() }
        runMail()
        while let work = state.timers.popDue(state.now) { work() }
        settle()
    }

    /// Tells services what ended, lets hooks speak, writes; again while writing ends more.
    private func settle() {
        var rounds = 0
        repeat {
            state.reportEnds()
            for hook in hooks { hook() }
            state.reportEnds()
            state.flush()
            rounds += 1
        } while state.hasEnds && rounds < 8
        state.endTick()
    }

    private func runMail() {
        guard waker.isAwake else { return }
        waker.sleep()
        let mail = mailbox.withLock { mail in
            let taken = mail
            mail.removeAll(keepingCapacity: taken.count <= 1024)
            return taken
        }
        for work in mail { work() }
    }

    /// Milliseconds until something is due, rounded up; -1: until an event comes.
    private func timeout() -> Int32 {
        if state.hasWork { return 0 }
        guard let next = state.timers.next() else { return -1 }
        let wait = (next.nanoseconds - Moment.now().nanoseconds + 999_999) / 1_000_000
        return Int32(clamping: max(0, min(wait, 60_000)))
    }
}

/// Something with a descriptor that epoll reports.
class Pollable {
    let descriptor: Int32
    /// Where it is watched.
    final var epoll: Int32 = -1
    /// The events asked for: edge-triggered, so that no call changes them later.
    var interest: UInt32 { EPOLLIN.rawValue | EPOLLET.rawValue }

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    func ready(_ events: UInt32) {}

    /// Closes the descriptor. It leaves epoll first: a child process that is just being started holds a copy, and epoll would go on
    /// reporting an object that is gone.
    final func closeDescriptor() {
        var unused = epoll_event()
        if epoll >= 0 { epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &unused) }
        close(descriptor)
    }
}

/// The eventfd that other threads ring.
final class Waker: Pollable {
    private(set) var isAwake = false

    func wake() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    /// Edge-triggered: nothing needs to be read, every ring is a new edge.
    override func ready(_ events: UInt32) { isAwake = true }
    func sleep() { isAwake = false }
}

extension StreamError {
    static func system(_ what: String, _ number: Int32) -> StreamError {
        StreamError(
            .system, "\(what) failed: \(String(cString: strerror(number)))",
            remedy: number == EMFILE ? "Raise the limit of open files (ulimit -n)." : "")
    }
}
