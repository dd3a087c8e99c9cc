import Cell
import FoundationEssentials
import Glibc
import Processes
import Redis
import Threads
import Web

/// What `cell-operator` was started with.
public struct OperatorArguments: Equatable, Sendable {
    public var redis: RedisAddress
    public var cells: Set<CellName> = []
    public var state = "cell-state"
    public var host = "127.0.0.1"
    public var port = 0
    public var name: String
    /// Of the Cell objects that it serves; nil for none.
    public var namespace: String?

    public static let usage = """
        cell-operator [--redis URL] [--cell NAME]… [--namespace NAME] [--state DIR] [--http HOST:PORT] [--name ID]

        Keeps cells as their specs say: starts and stops their servers, decides who owns which partition, and puts standbys in the place of the dead.
        Several operators may run; one leads each cell. SIGTERM gives up the lead and ends it; the servers go on.

          --redis URL        redis://[user:password@]host:port; else the environment's CELL_REDIS, else 127.0.0.1:6379.
                             A password is better in CELL_REDIS than in arguments, which everyone on the machine can read
          --cell NAME        serves this cell alone; several are several --cell. Else all that Redis knows
          --namespace NAME   serves the Cell objects of this namespace of Kubernetes, too: by KUBECONFIG, else as the pod that it is
          --state DIR        remembers there what Redis may forget; else cell-state
          --http HOST:PORT   /healthz, /readyz, /metrics, /statusz; else 127.0.0.1 and a free port
          --name ID          how it names itself; else HOST-PID

        Exit codes: 0 stopped as asked, 1 cannot run here, 2 wrong arguments.
        """

    public struct Problem: Error, Equatable, CustomStringConvertible {
        public var description: String
    }

    public static func parse(_ arguments: [String], environment: [String: String], name: String) throws(Problem) -> OperatorArguments {
        var redis = environment["CELL_REDIS"].flatMap { $0.isEmpty ? nil : $0 } ?? "127.0.0.1:6379"
        var result = OperatorArguments(redis: RedisAddress(host: "127.0.0.1", port: 6379), name: name)
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard ["--redis", "--cell", "--namespace", "--state", "--http", "--name"].contains(parts[0]) else {
                throw Problem(description: "\(argument) is not understood: write --redis, --cell, --namespace, --state, --http or --name")
            }
            guard let value = parts.count == 2 ? parts[1] : rest.popFirst(), !value.isEmpty else { throw Problem(description: "\(parts[0]) has no value") }
            switch parts[0] {
            case "--redis": redis = value
            case "--state": result.state = value
            case "--namespace": result.namespace = value
            case "--name": result.name = value
            case "--cell":
                guard let cell = CellName(value) else {
                    throw Problem(description: "--cell \(value) is no cell's name: a-z, 0-9 and inner hyphens, at most 40")
                }
                result.cells.insert(cell)
            default: (result.host, result.port) = try endpoint(value)
            }
        }
        do { result.redis = try RedisAddress(parsing: redis) } catch { throw Problem(description: "--redis: \(error)") }
        return result
    }

    private static func endpoint(_ text: String) throws(Problem) -> (String, Int) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port), colon > text.startIndex
        else {
            throw Problem(description: "--http \(text) is no HOST:PORT, like 127.0.0.1:9000")
        }
        return (String(text[..<colon]), port)
    }
}

/// The program `cell-operator`.
public enum OperatorMain {
    /// - Returns: the exit code.
    public static func run(_ arguments: [String], environment: [String: String]) async -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            print(OperatorArguments.usage)
            return 0
        }
        let log = OperatorLog()
        do {
            let parsed = try OperatorArguments.parse(arguments, environment: environment, name: "\(hostName())-\(getpid())")
            try await serve(parsed, log)
            return 0
        } catch let problem as OperatorArguments.Problem {
            log.error("\(problem)")
            return 2
        } catch {
            log.error("\(error)")
            return 1
        }
    }

    private static func serve(_ arguments: OperatorArguments, _ log: OperatorLog) async throws {
        let signals = try Signals.stream()
        try Files.makeFolder(arguments.state)
        // One connection to each server.
        _ = Descriptors.raiseLimit()
        let redis = try RedisClient(arguments.redis, options: RedisOptions(commandTimeout: .seconds(1)))
        let metrics = OperatorMetrics()
        let context = try OperatorContext(name: arguments.name, redis: redis, folder: StateFolder(arguments.state), log: log, metrics: metrics)
        let web = try WebServer(host: arguments.host, port: arguments.port, routes: OperatorPages(context).routes)
        let objects = try arguments.namespace.map {
            try CellObjects(namespace: $0, only: arguments.cells, context, environment: ProcessInfo.processInfo.environment)
        }
        log.info("operator \(arguments.name): Redis \(arguments.redis), health and metrics on http://\(web.host):\(web.port)")
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await CellsKeeper(context, only: arguments.cells).run() } catch { log.error("\(error)") }
            }
            if let objects {
                group.addTask { await objects.run() }
            }
            group.addTask {
                for await signal in signals {
                    log.info("signal \(signal): gives up the lead and ends; the servers go on")
                    return
                }
            }
            await group.next()
            group.cancelAll()
        }
        await web.stop(grace: .seconds(1))
        redis.close()
    }

    private static func hostName() -> String {
        var bytes = [CChar](repeating: 0, count: 256)
        gethostname(&bytes, bytes.count - 1)
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
