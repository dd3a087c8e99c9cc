import CMicrohttpd
import Glibc
import Synchronization

/// One client of a feed: what it has not taken yet, and its connection, which sleeps while there is nothing.
final class EventOutlet: Sendable {
    private struct State {
        var pending: [UInt8] = []
        var isEnded = false
        var sleeper: Sleeper?
    }

    private let feed: EventFeed
    private let state = Mutex(State())

    init(_ feed: EventFeed, first: [ServerEvent]) {
        self.feed = feed
        // The comment makes the headers go out at once.
        state.withLock { $0.pending = Array((":\n\n" + first.map(\.text).joined()).utf8) }
        feed.add(self)
    }

    func write(_ bytes: [UInt8]) {
        let isTooSlow = state.withLock { state in
            guard state.pending.count + bytes.count <= feed.backlog else { return true }
            state.pending += bytes
            state.sleeper.take()?.wake()
            return false
        }
        if isTooSlow {
            feed.remove(self)
            end()
        }
    }

    func end() {
        state.withLock { state in
            state.isEnded = true
            state.sleeper.take()?.wake()
        }
    }

    /// The connection is gone.
    func forget() {
        feed.remove(self)
        state.withLock { $0.sleeper = nil }
    }

    /// Copies what fits into `buffer`; puts the connection to sleep when there is nothing. Called on the server's thread.
    func read(into buffer: UnsafeMutableRawBufferPointer, connection: Sleeper) -> Int {
        state.withLock { state in
            let count = min(buffer.count, state.pending.count)
            guard count > 0 else {
                if state.isEnded { return Int(MHD_CONTENT_READER_END_OF_STREAM) }
                state.sleeper = connection
                connection.sleep()
                return 0
            }
            buffer.copyBytes(from: state.pending.prefix(count))
            state.pending.removeFirst(count)
            return count
        }
    }
}

/// A connection that can be taken out of the server's loop and put back.
struct Sleeper: @unchecked Sendable {
    // Safe: libmicrohttpd lets any thread resume a suspended connection, and only the server's thread ends one, which first makes
    // whoever holds a sleeper let go of it.
    private let connection: OpaquePointer

    init(_ connection: OpaquePointer) { self.connection = connection }

    func sleep() { MHD_suspend_connection(connection) }
    func wake() { MHD_resume_connection(connection) }
}
