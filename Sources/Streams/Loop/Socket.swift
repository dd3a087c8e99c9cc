import CLinux
import Glibc

/// Socket addresses and sockets.
enum Socket {
    /// A resolved address.
    struct Address: Sendable {
        var storage = sockaddr_storage()
        var length: socklen_t = 0
        var family: Int32 { Int32(storage.ss_family) }

        func with<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
            withUnsafeBytes(of: storage) { body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length) }
        }

        var port: UInt16 {
            withUnsafeBytes(of: storage) { $0.bigEndian16(at: 2) }
        }

        /// `host:port`, IPv6 in brackets.
        var text: String {
            var name = [CChar](repeating: 0, count: 64)
            _ = with { getnameinfo($0, $1, &name, 64, nil, 0, Int32(NI_NUMERICHOST)) }
            let host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return family == AF_INET6 ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    /// Looks a host up; blocks unless it is numeric.
    /// - Throws: `unresolved`.
    static func resolve(_ host: String, _ port: UInt16, numericOnly: Bool = false, toListen: Bool = false) throws(StreamError) -> Address {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : 0) | (toListen ? AI_PASSIVE : 0)
        var list: UnsafeMutablePointer<addrinfo>?
        let failed = getaddrinfo(host, String(port), &hints, &list)
        guard failed == 0, let found = list else {
            throw StreamError(
                .unresolved, "\(host) has no address: \(String(cString: gai_strerror(failed)))", remedy: "Check the name, and that it can be resolved here.")
        }
        defer { freeaddrinfo(list) }
        var address = Address()
        address.length = found.pointee.ai_addrlen
        withUnsafeMutableBytes(of: &address.storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: found.pointee.ai_addr, count: Int(address.length))) }
        return address
    }

    /// Whether the peer has closed or reset the connection.
    static func hasLeft(_ descriptor: Int32) -> Bool {
        // POLLRDHUP has EPOLLRDHUP's value, and is hidden behind _GNU_SOURCE.
        var watched = pollfd(fd: descriptor, events: Int16(EPOLLRDHUP.rawValue), revents: 0)
        return poll(&watched, 1, 0) > 0
    }

    /// A listening socket and its port. Accepted sockets inherit its options.
    /// - Throws: `addressTaken`, `unresolved`, `system`.
    static func listen(host: String, port: UInt16) throws(StreamError) -> (Int32, UInt16) {
        let address = try resolve(host, port, toListen: true)
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .system("a socket for \(host)", errno) }
        set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        // The kernel hands a connection over when its first bytes are there: the peer speaks first, in HTTP/2 and in TLS.
        set(descriptor, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, 5)
        let bound = address.with { bind(descriptor, $0, $1) } == 0 && Glibc.listen(descriptor, 4096) == 0
        guard bound else {
            let number = errno
            close(descriptor)
            if number == EADDRINUSE {
                throw StreamError(.addressTaken, "\(host):\(port) is taken by another process", remedy: "Stop it, or choose another port (0: any free one).")
            }
            throw .system("listening on \(host):\(port)", number)
        }
        return (descriptor, local(descriptor).port)
    }

    /// A socket that is connecting; epoll tells when it is connected.
    static func connect(_ address: Address) throws(StreamError) -> Int32 {
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .system("a socket for \(address.text)", errno) }
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        let result = address.with { Glibc.connect(descriptor, $0, $1) }
        guard result == 0 || errno == EINPROGRESS else {
            let number = errno
            close(descriptor)
            throw .connecting(number)
        }
        return descriptor
    }

    static func local(_ descriptor: Int32) -> Address { address { getsockname(descriptor, $0, $1) } }
    static func peer(_ descriptor: Int32) -> Address { address { getpeername(descriptor, $0, $1) } }

    private static func address(_ call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32) -> Address {
        var address = Address()
        address.length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var length = address.length
        _ = withUnsafeMutableBytes(of: &address.storage) { call($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length) }
        address.length = length
        return address
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}

extension Channel {
    var peerAddress: String { Socket.peer(descriptor).text }
}
