import Testing

@testable import Kafka

/// A batch of format 2 as a producer sends it, as far as a broker looks.
private func batch(records: Int32 = 1, size: Int = 100, producer: Int64 = -1, epoch: Int16 = 0, sequence: Int32 = -1) -> [UInt8] {
    var writer = WireWriter()
    writer.number(Int64(0))
    writer.number(Int32(BatchHeader.size + size - 12))
    writer.number(Int32(0))
    writer.number(Int8(2))
    writer.number(UInt32(0))
    writer.number(Int16(0))
    writer.number(records - 1)
    writer.number(Int64(0))
    writer.number(Int64(0))
    writer.number(producer)
    writer.number(epoch)
    writer.number(sequence)
    writer.number(records)
    return writer.bytes + [UInt8](repeating: 7, count: size)
}

@Suite("the embedded broker's log")
struct EmbeddedLogTests {
    @Test("offsets follow each other, and a read begins with the batch that holds its offset")
    func offsets() throws {
        var log = PartitionBatches(limit_bytes: 1 << 20)
        #expect(try log.append(batch(records: 3)[...]) == 0)
        #expect(try log.append(batch(records: 2)[...]) == 3)
        #expect(try log.append(batch()[...]) == 5)
        #expect(log.end == 6)
        let all = log.read(from: 4, limit_bytes: 1 << 20)
        #expect(all?.count == 2)
        #expect(all?.first.map { Array($0.prefix(8)) } == [0, 0, 0, 0, 0, 0, 0, 3])
        #expect(log.read(from: 0, limit_bytes: 1)?.count == 1)
        #expect(log.read(from: 6, limit_bytes: 1 << 20) == [])
        #expect(log.read(from: 7, limit_bytes: 1 << 20) == nil)
    }

    @Test("beyond its bound the oldest goes, and only that")
    func bound() throws {
        var log = PartitionBatches(limit_bytes: 100_000)
        for _ in 0..<5_000 { _ = try log.append(batch(size: 139)[...]) }
        #expect(log.end == 5_000)
        #expect(log.start == 4_500)
        #expect(log.read(from: 4_499, limit_bytes: 1) == nil)
        #expect(log.read(from: 4_500, limit_bytes: 1 << 20)?.count == 500)
    }

    @Test("what comes again is not appended again, and what is missing is noticed")
    func idempotence() throws {
        var log = PartitionBatches(limit_bytes: 1 << 20)
        #expect(try log.append(batch(records: 2, producer: 1, sequence: 0)[...]) == 0)
        #expect(try log.append(batch(producer: 1, sequence: 2)[...]) == 2)
        #expect(try log.append(batch(records: 2, producer: 1, sequence: 0)[...]) == 0)
        #expect(log.end == 3)
        #expect(throws: WireError.outOfOrderSequence) { try log.append(batch(producer: 1, sequence: 4)[...]) }
        #expect(throws: WireError.duplicateSequence) { try log.append(batch(producer: 1, sequence: 1)[...]) }
        #expect(try log.append(batch(producer: 2, sequence: 0)[...]) == 3)
        #expect(try log.append(batch(producer: 1, epoch: 1, sequence: 0)[...]) == 4)
    }

    @Test("what is no batch of format 2 is refused", arguments: [[], [UInt8](repeating: 0, count: 61), batch() + [1], Array(batch().dropLast())])
    func nonsense(_ bytes: [UInt8]) {
        var log = PartitionBatches(limit_bytes: 1 << 20)
        #expect(throws: WireError.corruptMessage) { try log.append(bytes[...]) }
    }

    /// Counted in reads within the same time, so that a slow machine is slow twice.
    @Test("a read costs the same however long the log is")
    func length() throws {
        func least(_ length: Int) throws -> Duration {
            var log = PartitionBatches(limit_bytes: 64 << 20)
            for _ in 0..<length { _ = try log.append(batch(size: 1)[...]) }
            return (0..<5).map { _ in
                ContinuousClock().measure { for offset in (log.end - 500)..<log.end { _ = log.read(from: offset, limit_bytes: 1) } }
            }.min() ?? .zero
        }
        // A scan would take 100 times as long.
        let (short, long) = (try least(1_000), try least(100_000))
        #expect(long < short * 20, "\(short) with 1,000 batches, \(long) with 100,000")
    }

