import CLinux
import Glibc

/// Of this process.
public enum Descriptors {
    /// Raises the limit of open files to the most that this process may have.
    ///
    /// - Returns: the limit from now on.
    public static func raiseLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(RLIMIT_NOFILE.resource, &limit) == 0 else { return 1_024 }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(RLIMIT_NOFILE.resource, &limit)
        guard getrlimit(RLIMIT_NOFILE.resource, &limit) == 0 else { return 1_024 }
        return Int(clamping: limit.rlim_cur)
    }
}

extension __rlimit_resource {
    fileprivate var resource: __rlimit_resource_t { __rlimit_resource_t(rawValue) }
}
