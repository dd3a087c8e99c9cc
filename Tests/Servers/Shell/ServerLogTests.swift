@testable import Servers
import Synchronization
import Testing

@Suite("A server's log")
struct ServerLogTests {
    @Test("one line each, with time, level and server")
    func lines() {
        final class Lines: Sendable { let all = Mutex<[String]>([]) }
        let lines = Lines()
        let log = ServerLog("messaging-3", to: { line in lines.all.withLock { $0.append(line) } })
        log.info("owns 0-179")
        log.error("two\nlines")
        let said = lines.all.withLock { $0 }
        #expect(said[0].wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info  messaging-3 owns 0-179/) != nil, "\(said[0])")
        #expect(said[1].hasSuffix("error messaging-3 two lines"))
    }

    @Test("what goes on is said when it changes, again after a while, and once when it is over")
    func repeated() {
        let words = RepeatedWords(every: .seconds(30))
        let start = ContinuousClock.now
        #expect(words.isNews("a", now: start) && !words.isNews("a", now: start + .seconds(29)))
        #expect(words.isNews("b", now: start + .seconds(29)) && !words.isNews("b", now: start + .seconds(30)))
        #expect(words.isNews("b", now: start + .seconds(59)))
        #expect(words.end() && !words.end() && words.isNews("b", now: start + .seconds(60)))
    }
}
