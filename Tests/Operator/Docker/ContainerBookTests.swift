import Cell
import Testing

@testable import Operator

/// A book that expectations may change.
private final class Trial {
    private var book: ContainerBook

    init(_ cell: CellName) { book = ContainerBook(cell) }

    var servers: [RunningServer] { book.lives.servers }
    var pending: Set<ServerLife> { book.lives.pending }
    var leaving: Set<String> { book.lives.leaving }

    func mark() -> Int { book.lives.mark() }
    func begin(_ life: ServerLife) -> Bool { book.lives.begin(life) }
    func abandon(_ life: ServerLife) { book.lives.abandon(life, now: Moment(milliseconds: 499_000)) }
    func forget(_ life: ServerLife) -> String? { book.forget(life) }
    func finish(_ life: ServerLife, at: Moment, _ reason: String, explained: Bool = true) -> RunningServer? {
        book.finish(life, at: at, reason, explained: explained)
    }
    func take(_ event: EngineMessage.Event, now: Moment) -> [ContainerBook.Step] { book.take(event, now: now) }

    func take(_ list: [EngineMessage.Listed], since mark: Int, now: Moment, unix_s: Int64) -> [ContainerBook.Step] {
        book.take(list, since: mark, now: now, unix_s: unix_s)
    }

    func started(_ life: ServerLife, now: Moment) -> [ContainerBook.Step] {
        book.started(life, container: "c1", name: "x", zone: "", port: nil, now: now)
    }
}

extension OperatorTests {
    @Suite("What is known of containers, in whatever order it is told")
    struct ContainerBookTests {
        let cell = CellName("eu-1")!
        let life = ServerLife(ServerID(.messaging, 1), Incarnation("5f0c")!)
        var labels: [String: String] { ServerLabels(life, ServerTemplate(cell: cell, zone: "a"), build: "cell:1.0").containerLabels }

        func event(_ action: String, code: Int? = nil, container: String = "c1") -> EngineMessage.Event {
            var attributes = labels
            attributes["name"] = "cell-eu-1-messaging-1-5f0c"
            if let code { attributes["exitCode"] = "\(code)" }
            return EngineMessage.Event(Type: "container", Action: action, Actor: .init(ID: container, Attributes: attributes), timeNano: 1)
        }

        func listed(_ state: String, created: Int64 = 1_000, container: String = "c1") -> EngineMessage.Listed {
            EngineMessage.Listed(Id: container, Names: ["/x"], State: state, Labels: labels, Created: created)
        }

        func at(_ milliseconds: Int64) -> Moment { Moment(milliseconds: milliseconds) }

        /// In the list's time 1,000 s is 100 s ago.
        private func take(_ book: Trial, _ list: [EngineMessage.Listed], since mark: Int? = nil) -> [ContainerBook.Step] {
            book.take(list, since: mark ?? book.mark(), now: at(500_000), unix_s: 1_100)
        }

        @Test("a list adopts what runs, with its age; telling it again tells nothing")
        func adopts() {
            let book = Trial(cell)
            let steps = take(book, [listed("running")])
            #expect(book.servers.map(\.started) == [at(400_000)])
            #expect(steps == [.tell(book.servers[0]), .watch(life, container: "c1")])
            #expect(take(book, [listed("running")]).isEmpty)
            #expect(book.take(event("start"), now: at(500_001)).isEmpty)
        }

        @Test("an end is final: an old start that is told again wakes nobody")
        func final() {
            let book = Trial(cell)
            _ = book.take(event("start"), now: at(1))
            #expect(book.take(event("die", code: 137), now: at(2)) == [.ended(life, container: "c1", ContainerEnd(code: 137))])
            #expect(book.finish(life, at: at(2), "it ended") != nil)
            #expect(book.take(event("die", code: 137), now: at(3)).isEmpty)
            #expect(book.take(event("start"), now: at(3)).isEmpty)
            #expect(take(book, [listed("running")]).isEmpty)
            #expect(book.servers.map(\.isGone) == [true])
        }

        @Test("an end that the process told is explained by the engine later, and keeps its time")
        func explained() {
            let book = Trial(cell)
            _ = book.take(event("start"), now: at(1))
            #expect(book.finish(life, at: at(2), "its process ended", explained: false)?.state == .exited(at: at(2), reason: "its process ended"))
            #expect(take(book, [listed("running")]).isEmpty)
            #expect(book.take(event("die", code: 7), now: at(9)).count == 1)
            #expect(book.finish(life, at: at(9), "code 7")?.state == .exited(at: at(2), reason: "code 7"))
            #expect(book.finish(life, at: at(9), "code 8") == nil)
        }