    @Test("who waits is answered as soon as there is enough, and not before")
    func waiting() async throws {
        let log = BrokerLog(partitions: 2)
        defer { log.close() }
        let answered = Collector<Int>()
        let wanted = [BrokerLog.Wanted(partition: 0, offset: 0, limit_bytes: 1 << 20), .init(partition: 1, offset: 0, limit_bytes: 1 << 20)]
        startThread("waits") { answered.add([log.read(wanted, atLeast: 300, wait: .seconds(60)).reduce(0) { $0 + $1.batches.count }]) }
        _ = try log.append(batch(size: 39)[...], to: 0)
        _ = try log.append(batch(size: 39)[...], to: 1)
        #expect(answered.count == 0)
        _ = try log.append(batch(size: 39)[...], to: 1)
        #expect(await eventually { answered.all == [3] })
        let unknown = log.read([.init(partition: 2, offset: 0, limit_bytes: 1)], atLeast: 1, wait: .seconds(60))
        #expect(unknown.map(\.error) == [.unknownTopicOrPartition])
    }
}

@Suite("the embedded broker's groups")
struct BrokerGroupTests {
    private let range: [(name: String, metadata: ArraySlice<UInt8>)] = [("range", [1])]

    @Test("the first member leads; a second one makes both join again; who leaves or is silent is missed")
    func generations() throws {
        var group = BrokerGroup()
        let first = try group.join("", session_ms: 1_000, range, at: 0)
        let alone = try group.joined(first, at: 0)
        #expect(alone?.generation == 1 && alone?.leader == first && alone?.members.map(\.id) == [first])
        try group.share([(first, [9])], by: first, generation: 1, at: 0)
        #expect(try group.share(of: first, generation: 1, at: 0) == [9])

        let second = try group.join("", session_ms: 1_000, range, at: 100)
        #expect(try group.joined(second, at: 100) == nil)
        #expect(throws: WireError.rebalanceInProgress) { try group.heartbeat(first, generation: 1, at: 200) }
        _ = try group.join(first, session_ms: 1_000, range, at: 300)
        #expect(try group.joined(second, at: 300)?.generation == 2)
        #expect(try group.joined(first, at: 300)?.members.count == 2)
        #expect(try group.share(of: second, generation: 2, at: 300) == nil)
        try group.share([(first, [1]), (second, [2])], by: first, generation: 2, at: 300)
        #expect(try group.share(of: second, generation: 2, at: 300) == [2])
        #expect(throws: WireError.illegalGeneration) { try group.heartbeat(first, generation: 1, at: 300) }

        // The leader is silent for longer than its session.
        try group.heartbeat(second, generation: 2, at: 900)
        #expect(throws: WireError.rebalanceInProgress) { try group.heartbeat(second, generation: 2, at: 1_500) }
        _ = try group.join(second, session_ms: 1_000, range, at: 1_600)
        #expect(try group.joined(second, at: 1_600)?.leader == second)
        #expect(throws: WireError.unknownMember) { try group.heartbeat(first, generation: 3, at: 1_600) }
    }

    @Test("a member that does not join again in time is left behind")
    func late() throws {
        var group = BrokerGroup()
        let first = try group.join("", session_ms: 1_000, range, at: 0)
        let second = try group.join("", session_ms: 1_000, range, at: 0)
        #expect(try group.joined(second, at: 999) == nil)
        #expect(try group.joined(second, at: 1_000)?.members.map(\.id) == [second])
        #expect(throws: WireError.unknownMember) { try group.joined(first, at: 1_000) }
    }

    @Test("positions are kept with their notes, and committed by members alone")
    func positions() throws {
        var group = BrokerGroup()
        let member = try group.join("", session_ms: 1_000, range, at: 0)
        try group.mayCommit(member, generation: 1, at: 0)
        group.commit(3, 42, note: "from 7")
        #expect(group.position(of: 3)?.offset == 42 && group.position(of: 3)?.note == "from 7")
        #expect(group.position(of: 4) == nil)
        #expect(throws: WireError.unknownMember) { try group.mayCommit("stranger", generation: 1, at: 0) }
    }
}
