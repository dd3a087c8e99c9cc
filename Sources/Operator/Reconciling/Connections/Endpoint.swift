import CLinux
import Glibc

/// Where a server listens, as the system's calls want it.
struct Endpoint: Sendable {
    private var storage = sockaddr_storage()
    private var length: socklen_t = 0

    /// Nil for what cannot be read or resolved.
    ///
    /// - Parameters:
    ///   - address: HOST:PORT.
    ///   - numericOnly: otherwise a name is looked up, which blocks.
    init?(_ address: String, numericOnly: Bool) {
        guard let colon = address.lastIndex(of: ":") else { return nil }
        let host = String(address[..<colon]).filter { $0 != "[" && $0 != "]" }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : 0)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(address[address.index(after: colon)...]), &hints, &found) == 0, let first = found?.pointee else { return nil }
        defer { freeaddrinfo(found) }
        length = first.ai_addrlen
        withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: first.ai_addr, count: Int(length))) }
    }

    /// A socket that connects or is connected; epoll tells. Nil, and `errno`, when it cannot even begin.
    func connect() -> Int32? {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(Int32(storage.ss_family), kind, 0)
        guard descriptor >= 0 else { return nil }
        let result = withUnsafeBytes(of: storage) { Glibc.connect(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length) }
        guard result != 0, errno != EINPROGRESS else { return descriptor }
        let code = errno
        close(descriptor)
        errno = code
        return nil
    }

    /// Whether the socket is connected to itself: the system may choose, for a port of its own choice where nobody listens, that same port.
    static func isItself(_ descriptor: Int32) -> Bool {
        func name(_ call: (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> Int32) -> [UInt8] {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            return withUnsafeMutableBytes(of: &storage) { bytes in
                guard call(descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length) == 0 else { return [] }
                return Array(bytes.prefix(Int(length)))
            }
        }
        let own = name(getsockname)
        return !own.isEmpty && own == name(getpeername)
    }

    /// Why it did not connect; 0 when it did.
    static func error(of descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno
    }
}
