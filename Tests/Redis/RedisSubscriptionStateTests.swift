import Testing

@testable import Redis

@Suite("The state of a subscription")
struct RedisSubscriptionStateTests {
    let start = ContinuousClock.now

    func state() -> SubscriptionState {
        var state = SubscriptionState(["c"], at: RedisAddress(host: "r", port: 1), patience: .milliseconds(1_600), now: start)
        _ = state.begin()
        _ = state.received(.array([.bytes(Array("subscribe".utf8)), .bytes(Array("c".utf8)), .integer(1)]), now: start)
        return state
    }

    func words(_ actions: [SubscriptionState.Action]) -> [String] {
        actions.map {
            switch $0 {
            case .send(let commands): commands.map { String(decoding: $0.arguments[0], as: UTF8.self) }.joined()
            case .fail(let error): "\(error.code)"
            case .subscribed: "subscribed"
            case .message: "message"
            }
        }
    }

    @Test("silence is asked about after half the patience, and is a loss after all of it: 1.6 s")
    func silence() {
        var state = state()
        #expect(words(state.tick(start + .milliseconds(799))) == [])
        #expect(state.deadline == start + .milliseconds(800))
        #expect(words(state.tick(start + .milliseconds(800))) == ["PING"])
        #expect(words(state.tick(start + .milliseconds(1_599))) == [])
        #expect(state.deadline == start + .milliseconds(1_600))
        #expect(words(state.tick(start + .milliseconds(1_600))) == ["timeout"])
    }

    @Test("an answer ends the question")
    func answered() {
        var state = state()
        _ = state.tick(start + .milliseconds(800))
        #expect(words(state.received(.status("PONG"), now: start + .milliseconds(1_000))) == [])
        #expect(words(state.tick(start + .milliseconds(1_600))) == [])
        #expect(words(state.tick(start + .milliseconds(1_800))) == ["PING"])
    }

    @Test("a thread that did not run for long asks before it gives a connection up")
    func asleep() {
        var state = state()
        #expect(words(state.tick(start + .seconds(5))) == ["PING"])
        #expect(words(state.tick(start + .milliseconds(5_799))) == [])
        #expect(words(state.tick(start + .milliseconds(5_800))) == ["timeout"])
    }
}
