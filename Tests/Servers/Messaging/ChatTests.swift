import Cell
import Kafka
import Streams
import Support
import Testing

@testable import Servers

/// A messaging server for real: sockets, threads, and the embedded broker.
@Suite("Chat on the embedded backplane", .serialized)
struct ChatTests {
    /// Runs `body` with servers on a broker of their own.
    static func with(
        _ servers: Int = 1, _ settings: Settings = Settings(), partitions: Int = 4, _ body: (EngineBench, EmbeddedBroker) async throws -> Void
    ) async throws {
        let broker = try EmbeddedBroker(topic: "chat", partitions: Int32(partitions))
        let bench = try EngineBench(servers, partitions: partitions, kafka: broker.configuration, topic: "chat", settings)
        do {
            try await body(bench, broker)
        } catch {
            await bench.stop()
            broker.stop()
            throw error
        }
        await bench.stop()
        broker.stop()
    }

    @Test("two users chat; every device of both gets every message once and in order, and each is acknowledged")
    func chat() async throws {
        try await Self.with { bench, _ in
            bench.assign(epoch: 1, { $0.owns = PartitionSet(all: 4) })
            try await bench.ready()
            let alice = try await bench.opened(1)
            let tablet = try await bench.opened(1, device: "tablet")
            let bob = try await bench.opened(2)
            var ids: [[UInt8]] = []
            for number in 0..<40 {
                ids.append(alice.send("a\(number)", to: 2).bytes)
                ids.append(bob.send("b\(number)", to: 1).bytes)
            }
            try await eventually("all are delivered and acknowledged") {
                alice.messages.count == 80 && tablet.messages.count == 80 && bob.messages.count == 80 && alice.acks.count + bob.acks.count == 80
            }
            for device in [alice, tablet, bob] {
                #expect(device.bodies.filter { $0.hasPrefix("a") } == (0..<40).map { "a\($0)" })
                #expect(device.bodies.filter { $0.hasPrefix("b") } == (0..<40).map { "b\($0)" })
                let offsets = device.messages.map(\.offset)
                #expect(offsets == Array(Set(offsets)).sorted())
            }
            #expect(Set(alice.acks + bob.acks) == Set(ids))
        }
    }

    @Test("a device resumes with its cursor and misses nothing; one without a cursor gets what comes from then on")
    func resume() async throws {
        try await Self.with { bench, _ in
            bench.assign(epoch: 1, { $0.owns = PartitionSet(all: 4) })
            try await bench.ready()
            let alice = try await bench.opened(1)
            let bob = try await bench.opened(2)
            alice.send("before", to: 2)
            try await eventually { bob.bodies == ["before"] }
            let cursor = bob.cursor
            bob.leave()
            for number in 0..<10 { alice.send("away \(number)", to: 2) }
            try await eventually { alice.acks.count == 11 }
            let again = bench.device(2, Open(attempt: 1, log: EngineBench.log, cursor: cursor))
            // Else what is sent next may be a part of the replay.
            try await eventually("the replay's end") { again.frames.contains { $0.alive != nil } }
            let fresh = try await bench.opened(2, device: "fresh")
            alice.send("after", to: 2)
            let expected = (0..<10).map { "away \($0)" } + ["after"]
            try await eventually("the resume") { again.bodies == expected }
            try await eventually { fresh.bodies == ["after"] }
            #expect(again.opened?.next == cursor + 1)
            let words = again.frames.map(\.word)
            #expect(words.firstIndex { $0.hasPrefix("alive") } == 11, "an Alive ends the replay")
        }
    }

    @Test("a window that is too small announces a gap")
    func gap() async throws {
        var settings = Settings()
        settings.windowBytes = 3_000
        try await Self.with(1, settings) { bench, _ in
            bench.assign(epoch: 1, { $0.owns = PartitionSet(all: 4) })
            try await bench.ready()
            let alice = try await bench.opened(1)
            let tablet = try await bench.opened(2, device: "tablet")
            for number in 0..<40 { alice.send("\(number)", to: 2) }
            // What is acknowledged is in the log; that the owner has read it too shows at another device.
            try await eventually { alice.acks.count == 40 && tablet.messages.count == 40 }
            let bob = bench.device(2, Open(cursor: -1))
            try await eventually { bob.frames.last?.alive != nil }
            let gap = try #require(bob.frames.compactMap(\.gap).first)
            #expect(bob.frames.map(\.word).prefix(2) == ["opened", "gap 0-\(gap.to)"])
            #expect(bob.bodies == (40 - bob.bodies.count..<40).map { "\($0)" })
            #expect(bob.messages.first.map { $0.offset >= gap.to } ?? true)
            #expect(bob.cursor >= 39)
        }
    }

    @Test("what is refused is refused with a reason, and the stream lives on; what is no frame ends it")
    func refusals() async throws {
        try await Self.with { bench, _ in
            bench.assign(epoch: 1, { $0.owns = PartitionSet(all: 4) })
            try await bench.ready()
            let alice = try await bench.opened(1)
            alice.send(String(repeating: "x", count: 8_193), to: 2)
            alice.send(String(repeating: "x", count: 1 << 20), to: 2)
            alice.send("", to: 0)
            alice.send("good", to: 1)
            try await eventually { alice.bodies == ["good"] && alice.acks.count == 1 }
            #expect(alice.frames.compactMap(\.refused).map(\.reason) == [.tooLarge, .tooLarge, .invalid])
            let defect = bench.device(1, Open(device: ""))
            try await eventually { defect.status?.code == .invalidArgument }
            let stranger = ChatDevice(0, at: bench.servers[0].port, on: bench.clients, Open())
            try await eventually { stranger.status?.code == .unauthenticated }
        }
    }

