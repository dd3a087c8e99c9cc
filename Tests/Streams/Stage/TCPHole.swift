import Glibc
@testable import Streams
import Synchronization

/// A proxy for one connection at a time that can stop passing anything on, while both sockets stay open.
final class TCPHole: Sendable {
    let port: UInt16
    private let listener: Int32
    private let swallowing = Atomic<Bool>(false)

    init(to target: UInt16) throws {
        (listener, port) = try Socket.listen(host: "127.0.0.1", port: 0)
        let hole = Unmanaged.passRetained(Run(listener: listener, target: target, hole: self))
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { context in
                Unmanaged<Run>.fromOpaque(context!).takeRetainedValue().loop()
                return nil
            }, hole.toOpaque())
        pthread_detach(thread)
    }

    /// From now on whatever comes is thrown away.
    func swallow() { swallowing.store(true, ordering: .relaxed) }

    private final class Run {
        let listener: Int32
        let target: UInt16
        weak var hole: TCPHole?

        init(listener: Int32, target: UInt16, hole: TCPHole) {
            self.listener = listener
            self.target = target
            self.hole = hole
        }

        func loop() {
            var ends: [Int32] = []
            while hole != nil {
                var watched = ([listener] + ends).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
                poll(&watched, nfds_t(watched.count), 20)
                if watched[0].revents != 0, ends.isEmpty { ends = open() }
                for (index, item) in watched.dropFirst().enumerated() where item.revents != 0 { pass(from: ends[index], to: ends[1 - index]) }
            }
            for descriptor in ends + [listener] { close(descriptor) }
        }

        private func open() -> [Int32] {
            let client = accept(listener, nil, nil)
            guard client >= 0, let address = try? Socket.resolve("127.0.0.1", target) else { return [] }
            let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            _ = address.with { connect(server, $0, $1) }
            return [client, server]
        }

        private func pass(from source: Int32, to target: Int32) {
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = recv(source, &bytes, bytes.count, 0)
            guard count > 0 else { return }
            if hole?.swallowing.load(ordering: .relaxed) == false { _ = send(target, bytes, count, Int32(MSG_NOSIGNAL)) }
        }

    }
}
