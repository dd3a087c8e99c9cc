import Support
import Testing

@testable import Streams

@Suite("without descriptors")
struct DescriptorTests {
    @Test("a process that has none left turns newcomers away, goes on serving, and takes people again when some have left")
    func exhausted() async throws {
        let program = CommandLine.arguments[0].split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/stream-bench"
        let server = try ChildProcess("prlimit", ["--nofile=40:40", program, "--port", "0"])
        let port = try await eventually("the server's port") { server.output.split(separator: ":").last.flatMap { UInt16($0.filter(\.isNumber)) } }
        let first = try RawPeer(port: port)
        await first.settle()
        var crowd = try (0..<80).map { _ in try RawPeer(port: port) }
        var turnedAway = 0
        for peer in crowd {
            await peer.read(within: .seconds(30)) { $0.isClosed || !$0.frames(.settings).isEmpty }
            if peer.isClosed { turnedAway += 1 }
        }
        #expect(turnedAway >= 40, "\(turnedAway) of 80 were turned away")
        await first.settle()
        #expect(!first.isClosed)
        crowd.removeAll()
        try await eventually("room for one more") {
            let late = try RawPeer(port: port)
            return await late.read(within: .seconds(5)) { !$0.frames(.settings).isEmpty }
        }
        #expect(server.isRunning)
    }
}
