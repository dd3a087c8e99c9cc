import Cell
import Testing

@testable import Servers

/// Users of four partitions: 42 and 46 have each their own, unless a test says so.
@Suite("Send")
struct SendingTests {
    /// Two users of different partitions, and one of the first's.
    static func users(_ bench: CoreBench) -> (sender: UInt64, receiver: UInt64, neighbour: UInt64) {
        let receiver = (1...).first { bench.partition($0) != bench.partition(42) }!
        let neighbour = (1...).first { $0 != 42 && bench.partition($0) == bench.partition(42) }!
        return (42, receiver, neighbour)
    }

    @Test("the receiver's record first, the sender's copy after its report, the Ack after both")
    func order() throws {
        let bench = CoreBench.owner()
        let (sender, receiver, _) = Self.users(bench)
        let stream = bench.opened(sender)
        let id = bench.send(to: receiver, "hello", on: stream)
        let first = try #require(bench.produced().first)
        #expect(first.partition == bench.partition(receiver))
        guard case .message(let logged) = first.record else { return #expect(Bool(false), "no message") }
        #expect(
            logged == LoggedMessage(id: id, sender: UserID(sender)!, receiver: UserID(receiver)!, produced_ms: bench.now.wall_ms, body: Array("hello".utf8)))
        #expect(bench.frames(to: stream).isEmpty)
        bench.report(first.ticket, offset: 100)
        let copy = try #require(bench.produced().first)
        #expect(copy.partition == bench.partition(sender))
        #expect(copy.record == first.record)
        #expect(bench.frames(to: stream).isEmpty)
        bench.report(copy.ticket, offset: 100)
        #expect(bench.frames(to: stream).map { $0.ack?.id } == [id.bytes])
        #expect(bench.core.flights.isEmpty && bench.core.tickets.isEmpty && bench.core.flightBytes == 0)
    }

