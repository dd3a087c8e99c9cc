import CLinux
import Glibc
import Synchronization
import Threads

/// A program that a test runs. Its output goes to files; it is killed when the last reference goes, and when the tests themselves die.
public final class ChildProcess: Sendable {
    public enum Exit: Sendable, Equatable {
        case code(Int32)
        case signal(Int32)
    }

    public let pid: pid_t
    private let folder: TemporaryFolder
    private let ending: Ending

    /// Starts `executable`, looked up in PATH.
    ///
    /// - Parameters:
    ///   - environment: added to the tests' own; an empty value removes nothing.
    ///   - input: what it reads from standard input.
    ///   - directory: where it runs; the tests' own when nil.
    public init(
        _ executable: String, _ arguments: [String] = [], environment: [String: String] = [:], input: String = "", in directory: String? = nil
    ) throws {
        folder = try TemporaryFolder("child")
        try folder.write(input, to: "in")
        // env sets directory and variables, one of which lets Python write its stacks when it is aborted; setpriv lets the kernel kill the child when the tests die.
        let variables = environment.merging(["PYTHONFAULTHANDLER": "1"]) { given, _ in given }
        let line =
            ["env"] + (directory.map { ["--chdir=\($0)"] } ?? []) + variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            + ["setpriv", "--pdeathsig", "KILL", executable] + arguments
        pid = try Spawner.shared.spawn(line, input: folder.file("in"), output: folder.file("out"), errors: folder.file("err"))
        let ending = Ending(pid)
        self.ending = ending
        try OwnThread.start("child") { ending.reap() }
    }

    deinit { ending.signal(SIGKILL) }

    /// What it wrote to standard output until now.
    public var output: String { text(ofFile: folder.file("out")) }
    /// What it wrote to standard error until now.
    public var errors: String { text(ofFile: folder.file("err")) }

    /// How it ended; nil while it runs.
    public var exit: Exit? { ending.exit }
    public var isRunning: Bool { exit == nil }

    /// Whether a signal has stopped it, so that it does nothing until another lets it go on.
    public var isStopped: Bool {
        // The field after the name, which stands in brackets and may have any character.
        text(ofFile: "/proc/\(pid)/stat").split(separator: ")").last?.split(separator: " ").first == "T"
    }

    /// Does nothing when it has ended.
    public func signal(_ signal: Int32) { ending.signal(signal) }

    public func waitForExit(within limit: Duration = .seconds(30)) async throws -> Exit {
        try await eventually("the end of process \(pid)", within: limit) { exit }
    }

    /// Asks it to stop (SIGTERM), kills it after `grace`, and returns how it ended.
    @discardableResult
    public func stop(grace: Duration = .seconds(30)) async throws -> Exit {
        signal(SIGTERM)
        if let exit = try? await waitForExit(within: grace) { return exit }
        return try await kill()
    }

    @discardableResult
    public func kill() async throws -> Exit {
        signal(SIGKILL)
        return try await waitForExit()
    }

    public struct Outcome: Sendable {
        public var exit: Exit
        public var output: String
        public var errors: String
    }

    /// Runs a program to its end.
    ///
    /// - Throws: ``NeverHappened`` after `limit`, with what it wrote; one in Python then writes where each of its threads stands.
    public static func run(
        _ executable: String, _ arguments: [String] = [], environment: [String: String] = [:], input: String = "", in directory: String? = nil,
        within limit: Duration = .seconds(120)
    ) async throws -> Outcome {
        let child = try ChildProcess(executable, arguments, environment: environment, input: input, in: directory)
        do {
            let exit = try await child.waitForExit(within: limit)
            return Outcome(exit: exit, output: child.output, errors: child.errors)
        } catch var late as NeverHappened {
            child.signal(SIGABRT)
            // What it writes when it is aborted is wanted; one that does not even end then is killed with `child`, and its stacks are missing.
            var note = ""
            do { _ = try await child.waitForExit(within: .seconds(5)) } catch { note = " (it does not end when it is aborted: \(error))" }
            late.last = "\(executable) \(arguments.joined(separator: " ")) wrote\(note): \(child.output.suffix(2_000))\n\(child.errors.suffix(4_000))"
            throw late
        }
    }
}

/// How a process ended. A signal is sent only while the process id is still its own.
private final class Ending: Sendable {
    private let pid: pid_t
    private let state = Mutex<ChildProcess.Exit?>(nil)

    init(_ pid: pid_t) { self.pid = pid }

    var exit: ChildProcess.Exit? { state.withLock { $0 } }

    func signal(_ signal: Int32) {
        state.withLock { if $0 == nil { Glibc.kill(pid, signal) } }
    }

    /// Blocks until the process has ended.
    func reap() {
        var info = siginfo_t()
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) == -1, errno == EINTR {}
        state.withLock { exit in
            var status: Int32 = 0
            waitpid(pid, &status, 0)
            exit = status & 0x7F == 0 ? .code(status >> 8 & 0xFF) : .signal(status & 0x7F)
        }
    }
}
