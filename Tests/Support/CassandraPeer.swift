import Glibc
import Synchronization

/// One real Cassandra node for all tests of a run, since only one can run on a machine at a time.
///
/// A test takes it `shared`, or `exclusive` when it breaks it: then nobody else uses it meanwhile.
public final class CassandraPeer: Sendable {
    public let port: Int
    private let peer: Peer
    private static let gate = Gate()
    private static let running = Mutex<CassandraPeer?>(nil)

    public static func shared<T>(_ body: (CassandraPeer) async throws -> T) async throws -> T {
        try await gate.enter(exclusive: false)
        defer { gate.leave(exclusive: false) }
        return try await body(try await gate.once(up))
    }

    public static func exclusive<T>(_ body: (CassandraPeer) async throws -> T) async throws -> T {
        try await gate.enter(exclusive: true)
        defer { gate.leave(exclusive: true) }
        return try await body(try await gate.once(up))
    }

    @Sendable private static func up() async throws -> CassandraPeer {
        let peer = CassandraPeer(try await Peers.cassandra())
        running.withLock { $0 = peer }
        // With its last reference the node ends and its folder goes.
        atexit {
            CassandraPeer.gate.empty()
            CassandraPeer.running.withLock { $0 = nil }
        }
        return peer
    }

    private init(_ peer: Peer) {
        self.peer = peer
        port = peer.addresses.split(separator: ":").last.flatMap { Int($0) } ?? 0
    }

    /// Sends a signal to the node; after SIGKILL it is gone when this returns, and `start` brings it back.
    public func signal(_ number: Int32) async throws {
        let file = peer.folder.file("1.pid")
        let pid = text(ofFile: file).filter(\.isNumber)
        peer.signal(1, number)
        guard number == SIGKILL else { return }
        // A dead process may stay in the table for a while; the field after its name says so.
        try await eventually("the node's end", within: .seconds(60)) {
            let line = text(ofFile: "/proc/\(pid)/stat")
            return line.isEmpty || line.split(separator: ")").last?.split(separator: " ").first == "Z"
        }
        unlink(file)
    }

    public func start() async throws { try await peer.start() }
}

/// Many at once, or one alone; and one builder.
private final class Gate: Sendable {
    private struct State {
        var readers = 0
        var writer = false
        var building: Task<CassandraPeer, any Error>?
    }
    private let state = Mutex(State())

    func enter(exclusive: Bool) async throws {
        try await eventually("a turn with Cassandra", within: .seconds(900)) {
            state.withLock { state in
                if state.writer || exclusive && state.readers > 0 { return false }
                if exclusive { state.writer = true } else { state.readers += 1 }
                return true
            }
        }
    }

    func leave(exclusive: Bool) {
        state.withLock { state in
            if exclusive { state.writer = false } else { state.readers -= 1 }
        }
    }

    func once(_ build: @escaping @Sendable () async throws -> CassandraPeer) async throws -> CassandraPeer {
        let task = state.withLock { state in
            let task = state.building ?? Task { try await build() }
            state.building = task
            return task
        }
        return try await task.value
    }

    func empty() { state.withLock { $0.building = nil } }
}