    @Test("one record when both live in one partition, also for a message to oneself")
    func onePartition() throws {
        let bench = CoreBench.owner()
        let (sender, _, neighbour) = Self.users(bench)
        let stream = bench.opened(sender)
        for (offset, receiver) in [(100, neighbour), (101, sender)] as [(Int64, UInt64)] {
            let id = bench.send(to: receiver, on: stream)
            let produced = bench.produced()
            #expect(produced.count == 1)
            bench.report(try #require(produced.first).ticket, offset: offset)
            #expect(bench.produced().isEmpty)
            #expect(bench.frames(to: stream).map { $0.ack?.id } == [id.bytes])
        }
    }

    @Test("what is malformed or too large is refused for good, ends no round, and the stream lives on")
    func malformed() {
        let bench = CoreBench.owner { $0.limits.bodyBytes = 10 }
        let stream = bench.opened(42)
        for length in [0, 15, 17] {
            bench.sendRaw(Array(bench.newID().bytes.prefix(length)) + Array(repeating: 0, count: max(0, length - 16)), to: 7, [], on: stream)
        }
        var version4 = bench.newID().bytes
        version4[6] = 0x40
        bench.sendRaw(version4, to: 7, [], on: stream)
        bench.send(to: 0, on: stream)
        bench.send(to: 7, String(repeating: "x", count: 11), on: stream)
        let frames = bench.frames(to: stream).compactMap(\.refused)
        #expect(frames.map(\.reason) == [.invalid, .invalid, .invalid, .invalid, .invalid, .tooLarge])
        #expect(frames.filter { $0.retryAfter_ms != 0 || $0.round != 0 || $0.detail.isEmpty }.isEmpty)
        #expect(bench.produced().isEmpty)
        bench.send(to: 7, String(repeating: "x", count: 10), on: stream)
        #expect(bench.produced().count == 1, "still round 0")
        #expect(bench.ending(of: stream) == "")
    }

    @Test(
        "an id is expired by this server's clock only beyond W and the margin",
        arguments: [
            (-65_001, true), (-65_000, false), (-60_001, false), (0, false), (60_001, false), (65_000, false), (65_001, true),
        ])
    func expiredByClock(age_ms: Int64, expired: Bool) {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        var generator = SystemRandomNumberGenerator()
        bench.send(MessageID(time_ms: bench.now.wall_ms + age_ms, using: &generator), to: 7, on: stream)
        #expect(bench.frames(to: stream).map { $0.refused?.reason } == (expired ? [.expired] : []))
        #expect(bench.produced().isEmpty == expired)
    }

    @Test("a report decides by the once-rule's void", arguments: [(60_000, false), (60_001, true), (-60_000, false), (-60_001, true)])
    func voidReport(distance_ms: Int64, isVoid: Bool) throws {
        let bench = CoreBench.owner()
        let (sender, receiver, _) = Self.users(bench)
        let stream = bench.opened(sender)
        let id = bench.send(to: receiver, on: stream)
        let first = try #require(bench.produced().first)
        bench.report(first.ticket, offset: 100, time_ms: id.time_ms + distance_ms)
        #expect(bench.frames(to: stream).map { $0.refused?.reason } == (isVoid ? [.expired] : []))
        #expect(bench.produced().isEmpty == isVoid, "no copy follows a void report")
        #expect(bench.core.flights.isEmpty == isVoid)
    }

    @Test("an id older than the log is void")
    func olderThanLog() throws {
        let bench = CoreBench.owner()
        let newer = LogID(UUIDv7(high: UInt64(bench.now.wall_ms + 1_000) << 16 | 0x7000, low: 1 << 63)!)
        bench.assign(epoch: 2, log: newer) { $0.owns = PartitionSet(all: 4) }
        for partition in 0..<4 { bench.begin(Partition(partition), start: 0, end: 0) }
        let stream = bench.open(42, cursor: -1, log: newer)
        _ = bench.frames(to: stream)
        bench.send(to: 7, on: stream)
        bench.report(try #require(bench.produced().first).ticket, offset: 0)
        #expect(bench.frames(to: stream).map { $0.refused?.reason } == [.expired])
    }

    @Test("a report without offset or LogAppendTime is UNKNOWN_OUTCOME and ends the round", arguments: [(nil as Int64?, 5 as Int64?), (100, nil), (nil, nil)])
    func incompleteReport(offset: Int64?, time_ms: Int64?) throws {
        let bench = CoreBench.owner()
        let (sender, receiver, _) = Self.users(bench)
        let stream = bench.opened(sender)
        let id = bench.send(to: receiver, on: stream)
        bench.core.reported(try #require(bench.produced().first).ticket, .landed(offset: offset, time_ms: time_ms), at: bench.now)
        let refused = try #require(bench.frames(to: stream).first?.refused)
        #expect(refused.reason == .unknownOutcome)
        #expect(refused.id == id.bytes)
        #expect(refused.round == 0)
        #expect((1...5_000).contains(refused.retryAfter_ms))
        // The retry is produced anew: a duplicate at worst brings the answer.
        bench.send(id, to: receiver, round: 1, on: stream)
        #expect(bench.produced().count == 1)
    }

    @Test("messages to the same receiver that came later are given up with it, so that no copy overtakes")
    func copiesKeepOrder() throws {
        let bench = CoreBench.owner()
        let (sender, receiver, neighbour) = Self.users(bench)
        let stream = bench.opened(sender)
        let ids = [receiver, receiver, neighbour, receiver].map { bench.send(to: $0, on: stream) }
        let tickets = bench.produced().map(\.ticket)
        bench.report(tickets[1], offset: nil)
        let refused = bench.frames(to: stream).compactMap(\.refused)
        #expect(refused.map(\.id) == [ids[1].bytes, ids[3].bytes])
        #expect(refused.map(\.round) == [0, 1])
        bench.report(tickets[3], offset: 102)
        #expect(bench.produced().isEmpty, "its copy would get before that of the first")
        bench.report(tickets[0], offset: 100)
        bench.report(tickets[2], offset: 100)
        #expect(bench.frames(to: stream).compactMap(\.ack).map(\.id) == [ids[2].bytes])
        #expect(bench.produced().count == 1)
    }

    @Test("a report whose offset is not above everything seen of the partition acknowledges nothing")
    func suspect() throws {
        let bench = CoreBench.owner()
        let (sender, receiver, _) = Self.users(bench)
        let stream = bench.opened(sender)
        bench.read(bench.partition(receiver), [bench.entry(100, from: 7, to: receiver)])
        bench.send(to: receiver, on: stream)
        bench.report(try #require(bench.produced().first).ticket, offset: 100)
        #expect(bench.frames(to: stream).map { $0.refused?.reason } == [.unknownOutcome])
        #expect(bench.core.counters.suspectReports == 1)
    }

    @Test("a record that was read before its report came is not suspect")
    func readFirst() throws {
        let bench = CoreBench.owner()
        let (sender, receiver, _) = Self.users(bench)
        let stream = bench.opened(sender)
        let id = bench.send(to: receiver, on: stream)
        bench.read(bench.partition(receiver), [bench.entry(100, from: sender, to: receiver, id: id)])
        bench.report(try #require(bench.produced().first).ticket, offset: 100)
        #expect(bench.produced().count == 1)
    }

    @Test("embedded: log time is the producing server's, and the report must come within W of the id")
    func embedded() throws {
        let bench = CoreBench.owner(embedded: true)
        let (sender, receiver, _) = Self.users(bench)
        let stream = bench.opened(sender)
        bench.send(to: receiver, on: stream)
        let first = try #require(bench.produced().first)
        bench.core.reported(first.ticket, .landed(offset: 100, time_ms: nil), at: bench.now)
        #expect(bench.produced().count == 1)
        bench.send(to: receiver, on: stream)
        let late = try #require(bench.produced().first)
        bench.pass(60_001)
        _ = bench.frames(to: stream)
        bench.core.reported(late.ticket, .landed(offset: 101, time_ms: nil), at: bench.now)
        #expect(bench.produced().filter { $0.ticket != 0 }.isEmpty, "no copy follows")
    }

    @Test("after 5 s without a report: UNKNOWN_OUTCOME, and the report may still bring the Ack")
    func late() throws {
        let bench = CoreBench.owner()
        let (sender, _, neighbour) = Self.users(bench)
        let stream = bench.opened(sender)
        let id = bench.send(to: neighbour, on: stream)
        let ticket = try #require(bench.produced().first).ticket
        bench.pass(4_999)
        #expect(bench.frames(to: stream).compactMap(\.refused).isEmpty)
        bench.pass(1)
        #expect(bench.frames(to: stream).compactMap(\.refused).map(\.reason) == [.unknownOutcome])
        bench.report(ticket, offset: 100)
        #expect(bench.frames(to: stream).compactMap(\.ack).map(\.id) == [id.bytes])
    }

    @Test("a Send that is in flight is joined: not produced again, free of the rate, with 5 s of its own")
    func join() throws {
        let bench = CoreBench.owner { $0.limits.userRate = 1 }
        let (sender, _, neighbour) = Self.users(bench)
        let first = bench.opened(sender)
        let id = bench.send(to: neighbour, on: first)
        let ticket = try #require(bench.produced().first).ticket
        bench.core.ended(first, at: bench.now)
        bench.pass(4_000)
        let second = bench.open(sender, cursor: 99, attempt: 1)
        _ = bench.frames(to: second)
        bench.send(id, to: neighbour, on: second)
        #expect(bench.produced().isEmpty)
        #expect(bench.core.counters.joins == 1)
        bench.pass(4_000)
        #expect(bench.frames(to: second).compactMap(\.refused).isEmpty, "its 5 s began anew")
        bench.report(ticket, offset: 100)
        #expect(bench.frames(to: second).compactMap(\.ack).map(\.id) == [id.bytes])
    }

    @Test("an id in flight with another receiver or body is INVALID; another user's equal id is independent")
    func clash() {
        let bench = CoreBench.owner()
        let (sender, receiver, neighbour) = Self.users(bench)
        let stream = bench.opened(sender)
        let id = bench.send(to: receiver, "a", on: stream)
        bench.send(id, to: receiver, "b", on: stream)
        bench.send(id, to: neighbour, "a", on: stream)
        #expect(bench.frames(to: stream).compactMap(\.refused).map(\.reason) == [.invalid, .invalid])
        let other = bench.opened(neighbour)
        bench.send(id, to: receiver, "b", on: other)
        #expect(bench.frames(to: other).isEmpty)
        #expect(bench.produced().count == 2)
    }

    // MARK: rounds

    @Test("a retryable refusal ends the round: the rest of it is neither taken nor answered, the next one begins")
    func rounds() throws {
        let bench = CoreBench.owner { $0.limits.unacknowledged = 1 }
        let stream = bench.opened(42)
        let ids = (0..<3).map { _ in bench.send(to: 7, on: stream) }
        let refused = bench.frames(to: stream).compactMap(\.refused)
        #expect(refused.map(\.id) == [ids[1].bytes])
        #expect(refused.map(\.round) == [0])
        let first = bench.produced()
        #expect(first.count == 1)
        bench.core.reported(first[0].ticket, .landed(offset: nil, time_ms: nil), at: bench.now)
        #expect(bench.frames(to: stream).compactMap(\.refused).map(\.round) == [1], "it ends the round that the stream is in")
        bench.send(ids[0], to: 7, round: 1, on: stream)
        #expect(bench.produced().isEmpty)
        bench.send(ids[0], to: 7, round: 2, on: stream)
        #expect(bench.produced().count == 1)
        bench.send(ids[1], to: 7, round: 3, on: stream)
        #expect(bench.ending(of: stream) == "invalid_argument", "round 3 cannot have begun")
    }

    @Test("one id more than unacknowledged is OVERLOADED; an answered one makes room")
    func unacknowledged() throws {
        let bench = CoreBench.owner { $0.limits.unacknowledged = 2 }
        let (sender, _, neighbour) = Self.users(bench)
        let stream = bench.opened(sender)
        let ids = (0..<2).map { _ in bench.send(to: neighbour, on: stream) }
        bench.send(ids[0], to: neighbour, on: stream)
        #expect(bench.frames(to: stream).isEmpty, "the same id again is not one more")
        bench.send(to: neighbour, on: stream)
        #expect(bench.frames(to: stream).compactMap(\.refused).map(\.reason) == [.overloaded])
        bench.report(bench.produced()[0].ticket, offset: 100)
        _ = bench.frames(to: stream)
        bench.send(to: neighbour, round: 1, on: stream)
        #expect(bench.frames(to: stream).isEmpty)
    }

    // MARK: admission

    @Test("more than userRate is TOO_FAST, and after retry_after_ms it goes on")
    func userRate() throws {
        let bench = CoreBench.owner {
            $0.limits.userRate = 20; $0.limits.unacknowledged = 1_000
        }
        let stream = bench.opened(42)
        for _ in 0..<20 { bench.send(to: 7, on: stream) }
        #expect(bench.produced().count == 20)
        let id = bench.send(to: 7, on: stream)
        let refused = try #require(bench.frames(to: stream).first?.refused)
        #expect(refused.reason == .tooFast)
        #expect((1...5_000).contains(refused.retryAfter_ms))
        #expect(bench.produced().isEmpty)
        bench.pass(Int64(refused.retryAfter_ms))
        bench.send(id, to: 7, round: 1, on: stream)
        bench.send(to: 7, round: 1, on: stream)
        #expect(bench.produced().count == 2)
        let other = bench.opened(43)
        bench.send(to: 7, on: other)
        #expect(bench.produced().count == 1, "another user has a rate of its own")
    }

    @Test("more than partitionRate towards one partition is TOO_FAST for everyone, and costs the user nothing")
    func partitionRate() {
        let bench = CoreBench.owner {
            $0.limits.partitionRate = 2; $0.limits.userRate = 3
        }
        let (sender, receiver, neighbour) = Self.users(bench)
        let first = bench.opened(sender)
        let second = bench.opened(neighbour)
        for _ in 0..<2 { bench.send(to: receiver, on: first) }
        bench.send(to: receiver, on: second)
        #expect(bench.frames(to: second).compactMap(\.refused).map(\.reason) == [.tooFast])
        for _ in 0..<2 { bench.send(to: neighbour, round: 1, on: second) }
        #expect(bench.produced().count == 4)
    }

    @Test("a server that holds too much, or cannot produce, says OVERLOADED")
    func memory() {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        bench.core.flightBytes = MessagingCore.flightBytesAtOnce
        bench.send(to: 7, on: stream)
        #expect(bench.frames(to: stream).compactMap(\.refused).map(\.reason) == [.overloaded])
        bench.core.flightBytes = 0
        bench.core.producerLost(at: bench.now)
        bench.send(to: 7, round: 1, on: stream)
        #expect(bench.frames(to: stream).compactMap(\.refused).map(\.reason) == [.overloaded])
        #expect(bench.core.waitsFor != "")
        bench.core.producerReady(at: bench.now)
        bench.send(to: 7, round: 2, on: stream)
        #expect(bench.produced().count == 1)
    }

    // MARK: the producer

    @Test("a lost producer ends the streams that wait for it, forgets what it held, and ignores its late reports")
    func producerLost() throws {
        let bench = CoreBench.owner()
        let (sender, receiver, neighbour) = Self.users(bench)
        let waiting = bench.opened(sender)
        let idle = bench.opened(neighbour)
        let id = bench.send(to: receiver, on: waiting)
        let old = try #require(bench.produced().first)
        bench.core.producerLost(at: bench.now)
        #expect(bench.ending(of: waiting) == "unavailable")
        #expect(bench.ending(of: idle) == "")
        #expect(bench.core.flights.isEmpty && bench.core.tickets.isEmpty && bench.core.flightBytes == 0)
        bench.core.producerReady(at: bench.now)
        let again = bench.open(sender, cursor: 99, attempt: 1)
        _ = bench.frames(to: again)
        bench.send(id, to: receiver, on: again)
        let new = try #require(bench.produced().first)
        #expect(new.ticket != old.ticket, "it joins nothing")
        bench.report(old.ticket, offset: 100)
        #expect(bench.produced().isEmpty)
        bench.report(new.ticket, offset: 101)
        #expect(bench.produced().count == 1)
    }

    @Test("a record that the log finds too large is refused for good")
    func tooLargeForLog() throws {
        let bench = CoreBench.owner()
        let stream = bench.opened(42)
        bench.send(to: 7, on: stream)
        bench.core.reported(try #require(bench.produced().first).ticket, .tooLarge, at: bench.now)
        #expect(bench.frames(to: stream).compactMap(\.refused).map(\.reason) == [.tooLarge])
    }
}
