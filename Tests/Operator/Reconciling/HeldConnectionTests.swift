import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Connections that are held")
    struct HeldConnectionTests {
        typealias Event = HeldConnection.Event
        typealias Action = HeldConnection.Action

        struct Case: CustomTestStringConvertible, Sendable {
            var name: String
            /// Milliseconds, what happened then, and what is to be done.
            var story: [(at: Int64, event: Event, action: Action)]
            var testDescription: String { name }
        }

        static let cases = [
            Case(
                name: "a process that dies: told once, at once",
                story: [
                    (0, .opened, .wait), (60_000, .broke, .connect(after: .zero)), (60_001, .refused, .tell(thenConnectAfter: .seconds(1))),
                    (61_001, .refused, .connect(after: .seconds(1))),
                ]),
            Case(
                name: "its port is closed after its connections",
                story: [
                    (0, .opened, .wait), (60_000, .broke, .connect(after: .zero)), (60_001, .opened, .wait), (60_002, .broke, .connect(after: .zero)),
                    (60_003, .refused, .tell(thenConnectAfter: .seconds(1))),
                ]),
            Case(
                name: "a server that closes quiet connections",
                story: [(0, .opened, .wait), (30_000, .broke, .connect(after: .zero)), (30_001, .opened, .wait), (60_001, .broke, .connect(after: .zero))]),
            Case(name: "nobody ever listened there", story: [(0, .refused, .connect(after: .seconds(1))), (1_000, .refused, .connect(after: .seconds(1)))]),
            Case(
                name: "a cut network: silence, and no end of it",
                story: [(0, .opened, .wait), (9_000, .broke, .connect(after: .zero)), (12_000, .failed, .connect(after: .milliseconds(500)))]),
            Case(
                name: "a port that refused, and takes connections again: it may refuse again",
                story: [
                    (0, .opened, .wait), (9_000, .broke, .connect(after: .zero)), (9_001, .refused, .tell(thenConnectAfter: .seconds(1))),
                    (10_001, .opened, .wait), (20_000, .broke, .connect(after: .zero)), (20_001, .refused, .tell(thenConnectAfter: .seconds(1))),
                ]),
        ]

        @Test("what is done about what happens", arguments: cases)
        func happens(_ example: Case) {
            var connection = HeldConnection()
            for (at, event, action) in example.story {
                let done = connection.take(event, now: Moment(milliseconds: at))
                #expect(done == action, "\(example.name), at \(at)")
            }
        }

        @Test("a port that takes connections and drops each: tried ever less often")
        func drops() {
            var connection = HeldConnection()
            var pauses: [Duration] = []
            for at in Int64(0)..<20 {
                _ = connection.take(.opened, now: Moment(milliseconds: at))
                if case .connect(let pause) = connection.take(.broke, now: Moment(milliseconds: at)) { pauses.append(pause) }
            }
            #expect(pauses.count == 20)
            #expect(pauses.prefix(3).allSatisfy { $0 == .zero })
            #expect(pauses[10] == .seconds(5) && pauses.last == .seconds(5))
        }
    }
}
