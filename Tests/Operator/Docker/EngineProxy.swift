import Glibc
import Support
import Synchronization
import Threads

/// A proxy on loopback in front of a real Docker Engine's socket, for the faults that a real engine does not have on demand.
///
/// Each request has a connection of its own to the engine, so that a fault strikes exactly the requests that a rule names.
final class EngineProxy: Sendable {
    enum Fault: Sendable {
        /// The engine is not asked.
        case answer(status: Int, body: String)
        /// Nobody answers at all.
        case refuse
        /// The answer comes in pieces of so many bytes.
        case pieces(Int)
        /// The answer ends, as if it were whole, after so long.
        case end(after_ms: Int32)
        /// Nothing of the answer comes after its head.
        case silence
        /// The answer's head comes as late as this.
        case delay(ms: UInt32)
    }

    struct Request: Sendable {
        var method: String
        var path: String
        /// Counted from 1.
        var number: Int
    }

    let port: Int
    private let socket: String
    private let listener: Int32
    private let rule = Mutex<(@Sendable (Request) -> Fault?)?>(nil)
    private let asked = Mutex<[Request]>([])
    private let isClosed = Atomic(false)

    init(to socket: String) throws {
        self.socket = socket
        port = freePort()
        listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var reuse: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, 4)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard bound == 0, listen(listener, 128) == 0 else { throw ThreadError(call: "bind", code: errno) }
        try OwnThread.start("engine-proxy") { [weak self, listener] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0, let self, !self.isClosed.load(ordering: .relaxed) else { break }
                try? OwnThread.start("engine-request") { self.serve(client) }
            }
            Glibc.close(listener)
        }
    }

    /// Ends its thread.
    func close() {
        isClosed.store(true, ordering: .relaxed)
        shutdown(listener, Int32(SHUT_RDWR))
    }

    /// What goes wrong from now on; nil for nothing.
    func fail(_ rule: (@Sendable (Request) -> Fault?)?) { self.rule.withLock { $0 = rule } }

    /// The requests whose path contains `part`.
    func requests(_ part: String) -> [Request] { asked.withLock { $0.filter { $0.path.contains(part) } } }

    // MARK: One request

    private func serve(_ client: Int32) {
        defer { Glibc.close(client) }
        guard let (head, body) = Self.readRequest(client) else { return }
        let words = head.split(separator: " ", maxSplits: 2).map(String.init)
        guard words.count == 3 else { return }
        let request = asked.withLock { asked in
            asked.append(Request(method: words[0], path: words[1], number: asked.count + 1))
            return asked[asked.count - 1]
        }
        let fault = rule.withLock { $0 }?(request)
        switch fault {
        case .refuse: return
        case .answer(let status, let body): return Self.answer(client, status, body)
        case .delay(let ms): usleep(ms * 1_000)
        default: break
        }
        guard let engine = connected() else { return }
        defer { Glibc.close(engine) }
        // The engine closes after its answer, and says so.
        Self.write(engine, Array(head.replacing("\r\n\r\n", with: "\r\nConnection: close\r\n\r\n").utf8) + body)
        pump(engine, client, fault)
    }

    private func pump(_ engine: Int32, _ client: Int32, _ fault: Fault?) {
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        var limit: Int32 = -1
        if case .end(let after)? = fault { limit = after }
        var isHead = true
        while true {
            var watched = [pollfd(fd: engine, events: Int16(POLLIN), revents: 0), pollfd(fd: client, events: Int16(POLLIN), revents: 0)]
            guard poll(&watched, 2, limit) > 0 else {
                Self.write(client, Array("0\r\n\r\n".utf8))
                return
            }
            // The client went away, or says something that nobody asked it for.
            if watched[1].revents != 0 { return }
            let count = read(engine, &bytes, bytes.count)
            guard count > 0 else { return }
            if case .silence? = fault, !isHead { continue }
            isHead = false
            guard case .pieces(let size)? = fault else {
                Self.write(client, Array(bytes[..<count]))
                continue
            }
            for start in stride(from: 0, to: count, by: size) { Self.write(client, Array(bytes[start..<min(count, start + size)])) }
        }
    }

    private func connected() -> Int32? {
        let engine = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(socket.utf8.prefix($0.count - 1))) }
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(engine, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard isConnected == 0 else {
            Glibc.close(engine)
            return nil
        }
        return engine
    }

    private static func readRequest(_ client: Int32) -> (head: String, body: [UInt8])? {
        var all: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let text = String(decoding: all, as: UTF8.self)
            if let end = text.firstRange(of: "\r\n\r\n") {
                let head = String(text[..<end.upperBound])
                let lengths = head.lowercased().split(separator: "\r\n").filter { $0.hasPrefix("content-length:") }
                let length = lengths.first.flatMap { Int($0.dropFirst(15).filter(\.isNumber)) } ?? 0
                let body = Array(all[head.utf8.count...])
                if body.count >= length { return (head, body) }
            }
            let count = read(client, &part, part.count)
            guard count > 0 else { return nil }
            all += part[..<count]
        }
    }

    private static func answer(_ client: Int32, _ status: Int, _ body: String) {
        let head = "HTTP/1.1 \(status) Told\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
        write(client, Array((head + body).utf8))
    }

    private static func write(_ descriptor: Int32, _ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
