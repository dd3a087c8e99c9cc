import CLinux
import Cell
import Glibc
import Redis

/// What `cell-server` does from its start to its end.
public enum ServerMain {
    /// Runs the server that `arguments` describe, and ends the process when it has stopped.
    public static func run(_ arguments: [String], environment: [String: String], makers: [ServerKind: ServerCoreMaker]) -> Never {
        if arguments.contains("--help") || arguments.contains("-h") || arguments.first == "help" {
            print(ServerArguments.usage)
            exit(0)
        }
        if arguments.contains("--version") || arguments.first == "version" {
            print("cell-server \(Build.version)")
            exit(0)
        }
        if arguments.first == "ready", arguments.count == 2 { exit(ReadyFile.isReady(arguments[1]) ? 0 : 1) }
        let parsed: ServerArguments
        do {
            parsed = try ServerArguments.parse(arguments, environment: environment)
        } catch {
            ServerLog.standardError("cell-server: \(error.description). cell-server --help shows all.")
            exit(2)
        }
        blockSignals()
        let log = ServerLog(parsed.server.description)
        do {
            let shell = try ServerShell(parsed, makers: makers, log: log)
            Task(executorPreference: shell.thread) {
                let end = await shell.run()
                // Without the C libraries' own farewells: threads of theirs still run.
                _exit(end.rawValue)
            }
            waitForSignals(shell, log)
        } catch {
            log.error("cannot start: \(error)")
            exit(ServerShell.End.cannotRun.rawValue)
        }
    }

    private static let signals: [Int32] = [SIGTERM, SIGINT]

    /// Before any other thread begins, since threads inherit it. A terminal or a reader of the log that goes away does not take the server with it.
    private static func blockSignals() {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
        signal(SIGHUP, SIG_IGN)
    }

    private static func waitForSignals(_ shell: ServerShell, _ log: ServerLog) -> Never {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        var isAsked = false
        while true {
            var signal: Int32 = 0
            guard sigwait(&set, &signal) == 0 else { continue }
            if isAsked {
                log.warning("was asked twice: ends at once")
                _exit(ServerShell.End.cannotRun.rawValue)
            }
            isAsked = true
            shell.askToStop()
        }
    }
}

/// Its own, in its own namespace.
var processID: Int32 { getpid() }
