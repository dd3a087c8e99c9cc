import CLinux
import Glibc
import Processes
import Synchronization
import Threads

/// How a process ended.
public enum ProcessEnd: Equatable, Sendable, CustomStringConvertible {
    case code(Int32)
    case signal(Int32)
    /// It was not our child, so the system told nobody.
    case unknown

    public var description: String {
        switch self {
        case .code(let code): "it exited with code \(code)"
        case .signal(let signal): "signal \(signal) (\(String(cString: strsignal(signal)))) ended it"
        case .unknown: "it ended"
        }
    }
}

/// Notices at once when processes end, children or not: one thread waits on their descriptors (pidfd).
final class ExitWatch: Sendable {
    static let shared = ExitWatch()

    private struct Watched {
        var pid: pid_t
        var then: @Sendable (ProcessEnd) -> Void
    }

    private struct State {
        var watched: [Int32: Watched] = [:]
        var poll: Int32 = -1
    }

    private let state = Mutex(State())

    /// Calls `then` once, on the watching thread, when the process has ended; at once when it has.
    ///
    /// - Parameter process: nil for a child that nobody has waited for, whose id cannot be another's.
    /// - Throws: when the system has no descriptor or thread left.
    func watch(_ pid: pid_t, as process: ProcessIdentity?, then: @escaping @Sendable (ProcessEnd) -> Void) throws(ThreadError) {
        let descriptor = cell_pidfd_open(pid)
        guard descriptor >= 0 else {
            guard errno == ESRCH else { throw ThreadError(call: "pidfd_open", code: errno) }
            return then(Self.reap(pid))
        }
        // Between its start and this descriptor the id may have passed to another process.
        if let process, ProcessIdentity(of: pid) != process {
            close(descriptor)
            return then(.unknown)
        }
        try open()
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(fd: descriptor))
        let code = state.withLock { state in
            state.watched[descriptor] = Watched(pid: pid, then: then)
            return epoll_ctl(state.poll, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : errno
        }
        guard code == 0 else {
            state.withLock { _ = $0.watched.removeValue(forKey: descriptor) }
            close(descriptor)
            throw ThreadError(call: "epoll_ctl", code: code)
        }
    }

    private func open() throws(ThreadError) {
        let opened: Result<Int32?, ThreadError> = state.withLock { state in
            guard state.poll < 0 else { return .success(nil) }
            let poll = epoll_create1(Int32(EPOLL_CLOEXEC))
            guard poll >= 0 else { return .failure(ThreadError(call: "epoll_create1", code: errno)) }
            state.poll = poll
            return .success(poll)
        }
        guard let poll = try opened.get() else { return }
        try OwnThread.start("exits") { [self] in wait(on: poll) }
    }

    private func wait(on poll: Int32) {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(poll, &events, 64, -1)
            for index in 0..<max(0, Int(count)) {
                let descriptor = events[index].data.fd
                guard let watched = state.withLock({ $0.watched.removeValue(forKey: descriptor) }) else { continue }
                // A child that is being started holds a copy of every descriptor for a moment: closing alone would leave this one in the
                // set, and its event would then be taken for that of the next process under the same number.
                epoll_ctl(poll, EPOLL_CTL_DEL, descriptor, nil)
                let end = Self.reap(watched.pid)
                close(descriptor)
                watched.then(end)
            }
        }
    }

    /// Whatever a child left of its group goes with it; until it is waited for, its id and its group's are its own.
    private static func reap(_ pid: pid_t) -> ProcessEnd {
        var info = siginfo_t()
        if waitid(P_PID, id_t(pid), &info, Int32(WEXITED | WNOHANG | WNOWAIT)) == 0, info.si_signo != 0 { kill(-pid, SIGKILL) }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return .unknown }
        let signal = status & 0x7f
        return signal == 0 ? .code((status >> 8) & 0xff) : .signal(signal)
    }
}
