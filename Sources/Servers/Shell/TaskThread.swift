import Glibc
import Synchronization
import Threads

/// A thread of its own on which tasks run, so that nothing that fills Swift's own pool can hold them up: leases are renewed here.
///
///     Task(executorPreference: thread) { … }
final class TaskThread: TaskExecutor {
    private struct Timer {
        var at: ContinuousClock.Instant
        var fire: @Sendable () -> Void
    }

    private struct Work {
        var jobs: [UnownedJob] = []
        var timers: [Timer] = []
        var lastTurn = ContinuousClock.now
    }

    private let work = Mutex(Work())
    private let bell: Doorbell
    /// The thread turns at least this often, so that one that hangs is noticed.
    private static let turn = Duration.milliseconds(250)

    /// The thread lasts as long as the process.
    init(_ name: String) throws(ThreadError) {
        bell = try Doorbell()
        try OwnThread.start(name) { [self] in run() }
    }

    /// How long ago the thread last was free: more than a second means that something hangs on it.
    var stillFor: Duration { .now - work.withLock { $0.lastTurn } }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        work.withLock { $0.jobs.append(job) }
        bell.ring()
    }

    /// Calls `fire` on the thread at `time`, or soon after.
    func at(_ time: ContinuousClock.Instant, _ fire: @escaping @Sendable () -> Void) {
        work.withLock { $0.timers.append(Timer(at: time, fire: fire)) }
        bell.ring()
    }

    /// `Task.sleep` would wake on Swift's own pool.
    func sleep(for duration: Duration) async {
        await withCheckedContinuation { sleeper in at(.now + duration) { sleeper.resume() } }
    }

    private func run() {
        while true {
            let (jobs, due, next) = work.withLock { work in
                let now = ContinuousClock.now
                work.lastTurn = now
                let due = work.timers.filter { $0.at <= now }
                work.timers.removeAll { $0.at <= now }
                defer { work.jobs = [] }
                return (work.jobs, due, work.timers.map(\.at).min())
            }
            for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
            for timer in due { timer.fire() }
            if jobs.isEmpty, due.isEmpty { wait(until: next) }
        }
    }

    private func wait(until next: ContinuousClock.Instant?) {
        let left = min(next.map { max(.zero, $0 - .now) } ?? Self.turn, Self.turn)
        var watched = pollfd(fd: bell.descriptor, events: Int16(POLLIN), revents: 0)
        // Rounded up, so that it does not turn in vain just before the time.
        poll(&watched, 1, Int32(left.components.attoseconds / 1_000_000_000_000_000) + 1)
        if watched.revents != 0 { bell.quiet() }
    }
}

extension ContinuousClock.Instant {
    static func - (end: Self, start: Self) -> Duration { start.duration(to: end) }
}
