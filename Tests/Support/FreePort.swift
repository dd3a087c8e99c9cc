import Glibc
import Synchronization

private let taken = Mutex<Set<Int>>([])

/// A TCP port on loopback that nobody listens on, below the range from which the system takes ports for outgoing connections; each only once
/// for this process.
public func freePort() -> Int {
    while true {
        let port = Int.random(in: 20_000..<32_000)
        if taken.withLock({ $0.insert(port).inserted }), canListen(port) { return port }
    }
}

private func canListen(_ port: Int) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var reuse: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, 4)
    return withLoopback(port) { bind(descriptor, $0, $1) } == 0
}

/// Calls `body` with 127.0.0.1 and `port` as the system wants it.
func withLoopback<Result>(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
}
