import CLinux
import Glibc

/// One HTTP GET to another server, as short as can be.
enum HealthProbe {
    /// Whether `GET /healthz` at HOST:PORT is answered by 200 within `timeout_ms`. Blocks; not for a thread that others share.
    static func isHealthy(_ address: String, path: String = "/healthz", timeout_ms: Int32) -> Bool {
        guard let colon = address.lastIndex(of: ":") else { return false }
        let host = String(address[..<colon]).filter { $0 != "[" && $0 != "]" }
        guard let descriptor = connect(host, String(address[address.index(after: colon)...]), timeout_ms) else { return false }
        defer { close(descriptor) }
        let request = Array("GET \(path) HTTP/1.1\r\nHost: \(address)\r\nConnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count, wait(descriptor, POLLIN, timeout_ms) else { return false }
        var answer = [UInt8](repeating: 0, count: 64)
        let count = recv(descriptor, &answer, answer.count, 0)
        return count >= 12 && String(decoding: answer[8..<12], as: UTF8.self) == " 200"
    }

    private static func connect(_ host: String, _ port: String, _ timeout_ms: Int32) -> Int32? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, port, &hints, &found) == 0, let first = found else { return nil }
        defer { freeaddrinfo(found) }
        let descriptor = socket(first.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        let result = Glibc.connect(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen)
        var error: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard result == 0 || errno == EINPROGRESS, wait(descriptor, POLLOUT, timeout_ms), getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0,
            error == 0
        else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    private static func wait(_ descriptor: Int32, _ events: Int32, _ timeout_ms: Int32) -> Bool {
        var poll = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        return Glibc.poll(&poll, 1, timeout_ms) == 1
    }
}
