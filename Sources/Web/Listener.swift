import CLinux
import Glibc

/// Who may listen on a port beside others of the same user. Of those that do, each new connection goes to one.
public enum PortSharing: Sendable {
    case none
    /// Nobody listens there yet; others may come.
    case offers
    /// Somebody listens there who offers it.
    case joins
}

/// A socket that listens for HTTP.
enum Listener {
    /// - Parameters:
    ///   - host: a name or address of this machine; `0.0.0.0` and `::` mean all.
    ///   - port: 0 takes a free one.
    /// - Returns: the socket, which the caller closes, and the port it got.
    static func open(host: String, port: Int, sharing: PortSharing = .none) throws(WebError) -> (descriptor: Int32, port: Int) {
        let address = "\(host.contains(":") ? "[\(host)]" : host):\(port)"
        guard (0...65535).contains(port) else { throw WebError(code: .badAddress, address: address, problem: "the port is not from 0 to 65535") }
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, "\(port)", &hints, &found)
        guard code == 0, let first = found?.pointee else {
            throw WebError(code: .badAddress, address: address, problem: String(cString: gai_strerror(code)))
        }
        defer { freeaddrinfo(found) }
        // Who offers a port would otherwise join whoever offers it already.
        if sharing == .offers { close(try bound(first, address, shared: false)) }
        let descriptor = try bound(first, address, shared: sharing != .none)
        guard listen(descriptor, 512) == 0 else {
            let error = failure(address)
            close(descriptor)
            throw error
        }
        return (descriptor, boundPort(of: descriptor))
    }

    private static func bound(_ place: addrinfo, _ address: String, shared: Bool) throws(WebError) -> Int32 {
        let descriptor = socket(place.ai_family, place.ai_socktype | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), place.ai_protocol)
        guard descriptor >= 0 else { throw failure(address) }
        var yes: Int32 = 1
        // Without it a server that starts again soon would find its port taken by the connections of the last one.
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        if shared { setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &yes, socklen_t(MemoryLayout<Int32>.size)) }
        guard bind(descriptor, place.ai_addr, place.ai_addrlen) == 0 else {
            let error = failure(address)
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private static func failure(_ address: String) -> WebError {
        let code: WebError.Code =
            switch errno {
            case EADDRINUSE: .portTaken
            case EADDRNOTAVAIL, EACCES: .badAddress
            default: .system
            }
        return WebError(code: code, address: address, problem: String(cString: strerror(errno)))
    }

    private static func boundPort(of descriptor: Int32) -> Int {
        var address = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            // The port stands at the same place in both families' addresses.
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(descriptor, $0, &length) }
            return Int(UInt16(bigEndian: pointer.pointee.sin6_port))
        }
    }
}
