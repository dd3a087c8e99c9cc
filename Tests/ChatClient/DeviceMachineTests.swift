import Cell
@testable import ChatClient
import Testing

@Suite("a device keeps the client's part of the contract")
struct DeviceMachineTests {
    static let log = LogID("01900000-0000-7000-8000-000000000001")!
    static let later = LogID("01900000-0000-7000-8000-000000000002")!

    /// A device that has opened its first stream at `a:1`.
    static func opened(cursor: Int64? = nil, limit: Int32 = 64) -> (DeviceMachine, StreamKey) {
        let state = DeviceState(user: UserID(42 as UInt64)!, device: "phone", session: "s", log: cursor == nil ? nil : log, cursor: cursor)
        var machine = DeviceMachine(state, seed: 1)
        _ = machine.start(at: .zero)
        let key = streamKey(machine.connected(to: "a:1", epoch: 1, at: .zero))!
        _ = machine.received(.opened(opening(next: (cursor ?? 9) + 1, limit: limit)), on: key, at: .zero)
        return (machine, key)
    }

    static func opening(next: Int64, log: LogID = log, limit: Int32 = 64, fallback: String = "b:2") -> Opened {
        var opened = Opened()
        opened.log = log.description
        opened.next = next
        opened.alive_ms = 1_000
        opened.fallback = fallback
        opened.time_ms = 1_800_000_000_000
        opened.maxUnacknowledged = limit
        return opened
    }

    static func streamKey(_ actions: [DeviceAction]) -> StreamKey? {
        for case .open(let key, _, _, _) in actions { return key }
        return nil
    }

    static func sends(_ actions: [DeviceAction]) -> [Send] {
        actions.compactMap { if case .send(_, let send) = $0 { send } else { nil } }
    }

    static func submit(_ bodies: [UInt8], on machine: inout DeviceMachine, at now: Duration = .zero) -> [Send] {
        bodies.flatMap { sends(machine.submit(Int($0), to: UserID(7 as UInt64)!, body: [$0], at: now)) }
    }

    static func refusal(_ id: [UInt8], _ reason: Reason, round: UInt32, after: Int32) -> ServerFrame {
        var refused = Refused()
        refused.id = id
        refused.reason = reason
        refused.round = round
        refused.retryAfter_ms = after
        return .refused(refused)
    }

    @Test("without a cursor it takes the server's next as its place at once")
    func firstCursor() {
        let (machine, _) = Self.opened()
        #expect(machine.state.cursor == 9)
        #expect(machine.state.log == Self.log)
    }

    @Test("a lost stream opens at the fallback first, with the cursor, then asks the connect server")
    func fallback() {
        var (machine, key) = Self.opened(cursor: 5)
        let actions = machine.lost(key, code: 14, detail: "", at: .seconds(6))
        guard case .open(let next, "b:2", let open, .zero)? = actions.first(where: { Self.streamKey([$0]) != nil }) else {
            Issue.record("no open at the fallback: \(actions)")
            return
        }
        #expect(open.cursor == 5 && open.attempt == 2 && open.log == Self.log.description)
        let again = machine.lost(next, code: 14, detail: "", at: .seconds(6))
        guard case .askConnect? = again.first else {
            Issue.record("did not ask the connect server: \(again)")
            return
        }
    }

    @Test("everything unacknowledged is sent again on the next stream, oldest first, under the same ids")
    func resend() {
        var (machine, key) = Self.opened(cursor: 5)
        let first = Self.submit([1, 2, 3], on: &machine)
        _ = machine.received(.ack(ack(first[1].id)), on: key, at: .zero)
        let open = machine.lost(key, code: 14, detail: "", at: .seconds(1))
        let sent = Self.sends(machine.received(.opened(Self.opening(next: 6)), on: Self.streamKey(open)!, at: .seconds(1)))
        #expect(sent.map(\.id) == [first[0].id, first[2].id])
    }

    @Test("a refusal that asks for a retry ends the round: nothing more is sent until the wait is over, then all of it, in the next round")
    func rounds() {
        var (machine, key) = Self.opened(cursor: 5)
        let sent = Self.submit([1, 2], on: &machine)
        _ = machine.received(Self.refusal(sent[1].id, .tooFast, round: 0, after: 300), on: key, at: .zero)
        #expect(Self.submit([3], on: &machine).isEmpty)
        #expect(Self.sends(machine.tick(at: .milliseconds(299))).isEmpty)
        let again = Self.sends(machine.tick(at: .milliseconds(300)))
        #expect(again.map(\.body) == [[1], [2], [3]])
        #expect(again.allSatisfy { $0.round == 1 })
        // A late refusal of the round that is over changes nothing.
        _ = machine.received(Self.refusal(sent[0].id, .overloaded, round: 0, after: 5_000), on: key, at: .milliseconds(300))
        #expect(Self.submit([4], on: &machine, at: .milliseconds(301)).map(\.round) == [1])
    }

