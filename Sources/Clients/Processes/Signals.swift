import Glibc
import Threads

/// SIGINT and SIGTERM as something to wait for, instead of the end of the process.
public enum Signals {
    /// Blocks both for the whole process; to be called in `main` before any thread starts.
    public static func block() {
        var set = terminating
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// The signals as they come; for one reader, after `block()`.
    ///
    /// - Throws: when the system has no thread to give.
    public static func stream() throws(ThreadError) -> AsyncStream<Int32> {
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        try OwnThread.start("signals") {
            while true {
                var set = terminating
                var signal: Int32 = 0
                if sigwait(&set, &signal) == 0, case .terminated = continuation.yield(signal) { return }
            }
        }
        return stream
    }

    private static var terminating: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGTERM)
        return set
    }
}
