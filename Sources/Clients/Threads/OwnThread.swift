import CLinux
import Glibc

/// A thread for calls that block, which must never sit on Swift's own pool.
public enum OwnThread {
    /// Runs `body` on a new thread, which ends with it.
    ///
    /// - Parameter name: what `ps -L` shows; cut at 15 bytes.
    /// - Throws: ``ThreadError`` when the system has no thread to give.
    public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) {
        let code = create(Unmanaged.passRetained(Errand(name: name, body: body)))
        if code != 0 { throw ThreadError(call: "pthread_create", code: code) }
    }

    private static func create(_ errand: Unmanaged<Errand>) -> Int32 {
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, runErrand, errand.toOpaque())
        if code == 0 { pthread_detach(thread) } else { errand.release() }
        return code
    }
}

private final class Errand: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

private func runErrand(_ opaque: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let opaque else { return nil }
    let errand = Unmanaged<Errand>.fromOpaque(opaque).takeRetainedValue()
    _ = cell_set_thread_name(String(errand.name.prefix(15)))
    // C libraries write to sockets without MSG_NOSIGNAL; a peer that is gone must be an error and not the end of the process.
    var pipe = sigset_t()
    sigemptyset(&pipe)
    sigaddset(&pipe, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &pipe, nil)
    errand.body()
    return nil
}

/// The system refused a thread or a descriptor.
public struct ThreadError: Error, CustomStringConvertible {
    public var call: String
    /// The system's error number.
    public var code: Int32

    public init(call: String, code: Int32) {
        self.call = call
        self.code = code
    }

    public var description: String {
        "\(call): \(String(cString: strerror(code))). Raise the limits of threads and open files (ulimit -u, ulimit -n)."
    }
}
