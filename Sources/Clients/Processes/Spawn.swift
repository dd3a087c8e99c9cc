import CLinux
import Glibc

/// Starts a program that goes on when its starter ends: in a session of its own, with standard input from nowhere.
public struct Spawn: Sendable {
    public var executable: String
    public var arguments: [String]
    /// Added to the starter's own.
    public var environment: [String: String]
    /// Appended to: standard output and standard error.
    public var output: String

    public init(_ executable: String, _ arguments: [String], environment: [String: String] = [:], output: String) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.output = output
    }

    /// - Returns: the process's id; it leads its own session and group. The caller waits for it.
    /// - Throws: with the system's reason: no such file, no permission, no memory.
    public func start() throws(SpawnError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // Sockets of the starter are none of the child's business, and would stay open with it.
        cell_spawn_close_from(&actions, 3)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | Self.newSession))

        var pid: pid_t = 0
        let code = withCStrings([executable] + arguments) { argv in
            withCStrings(variables) { posix_spawnp(&pid, executable, &actions, &attributes, argv, $0) }
        }
        guard code == 0 else { throw SpawnError(executable: executable, code: code) }
        return pid
    }

    /// POSIX_SPAWN_SETSID, which glibc declares for GNU's own programs alone.
    private static let newSession: Int32 = 0x80

    private var variables: [String] {
        var all: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { all[String(parts[0])] = String(parts[1]) }
            entry += 1
        }
        return all.merging(environment) { $1 }.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }
}

public struct SpawnError: Error, Sendable, CustomStringConvertible {
    public let executable: String
    /// The system's error number.
    public let code: Int32

    public init(executable: String, code: Int32) {
        self.executable = executable
        self.code = code
    }

    public var description: String { "\(executable) cannot be started: \(String(cString: strerror(code)))" }
}

private func withCStrings<Result>(_ texts: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = texts.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
}