        @Test("a list that was asked for before a start knows nothing of it")
        func lateList() {
            let book = Trial(cell)
            let mark = book.mark()
            _ = book.begin(life)
            _ = book.started(life, now: at(1))
            #expect(take(book, [], since: mark).isEmpty)
            #expect(book.servers.map(\.isGone) == [false])
            #expect(take(book, []).count == 1)
            #expect(book.servers.map(\.isGone) == [true])
        }

        @Test("the end is quicker than the answer to the start")
        func quickEnd() {
            let book = Trial(cell)
            _ = book.begin(life)
            _ = book.take(event("start"), now: at(1))
            _ = book.take(event("die", code: 7), now: at(2))
            _ = book.finish(life, at: at(2), "it exited")
            #expect(book.started(life, now: at(3)).isEmpty)
            #expect(book.servers.map(\.isGone) == [true])
            #expect(book.pending.isEmpty)
        }

        @Test("what is being removed, dead or exited counts as gone; only the container knows how it ended", arguments: ["removing", "dead", "exited"])
        func gone(_ state: String) {
            let book = Trial(cell)
            #expect(take(book, [listed(state)]) == [.inspect(life, container: "c1")])
        }

        @Test("a container that was made and not started is left alone for a while, then it counts as gone")
        func neverStarted() {
            let book = Trial(cell)
            #expect(take(book, [listed("created", created: 1_050)]).isEmpty)
            #expect(book.servers.isEmpty)
            #expect(take(book, [listed("created")]).count == 1)
            #expect(book.servers.map(\.isGone) == [true])
        }

        @Test("whatever comes of an abandoned start goes")
        func abandoned() {
            let book = Trial(cell)
            #expect(book.begin(life))
            book.abandon(life)
            #expect(book.take(event("start"), now: at(1)) == [.remove(container: "c1")])
            #expect(take(book, [listed("created")]) == [.remove(container: "c1")])
            #expect(book.servers.isEmpty)
            #expect(!book.begin(life))
        }

        @Test("the forgotten stay forgotten while their removal is stuck")
        func forgotten() {
            let book = Trial(cell)
            _ = book.take(event("start"), now: at(1))
            #expect(book.forget(life) == nil, "it runs")
            _ = book.finish(life, at: at(2), "it ended")
            #expect(book.forget(life) == "c1")
            #expect(take(book, [listed("removing")]).isEmpty)
            #expect(take(book, [listed("exited")]) == [.remove(container: "c1")])
            #expect(book.servers.isEmpty)
            #expect(take(book, []).isEmpty)
            #expect(book.leaving.isEmpty)
        }

        @Test("one that ended is known for a while after its container is gone")
        func remembered() {
            let book = Trial(cell)
            _ = book.take(event("start"), now: at(1))
            _ = book.finish(life, at: at(450_000), "it ended")
            #expect(take(book, []).isEmpty)
            #expect(book.servers.count == 1)
            _ = book.take([], since: book.mark(), now: at(510_001), unix_s: 1_100)
            #expect(book.servers.isEmpty)
        }

        @Test("one that was forgotten before its end was explained is explained all the same, and its container waits for that")
        func explainedLate() {
            let book = Trial(cell)
            _ = book.take(event("start"), now: at(1))
            _ = book.finish(life, at: at(2), "its process ended", explained: false)
            #expect(book.forget(life) == "c1")
            #expect(take(book, [listed("exited")]).isEmpty)
            #expect(book.take(event("die", code: 7), now: at(3)).count == 1)
            #expect(book.finish(life, at: at(3), "code 7", explained: false) == nil)
            #expect(book.finish(life, at: at(4), "code 7: no such port")?.state == .exited(at: at(2), reason: "code 7: no such port"))
            #expect(book.take(event("die", code: 7), now: at(5)).isEmpty)
            #expect(book.servers.isEmpty)
        }

        @Test("containers of others are nothing to us")
        func others() throws {
            let book = Trial(try #require(CellName("eu-2")))
            #expect(take(book, [listed("running")]).isEmpty)
            #expect(book.take(event("start"), now: at(1)).isEmpty)
        }

        @Test("memory that ran out is said")
        func memory() {
            let book = Trial(cell)
            _ = book.take(event("start"), now: at(1))
            _ = book.take(event("oom"), now: at(2))
            let steps = book.take(event("die", code: 137), now: at(3))
            guard case .ended(_, _, let end)? = steps.first else {
                Issue.record("\(steps)")
                return
            }
            #expect("\(end)".contains("out of memory"))
        }
    }
}
