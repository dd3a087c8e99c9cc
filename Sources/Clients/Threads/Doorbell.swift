import CLinux
import Glibc

/// Wakes a thread that sleeps in `poll` or `epoll_wait`: an eventfd.
public final class Doorbell: Sendable {
    /// Readable from a ring until ``quiet()``.
    public let descriptor: Int32

    /// - Throws: ``ThreadError`` when no descriptor is left.
    public init() throws(ThreadError) {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else { throw ThreadError(call: "eventfd", code: errno) }
    }

    deinit { close(descriptor) }

    public func ring() {
        eventfd_write(descriptor, 1)
    }

    public func quiet() {
        var count: eventfd_t = 0
        eventfd_read(descriptor, &count)
    }
}
