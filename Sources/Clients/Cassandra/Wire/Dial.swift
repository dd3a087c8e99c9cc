import CLinux
import Glibc

/// Addresses, and sockets that connect without blocking.
enum Dial {
    /// An address as the kernel takes it.
    struct Address: Sendable {
        var bytes: [UInt8]
        var family: Int32
    }

    /// The addresses of `endpoint`. Blocks while a name is looked up, unless `numericOnly`.
    static func addresses(of endpoint: Endpoint, numericOnly: Bool) throws(CassandraError) -> [Address] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : 0)
        var list: UnsafeMutablePointer<addrinfo>?
        let failed = getaddrinfo(endpoint.host, String(endpoint.port), &hints, &list)
        guard failed == 0 else {
            throw CassandraError(.noNode, node: endpoint.description, "the name is not known: \(String(cString: gai_strerror(failed)))")
        }
        defer { freeaddrinfo(list) }
        return sequence(first: list) { $0?.pointee.ai_next }.prefix { $0 != nil }.compactMap { entry in
            guard let info = entry?.pointee, let address = info.ai_addr else { return nil }
            let raw = UnsafeRawBufferPointer(start: address, count: Int(info.ai_addrlen))
            return Address(bytes: Array(raw), family: info.ai_family)
        }
    }

    /// A socket that is connecting to `address`; it is writable when that has succeeded or failed.
    static func socket(to address: Address, _ endpoint: Endpoint) throws(CassandraError) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let socket = Glibc.socket(address.family, kind, 0)
        guard socket >= 0 else { throw failure(errno, endpoint) }
        var on: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        let result = address.bytes.withUnsafeBytes { raw -> Int32 in
            guard let base = raw.baseAddress else { return -1 }
            return connect(socket, base.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
        guard result == 0 || errno == EINPROGRESS else {
            let code = errno
            Glibc.close(socket)
            throw failure(code, endpoint)
        }
        return socket
    }

    /// Why a socket did not connect; nil when it did.
    static func problem(of socket: Int32, _ endpoint: Endpoint) -> CassandraError? {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size)
        return code == 0 ? nil : failure(code, endpoint)
    }

    private static func failure(_ code: Int32, _ endpoint: Endpoint) -> CassandraError {
        CassandraError(.noNode, node: endpoint.description, "cannot connect: \(String(cString: strerror(code)))")
    }
}
