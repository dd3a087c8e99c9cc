import Support
import Testing
@testable import Streams

/// What the layer costs is system calls: nine tenths of its time is the kernel's.
@Suite("system calls", .serialized)
struct SystemCallTests {
    @Test("one send for each connection and tick, however many messages")
    func oneSend() async throws {
        let stage = try TestServer()
        let peer = try RawPeer(port: stage.port)
        for stream in stride(from: UInt32(1), to: 41, by: 2) { peer.send(RawPeer.request(stream)) }
        await peer.settle()
        let before = await stage.settledCounters()
        for round in 1...10 {
            // 20 streams, 10 messages each, in one write: they come in one tick.
            var bytes: [UInt8] = []
            for stream in stride(from: UInt32(1), to: 41, by: 2) {
                for _ in 0..<10 { bytes += RawPeer.data(stream, RawPeer.message([UInt8](repeating: 1, count: 20))) }
            }
            peer.send(bytes)
            #expect(await peer.read { peer in stride(from: UInt32(1), to: 41, by: 2).allSatisfy { peer.data($0).count == round * 250 } })
        }
        try await eventually { stage.counters.messagesSent - before.messagesSent == 2000 }
        let after = stage.counters
        let (sends, receives, waits) = (after.sendCalls - before.sendCalls, after.receiveCalls - before.receiveCalls, after.waits - before.waits)
        // The peer's write may reach us in two pieces, and window updates are written too.
        #expect(sends <= 30, "\(sends) sends for 10 rounds of 200 messages")
        #expect(receives <= 30, "\(receives) receives")
        #expect(sends <= waits, "\(sends) sends in \(waits) ticks of one connection")
    }

    @Test("an idle connection costs neither calls nor blocks")
    func idle() async throws {
        let stage = try TestServer { $0.keepaliveInterval = nil }
        let peers = try (0..<50).map { _ in try RawPeer(port: stage.port) }
        for peer in peers {
            peer.send(RawPeer.request(1, path: Array("/test.Echo/Hang".utf8)))
            await peer.settle()
        }
        let start = ContinuousClock.now
        let before = await stage.settledCounters()
        #expect(before.openBlockBytes == 0)
        try await Task.sleep(for: .milliseconds(600))
        let after = stage.counters
        let eighths = Int(start.duration(to: .now) / Duration.milliseconds(125))
        #expect(after.sendCalls == before.sendCalls && after.receiveCalls == before.receiveCalls)
        #expect(after.waits - before.waits <= 2 * eighths + 4, "the scan looks at an eighth of the connections each eighth of a second")
    }

    @Test("what crosses loops wakes the other once for a batch")
    func mailbox() async throws {
        let loop = try EventLoop(name: "mailbox")
        loop.start()
        defer { loop.stop() }
        let ran = OpenCount()
        let order = OrderCheck()
        for number in 0..<10_000 {
            loop.execute {
                order.see(number)
                ran.count.add(1, ordering: .relaxed)
            }
        }
        try await eventually { ran.count.load(ordering: .relaxed) == 10_000 }
        #expect(order.isSorted)
    }
}

private final class OrderCheck: @unchecked Sendable {
    // Used on the loop's thread until the test has seen all of it run.
    private var last = -1
    private(set) var isSorted = true

    func see(_ number: Int) {
        if number != last + 1 { isSorted = false }
        last = number
    }
}
