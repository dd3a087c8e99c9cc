import Cell
import Glibc
import Support
import Synchronization
import Testing

@testable import Operator

extension OperatorTests {
    /// Real sockets of this machine.
    @Suite("The watch of connections")
    struct ConnectionWatchTests {
        /// A port that listens; accepting is the system's business, as with a process that is stopped.
        private final class Port: Sendable {
            let descriptor: Int32
            let address: String

            init() throws { (descriptor, address) = try Self.listening() }

            private static func listening() throws -> (Int32, String) {
                let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
                var place = sockaddr_in()
                place.sin_family = sa_family_t(AF_INET)
                place.sin_addr.s_addr = inet_addr("127.0.0.1")
                var length = socklen_t(MemoryLayout<sockaddr_in>.size)
                let port = try withUnsafeMutablePointer(to: &place) { pointer in
                    try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        try #require(bind(descriptor, $0, length) == 0 && listen(descriptor, 16) == 0)
                        getsockname(descriptor, $0, &length)
                    }
                    return UInt16(bigEndian: pointer.pointee.sin_port)
                }
                return (descriptor, "127.0.0.1:\(port)")
            }

            /// The other end of the next connection, which is there by then.
            func accepted() throws -> Int32 {
                let connection = accept(descriptor, nil, nil)
                try #require(connection >= 0)
                return connection
            }

            func shut() { close(descriptor) }
        }

        private final class Heard: Sendable {
            private let lives = Mutex<[ServerLife]>([])
            var all: [ServerLife] { lives.withLock { $0 } }
            func hear(_ life: ServerLife) { lives.withLock { $0.append(life) } }
        }

        private static func life(_ number: Int) -> ServerLife { ServerLife(ServerID(.messaging, number), Incarnation("feed\(number)")!) }

        @Test("who closes its port is told of at once; who hangs, closes quiet connections or never listened is not")
        func tells() async throws {
            let (dies, hangs, closes, absent) = (try Port(), try Port(), try Port(), try Port())
            absent.shut()
            let heard = Heard()
            let watch = try ConnectionWatch()
            let holder = ObjectIdentifier(heard)
            let ports = [dies, hangs, closes, absent]
            let addresses = Dictionary(uniqueKeysWithValues: ports.enumerated().map { (Self.life($0.offset), $0.element.address) })
            watch.hold(addresses, for: holder, tell: heard.hear)
            // Each has its connection; the third one's is closed, and comes back.
            let first = try dies.accepted()
            let hung = try hangs.accepted()
            close(try closes.accepted())
            _ = try closes.accepted()
            close(first)
            // It was taken again before the port closed, as it may go with a process that dies.
            let second = try dies.accepted()
            dies.shut()
            close(second)
            try await eventually("the word of the first") { heard.all == [Self.life(0)] }
            hangs.shut()
            close(hung)
            try await eventually("the word of the second") { heard.all.count > 1 }
            #expect(heard.all == [Self.life(0), Self.life(1)])
        }

        @Test("who is not wanted any more is not told of")
        func letsGo() async throws {
            let (old, new) = (try Port(), try Port())
            let heard = Heard()
            let watch = try ConnectionWatch()
            let holder = ObjectIdentifier(heard)
            watch.hold([Self.life(1): old.address], for: holder, tell: heard.hear)
            let first = try old.accepted()
            watch.hold([Self.life(2): new.address], for: holder, tell: heard.hear)
            // The old connection is closed from this side.
            var byte: UInt8 = 0
            #expect(recv(first, &byte, 1, 0) == 0)
            old.shut()
            let second = try new.accepted()
            new.shut()
            close(second)
            try await eventually("the word of the new one") { !heard.all.isEmpty }
            #expect(heard.all == [Self.life(2)])
        }

        @Test("the address of a server by name")
        func names() async throws {
            let port = try Port()
            let heard = Heard()
            let watch = try ConnectionWatch()
            watch.hold([Self.life(1): port.address.replacing("127.0.0.1", with: "localhost")], for: ObjectIdentifier(heard), tell: heard.hear)
            let first = try port.accepted()
            port.shut()
            close(first)
            try await eventually("its word") { heard.all == [Self.life(1)] }
        }
    }
}
