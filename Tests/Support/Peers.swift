import FoundationEssentials
import Glibc

/// The real Kafka and Cassandra for tests, started by scripts in the folder that CELL_PEERS names.
///
/// Use `.enabled(if: Peers.wanted)`: without CELL_PEERS a test is skipped on a laptop, and fails where CI is `true`.
public enum Peers {
    public static var wanted: Bool { folder != nil || environment("CI") == "true" }

    static var folder: String? { environment("CELL_PEERS") }

    /// A fresh Kafka of `brokers` (1 or 3) brokers on ports of its own.
    ///
    /// - Parameter path: a folder that comes first in its PATH; a `java` there can change the brokers' configuration.
    public static func kafka(brokers: Int = 1, path: String? = nil) async throws -> Peer {
        var variables = ["KAFKA_PORT": "\(freePorts((0..<brokers).flatMap { [$0, $0 + 10] }))"]
        if let path { variables["PATH"] = "\(path):\(environment("PATH") ?? "/usr/bin:/bin")" }
        return try await Peer("kafka", arguments: ["\(brokers)"], environment: variables)
    }

    /// A fresh Cassandra of `nodes` nodes. Only one can run on a machine at a time, so this waits for its turn.
    ///
    /// - Parameter path: a folder that comes first in its PATH; a `java` there can change the node's configuration.
    public static func cassandra(nodes: Int = 1, path: String? = nil) async throws -> Peer {
        var variables = ["CASSANDRA_PORT": "\(freePort())"]
        if let path { variables["PATH"] = "\(path):\(environment("PATH") ?? "/usr/bin:/bin")" }
        return try await Peer("cassandra", arguments: ["\(nodes)"], environment: variables, alone: true)
    }

    /// A Docker Engine of its own, without images; its `addresses` is its `DOCKER_HOST`. One at a time on a machine. Stop it: it outlives its reference.
    public static func docker() async throws -> Peer {
        try await Peer("docker", arguments: [], environment: [:], alone: true)
    }

    /// A real Kubernetes of one node that runs pods on the Docker Engine at `engine`; its `addresses` is the path of kubectl, and its kubeconfig
    /// (the user admin) is `kubeconfig` in its folder. One at a time on a machine. Stop it before its engine.
    public static func kubernetes(engine: String) async throws -> Peer {
        var variables = ["DOCKER_HOST": engine]
        for name in ["KUBE_PORT", "KUBE_ETCD_PORT", "KUBE_ETCD_PEER_PORT", "KUBE_CONTROLLER_PORT", "KUBE_SCHEDULER_PORT", "KUBELET_PORT"] {
            variables[name] = "\(freePort())"
        }
        return try await Peer("kubernetes", arguments: [], environment: variables, alone: true)
    }
}

public struct PeerError: Error, CustomStringConvertible {
    public var description: String
}

/// One real peer; it is stopped and its data removed when its last reference goes.
public final class Peer: Sendable {
    /// Where it listens: `127.0.0.1:19092[,…]`.
    public let addresses: String
    public let folder: TemporaryFolder
    private let scripts: String
    private let arguments: [String]
    private let variables: [String: String]
    private let turn: Turn?

    init(_ name: String, arguments: [String], environment: [String: String], alone: Bool = false) async throws {
        guard let peers = Peers.folder else {
            throw PeerError(description: "CELL_PEERS is not set. Set it to the folder with kafka/start and cassandra/start.")
        }
        turn = alone ? try await Turn(name) : nil
        scripts = "\(peers)/\(name)"
        folder = try TemporaryFolder(name)
        self.arguments = arguments
        variables = environment
        let outcome = try await Self.start(scripts, folder, arguments, environment)
        guard let line = outcome.output.split(separator: "\n").last, let equals = line.firstIndex(of: "="), outcome.exit == .code(0) else {
            throw PeerError(description: "\(scripts)/start: \(outcome.exit) \(outcome.output) \(outcome.errors)")
        }
        addresses = String(line[line.index(after: equals)...])
    }

    deinit {
        for number in 1...9 { signal(number, SIGKILL) }
    }

    /// Starts again those that were killed.
    public func start() async throws {
        let outcome = try await Self.start(scripts, folder, arguments, variables)
        guard outcome.exit == .code(0) else { throw PeerError(description: "\(scripts)/start: \(outcome.errors)") }
    }

    /// Ends all of it in peace.
    public func stop() async throws {
        _ = try await ChildProcess.run("\(scripts)/stop", [folder.path], environment: variables, within: .seconds(300))
        // A Docker Engine leaves this mounted, and the folder could not be removed.
        let mounted = folder.file("exec/netns/default")
        if FileManager.default.fileExists(atPath: mounted) { _ = try await ChildProcess.run("umount", [mounted]) }
    }

    /// Sends a signal to broker or node `number`, counted from 1.
    public func signal(_ number: Int, _ signal: Int32) {
        guard let pid = pid_t(text(ofFile: folder.file("\(number).pid")).filter(\.isNumber)), pid > 1 else { return }
        Glibc.kill(pid, signal)
    }

    private static func start(
        _ scripts: String, _ folder: TemporaryFolder, _ arguments: [String], _ variables: [String: String]
    ) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run("\(scripts)/start", [folder.path] + arguments, environment: variables, within: .seconds(400))
    }
}

/// A place in the queue for what can run only once on a machine: a lock on a file, shared by all test processes.
private final class Turn: Sendable {
    private let descriptor: Int32

    init(_ name: String) async throws {
        let descriptor = open("\(environment("TMPDIR") ?? "/tmp")/cell-tests-\(name).lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw PeerError(description: "no lock for \(name): \(String(cString: strerror(errno)))") }
        self.descriptor = descriptor
        try await eventually("our turn for \(name)", within: .seconds(900)) { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }
    }

    deinit { close(descriptor) }
}
