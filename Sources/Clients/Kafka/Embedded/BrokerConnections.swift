import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The embedded broker's socket: a thread for each connection, which answers one request after another, as Kafka does.
final class BrokerConnections: Sendable {
    private struct Open {
        var connections: Set<Int32> = []
        var isStopped = false
    }

    let port: UInt16
    private let requests: BrokerRequests
    private let listener: Int32
    private let open = Mutex(Open())
    private let accepting = DispatchSemaphore(value: 0)
    private static let request_bytes = 100 << 20

    /// Listens on 127.0.0.1.
    /// - Parameter port: 0 takes a free one.
    /// - Throws: `.portTaken`.
    init(port: UInt16, _ requests: BrokerRequests) throws(KafkaError) {
        self.requests = requests
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else {
            throw KafkaError(.other, "embedded broker has no socket: \(String(cString: strerror(errno)))", remedy: "Check the limit of open files (ulimit -n)")
        }
        var yes: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        address.sin_port = port.bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 128) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        guard isListening else {
            close(listener)
            throw KafkaError(.portTaken, "port \(port) of 127.0.0.1 is taken", remedy: KafkaError.Code.portTaken.remedy)
        }
        self.listener = listener
        self.port = UInt16(bigEndian: address.sin_port)
        startThread("kafka-accept") { [self] in accept() }
    }

    /// Closes every connection and the port. Call it once.
    func stop() {
        requests.close()
        open.withLock { open in
            open.isStopped = true
            for connection in open.connections { shutdown(connection, Int32(SHUT_RDWR)) }
        }
        shutdown(listener, Int32(SHUT_RDWR))
        accepting.wait()
        close(listener)
    }

    private func accept() {
        defer { accepting.signal() }
        while true {
            let connection = Glibc.accept(listener, nil, nil)
            if open.withLock({ $0.isStopped }) {
                if connection >= 0 { close(connection) }
                return
            }
            guard connection >= 0 else {
                // Without descriptors it waits for some; anything else passes by itself.
                usleep(10_000)
                continue
            }
            _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
            var yes: Int32 = 1
            setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
            open.withLock { _ = $0.connections.insert(connection) }
            startThread("kafka-broker") { [self] in
                serve(connection)
                open.withLock { _ = $0.connections.remove(connection) }
                close(connection)
            }
        }
    }

    private func serve(_ connection: Int32) {
        while !open.withLock({ $0.isStopped }) {
            guard let head = receive(4, from: connection) else { return }
            let size = head.reduce(0) { $0 << 8 | Int($1) }
            guard size <= Self.request_bytes, let request = receive(size, from: connection), let answer = requests.answer(request[...], port: port),
                send(answer, on: connection)
            else { return }
        }
    }

    /// So many bytes; nil when the connection is over.
    private func receive(_ count: Int, from connection: Int32) -> [UInt8]? {
        var filled = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
            while filled < count {
                let got = recv(connection, buffer.baseAddress! + filled, count - filled, 0)
                if got > 0 { filled += got } else if got == 0 || errno != EINTR { break }
            }
            used = filled
        }
        return filled == count ? bytes : nil
    }

    private func send(_ bytes: [UInt8], on connection: Int32) -> Bool {
        var sent = 0
        return bytes.withUnsafeBytes { buffer in
            while sent < buffer.count {
                let count = Glibc.send(connection, buffer.baseAddress! + sent, buffer.count - sent, Int32(MSG_NOSIGNAL))
                if count > 0 { sent += count } else if count == 0 || errno != EINTR { return false }
            }
            return true
        }
    }
}
