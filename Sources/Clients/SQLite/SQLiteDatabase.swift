import Glibc
import Threads

/// A database file with a connection and a thread of its own: SQLite's calls block, so they never run on Swift's pool.
public final class SQLiteDatabase: Sendable {
    public let path: String
    private let queue: WorkQueue

    /// Opens or makes `path`; a file that cannot be opened fails here. Throws `SQLiteError` or `ThreadError`.
    public init(path: String, busyTimeout: Duration = .seconds(5)) async throws {
        self.path = path
        let queue = WorkQueue()
        self.queue = queue
        try await withCheckedThrowingContinuation { (opened: CheckedContinuation<Void, any Error>) in
            do {
                try OwnThread.start("sqlite") {
                    let connection = Result { () throws(SQLiteError) in try SQLiteConnection(path: path, busyTimeout: busyTimeout) }
                    opened.resume(with: connection.map { _ in }.mapError { $0 as any Error })
                    if case .success(let connection) = connection { queue.serve(connection) }
                }
            } catch {
                opened.resume(throwing: error)
            }
        }
    }

    deinit { queue.close() }

    /// Does `body` with the connection, on its thread, after what was asked for before. Throws what it throws; `closed` after `close`.
    public func perform<T: Sendable>(_ body: @escaping @Sendable (SQLiteConnection) throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            let accepted = queue.add { connection in continuation.resume(with: Result { try body(connection) }) }
            if !accepted { continuation.resume(throwing: SQLiteError(.closed, path: path, "the database was closed")) }
        }
    }

    /// Closes the file once everything that was asked for is done.
    public func close() { queue.close() }
}

/// Work for one thread, in order.
///
/// `@unchecked Sendable`: `work` and `closed` are touched under `mutex` only.
private final class WorkQueue: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var work: [@Sendable (SQLiteConnection) -> Void] = []
    private var closed = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(changed)
        mutex.deallocate()
        changed.deallocate()
    }

    /// False when closed.
    func add(_ item: @escaping @Sendable (SQLiteConnection) -> Void) -> Bool {
        locked {
            guard !closed else { return false }
            work.append(item)
            pthread_cond_signal(changed)
            return true
        }
    }

    func close() {
        locked {
            closed = true
            pthread_cond_signal(changed)
        }
    }

    /// Does the work until the queue is closed and empty.
    func serve(_ connection: SQLiteConnection) {
        while true {
            let batch = locked {
                while work.isEmpty, !closed { pthread_cond_wait(changed, mutex) }
                defer { work = [] }
                return work
            }
            if batch.isEmpty { return }
            for item in batch { item(connection) }
        }
    }

    private func locked<T>(_ body: () -> T) -> T {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}
