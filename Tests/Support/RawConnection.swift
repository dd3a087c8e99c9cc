import Glibc
import Threads

/// A TCP connection to loopback on which a test says exactly what it wants to.
public final class RawConnection {
    private let descriptor: Int32
    /// Everything that came and was not taken yet.
    public private(set) var received: [UInt8] = []
    /// Whether the other side closed or reset it.
    public private(set) var isClosed = false

    public init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard withLoopback(port, { connect(descriptor, $0, $1) }) == 0 else {
            defer { close(descriptor) }
            throw ThreadError(call: "connect to port \(port)", code: errno)
        }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    deinit { close(descriptor) }

    public var text: String { String(decoding: received, as: UTF8.self) }

    /// Sends as much as the other side takes; returns how many bytes that were.
    @discardableResult
    public func send(_ bytes: some Collection<UInt8>) -> Int {
        let bytes = Array(bytes)
        return max(Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)), 0)
    }

    @discardableResult
    public func send(_ text: String) -> Int { send(text.utf8) }

    /// Takes in what is there.
    public func poll() {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while !isClosed {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count > 0 {
                received += buffer[..<count]
            } else if count == 0 || errno != EAGAIN {
                isClosed = true
            } else {
                return
            }
        }
    }

    /// Waits until `marker` has come, and takes everything through it.
    public func read(through marker: String, within limit: Duration = .seconds(30), isolation: isolated (any Actor)? = #isolation) async throws -> String {
        let end = Array(marker.utf8)
        let range = try await eventually("\(marker.debugDescription) after \(text.debugDescription)", within: limit) {
            poll()
            return received.firstRange(of: end)
        }
        defer { received.removeSubrange(..<range.upperBound) }
        return String(decoding: received[..<range.upperBound], as: UTF8.self)
    }

    /// Waits until the other side has closed, and returns everything that came before.
    public func readToEnd(within limit: Duration = .seconds(30), isolation: isolated (any Actor)? = #isolation) async throws -> String {
        try await eventually("the end of the connection", within: limit) {
            poll()
            return isClosed
        }
        return text
    }

    /// No more will be sent.
    public func finish() { shutdown(descriptor, Int32(SHUT_WR)) }
}
