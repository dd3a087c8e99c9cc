import FoundationEssentials
import Glibc

/// One life of a process: its id and when it began, so that an id that the system has given to another is never taken for it.
public struct ProcessIdentity: Hashable, Codable, Sendable {
    public let pid: pid_t
    /// Clock ticks since the system's start (field 22 of `/proc/PID/stat`).
    public let start: UInt64

    /// Nil when no process has this id, or only a dead one that nobody has waited for.
    public init?(of pid: pid_t) {
        guard pid > 1, let stat = Self.read("/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else { return nil }
        // The name before it may hold anything; the state is the first field after it.
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X", let start = UInt64(fields[19]) else { return nil }
        self.pid = pid
        self.start = start
    }

    public var isAlive: Bool { ProcessIdentity(of: pid) == self }

    /// Signals the process; one that is gone is left alone.
    public func signal(_ signal: Int32) {
        if isAlive { kill(pid, signal) }
    }

    /// Signals its whole process group, which it must lead.
    public func signalGroup(_ signal: Int32) {
        if isAlive { kill(-pid, signal) }
    }

    /// The command line with which it was started; empty when it is gone or another user's.
    public static func commandLine(of pid: pid_t) -> [String] {
        (read("/proc/\(pid)/cmdline") ?? "").split(separator: "\0").map(String.init)
    }

    private static func read(_ path: String) -> String? {
        guard let descriptor = fopen(path, "r") else { return nil }
        defer { fclose(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = fread(&bytes, 1, bytes.count, descriptor)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