    @Test("it waits the longest of several refusals, and never longer than 5 s")
    func longestWait() {
        var (machine, key) = Self.opened(cursor: 5)
        let sent = Self.submit([1, 2], on: &machine)
        _ = machine.received(Self.refusal(sent[0].id, .overloaded, round: 0, after: 9_000), on: key, at: .zero)
        _ = machine.received(Self.refusal(sent[1].id, .overloaded, round: 0, after: 10), on: key, at: .zero)
        _ = machine.received(.alive(Alive()), on: key, at: .milliseconds(2_500))
        #expect(Self.sends(machine.tick(at: .milliseconds(4_999))).isEmpty)
        #expect(Self.sends(machine.tick(at: .milliseconds(5_000))).count == 2)
    }

    @Test("final refusals end no round, and give the id up")
    func finalRefusal() {
        var (machine, key) = Self.opened(cursor: 5)
        let sent = Self.submit([1], on: &machine)
        let actions = machine.received(Self.refusal(sent[0].id, .expired, round: 0, after: 0), on: key, at: .zero)
        guard case .refused(token: 1, _, _)? = actions.first else {
            Issue.record("not told: \(actions)")
            return
        }
        #expect(machine.state.unacknowledged.isEmpty)
    }

    @Test("no more ids are unanswered on a stream than the server allows")
    func limit() {
        var (machine, key) = Self.opened(cursor: 5, limit: 2)
        let sent = Self.submit([1, 2, 3], on: &machine)
        #expect(sent.count == 2)
        #expect(Self.sends(machine.received(.ack(ack(sent[0].id)), on: key, at: .zero)).map(\.body) == [[3]])
    }

    @Test("records at or below the cursor are not shown twice")
    func seen() {
        var (machine, key) = Self.opened(cursor: 5)
        #expect(machine.received(.message(record(5)), on: key, at: .zero).isEmpty)
        #expect(machine.received(.message(record(6)), on: key, at: .zero) == [.deliver(record(6))])
        #expect(machine.state.cursor == 6)
    }

    @Test("a gap is noted above the cursor, moves it, and closes when the history is complete there")
    func gap() {
        var (machine, key) = Self.opened(cursor: 5)
        var gap = Gap()
        gap.from = 3
        gap.to = 10
        _ = machine.received(.gap(gap), on: key, at: .zero)
        let noted = HistoryGap(log: Self.log, from: 6, to: 10)
        #expect(machine.state.gaps == [noted])
        #expect(machine.state.cursor == 9)
        machine.filled(noted, through: 10)
        #expect(machine.state.gaps.isEmpty)
    }

    @Test("another log: what followed the cursor in the old one is a gap")
    func anotherLog() {
        var (machine, key) = Self.opened(cursor: 5)
        let open = machine.lost(key, code: 14, detail: "", at: .seconds(1))
        _ = machine.received(.opened(Self.opening(next: 0, log: Self.later)), on: Self.streamKey(open)!, at: .seconds(1))
        #expect(machine.state.gaps == [HistoryGap(log: Self.log, from: 6, to: .max)])
        #expect(machine.state.log == Self.later && machine.state.cursor == -1)
    }

    @Test("after Moved the old stream serves until the new one is Opened")
    func moved() {
        var (machine, key) = Self.opened(cursor: 5)
        var moved = Moved()
        moved.messaging = "c:3"
        moved.epoch = 8
        let next = Self.streamKey(machine.received(.moved(moved), on: key, at: .seconds(1)))!
        #expect(Self.submit([1], on: &machine).count == 1)
        #expect(machine.current?.key == key)
        let actions = machine.received(.opened(Self.opening(next: 6)), on: next, at: .seconds(1))
        #expect(actions.first == .drop(key))
        #expect(Self.sends(actions).map(\.body) == [[1]])
        #expect(machine.current?.address == "c:3" && machine.state.epoch == 8)
    }

    @Test("silence for three alive periods means that the server is lost")
    func silence() {
        var (machine, key) = Self.opened(cursor: 5)
        #expect(machine.tick(at: .milliseconds(2_999)).isEmpty)
        #expect(machine.tick(at: .milliseconds(3_000)).first == .drop(key))
    }

    @Test("an id unanswered for 10 s means that the server is lost, although it speaks")
    func unanswered() {
        var (machine, key) = Self.opened(cursor: 5)
        _ = Self.submit([1], on: &machine)
        _ = machine.received(.alive(Alive()), on: key, at: .seconds(9))
        #expect(machine.tick(at: .milliseconds(9_999)).isEmpty)
        #expect(machine.tick(at: .seconds(10)).first == .drop(key))
    }

    @Test("a cursor above the log's end is dropped", arguments: [11])
    func outOfRange(code: Int) {
        var (machine, key) = Self.opened(cursor: 5)
        _ = machine.lost(key, code: code, detail: "", at: .seconds(1))
        #expect(machine.state.cursor == -1 && machine.state.log == nil)
    }

    @Test("ABORTED and INVALID_ARGUMENT: it does not return", arguments: [10, 3])
    func gone(code: Int) {
        var (machine, key) = Self.opened(cursor: 5)
        let actions = machine.lost(key, code: code, detail: "x", at: .seconds(1))
        #expect(actions.contains(.ended(code: code, detail: "x")))
        #expect(Self.streamKey(actions) == nil)
    }

    private func ack(_ id: [UInt8]) -> Ack {
        var ack = Ack()
        ack.id = id
        return ack
    }

    private func record(_ offset: Int64) -> Message {
        var message = Message()
        message.offset = offset
        return message
    }
}