    @Test("partitions move under load: clients are told, nothing is lost, doubled or reordered")
    func move() async throws {
        var settings = Settings()
        // The sender stays at the old owner until all is acknowledged.
        settings.moveGrace_ms = 60_000
        try await Self.with(2, settings) { bench, _ in
            bench.assign(epoch: 1, { $0.owns = PartitionSet(all: 4) }, { $0.opens = PartitionSet(all: 4) })
            try await bench.ready(0)
            try await bench.ready(1)
            let alice = try await bench.opened(1)
            let bob = try await bench.opened(2)
            for number in 0..<20 { alice.send("\(number)", to: 2) }
            bench.assign(epoch: 2, { $0.leaves = PartitionSet(all: 4) }, { $0.owns = PartitionSet(all: 4) })
            for number in 20..<40 { alice.send("\(number)", to: 2) }
            try await eventually("Moved") { bob.frames.compactMap(\.moved).map(\.messaging) == [bench.servers[1].address] }
            #expect(bob.frames.compactMap(\.moved).first?.epoch == 2)
            let moved = bench.device(2, at: 1, Open(attempt: 1, log: EngineBench.log, cursor: bob.cursor, epoch: 2))
            try await eventually { moved.opened != nil }
            bob.leave()
            try await eventually { alice.acks.count == 40 }
            try await eventually("the rest comes at the new owner") { Set((bob.messages + moved.messages).map(\.offset)).count >= 40 }
            var seen: Set<Int64> = []
            let all = (bob.messages + moved.messages).filter { seen.insert($0.offset).inserted }.map { String(decoding: $0.body, as: UTF8.self) }
            #expect(all == (0..<40).map { "\($0)" })
        }
    }

    @Test("a standby answers the Opens that it holds within milliseconds of its promotion")
    func failover() async throws {
        try await Self.with(2) { bench, _ in
            bench.assign(
                epoch: 1, { $0.owns = PartitionSet(all: 4) },
                {
                    $0.shadows = PartitionSet(all: 4); $0.role = .standby
                })
            try await bench.ready(0)
            try await bench.ready(1)
            let alice = try await bench.opened(1)
            #expect(alice.opened?.fallback == bench.servers[1].address)
            alice.send("one", to: 1)
            try await eventually { alice.bodies == ["one"] }
            // Server 1 is dead: nothing answers its probe.
            let again = bench.device(1, at: 1, Open(attempt: 1, log: EngineBench.log, cursor: alice.cursor))
            try await eventually { await bench.servers[1].engine.snapshot().held == 1 }
            try await Task.sleep(for: .milliseconds(50))
            #expect(again.frames.isEmpty)
            bench.assign(epoch: 2, to: [1], { _ in }, { $0.owns = PartitionSet(all: 4) })
            let took = try await eventually { again.opened != nil }
            // Far less than the 10 s after which those that are held are sent away.
            #expect(took < .seconds(5))
            again.send("two", to: 1)
            try await eventually { again.bodies == ["two"] }
        }
    }

    @Test("a slow reader ends with RESOURCE_EXHAUSTED and slows nobody", .timeLimit(.minutes(5)))
    func slowReader() async throws {
        var settings = Settings()
        settings.limits.userRate = 100_000
        settings.limits.partitionRate = 100_000
        settings.limits.unacknowledged = 1_000
        settings.limits.backlog = 64 << 10
        try await Self.with(1, settings) { bench, _ in
            bench.assign(epoch: 1, { $0.owns = PartitionSet(all: 4) })
            try await bench.ready()
            let quick = try await bench.opened(2)
            let slow = try await RawReader.open(user: 2, port: Int(bench.servers[0].port))

            let alice = try await bench.opened(1)
            let body = String(repeating: "x", count: 8_000)
            for number in 0..<400 {
                alice.send(body, to: 2)
                if number % 50 == 49 { try await eventually { alice.acks.count > number - 100 } }
            }
            try await eventually("the quick one has all", within: .seconds(60)) { quick.messages.count == 400 }
            try await eventually("the slow one is ended") {
                await bench.servers[0].engine.snapshot().counters.ends == ["resource_exhausted": 1]
            }
            withExtendedLifetime(slow) {}
        }
    }

    @Test("a log that begins anew with the cell's assignment: live streams end, and everybody starts at 0")
    func newLog() async throws {
        try await Self.with { bench, _ in
            bench.assign(epoch: 1, { $0.owns = PartitionSet(all: 4) })
            try await bench.ready()
            let alice = try await bench.opened(1)
            let newer = LogID(UUIDv7(high: UInt64(SystemClock.now.wall_ms) << 16 | 0x7000, low: 1 << 63)!)
            bench.assign(epoch: 2, log: newer, { $0.owns = PartitionSet(all: 4) })
            try await eventually { alice.status?.code == .unavailable }
            let again = bench.device(1, Open(attempt: 1, log: EngineBench.log, cursor: 3))
            try await eventually { again.opened?.log == newer.description }
            #expect(again.opened?.next == 0)
        }
    }

    @Test("a server that stops ends its streams with UNAVAILABLE")
    func stopping() async throws {
        try await Self.with { bench, _ in
            bench.assign(epoch: 1, { $0.owns = PartitionSet(all: 4) })
            try await bench.ready()
            let alice = try await bench.opened(1)
            await bench.servers[0].engine.stop(patience: .milliseconds(100), grace: .seconds(1))
            try await eventually { alice.status?.code == .unavailable }
        }
    }
}
