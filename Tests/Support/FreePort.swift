import Glibc
import Synchronization

private let taken = Mutex<Set<Int>>([])

/// A TCP port on loopback that nobody listens on, below the range from which the system takes ports for outgoing connections; each only once
/// for this process, and not for another test process of this machine while this one lives.
public func freePort() -> Int { freePorts([0]) }

/// The first of several ports that belong together, such as a cluster's: each that is `offsets` above it is free and kept as by ``freePort()``.
public func freePorts(_ offsets: [Int]) -> Int {
    while true {
        let first = Int.random(in: 20_000..<32_000)
        if offsets.allSatisfy({ take(first + $0) }) { return first }
    }
}

/// What is taken in vain is not given back: there are enough.
private func take(_ port: Int) -> Bool { taken.withLock { $0.insert(port).inserted } && reserve(port) && canListen(port) }

/// A name that only one process of this machine can have, until it ends: a socket without a file.
private func reserve(_ port: Int) -> Bool {
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    // A name that begins with a zero is none of the file system's.
    let name: [UInt8] = [0] + Array("cell-test-port-\(port)".utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    let size = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
    let isOurs = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 }
    }
    if !isOurs { close(descriptor) }
    return isOurs
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
