import Testing

@testable import Cassandra

@Suite struct StreamTableTests {
    let start = ContinuousClock.now

    func table(inFlight: Int = 4, queued: Int = 2) -> StreamTable<String> {
        StreamTable(limits: .init(inFlight: inFlight, queued: queued, orphanAge: .seconds(60), silence: .seconds(10)), now: start)
    }

    func delivered(_ answer: StreamTable<String>.Answer) -> String {
        switch answer {
        case .deliver(let waiter): waiter
        case .late: "late"
        case .unknown: "unknown"
        }
    }

    @Test("an id stays taken until its answer came, and a late answer goes to nobody")
    func lateAnswer() throws {
        // Streams 9 and 10: the request on 9 was given up, then the answers of 9 and 10 came.
        let late = try frames(hex("84000009080000000400000001" + "8400000a080000000400000001"))
        var table = table(inFlight: 16)
        for index in 0...9 {
            #expect(table.admit("r\(index)", number: UInt64(index), deadline: start + .seconds(index == 9 ? 1 : 9), now: start) == .send(Int16(index)))
        }
        #expect(table.expire(now: start + .seconds(2)) == ["r9"])
        #expect(table.admit("r10", number: 10, deadline: start + .seconds(9), now: start) == .send(10))
        #expect(late.map { delivered(table.answer($0.stream, now: start + .seconds(3))) } == ["late", "r10"])
        #expect(table.orphans == 0)
        #expect(table.admit("r11", number: 11, deadline: start + .seconds(9), now: start) == .send(10))
        #expect(table.admit("r12", number: 12, deadline: start + .seconds(9), now: start) == .send(9))
    }

    @Test("what finds no id waits, in order, up to the bound; then it is refused")
    func queue() {
        var table = table()
        let deadline = start + .seconds(5)
        let admissions = (0..<7).map { table.admit("r\($0)", number: UInt64($0), deadline: deadline, now: start) }
        #expect(admissions == [.send(0), .send(1), .send(2), .send(3), .queued, .queued, .refused])
        #expect(table.next(now: start) == nil)
        #expect(delivered(table.answer(2, now: start)) == "r2")
        let next = table.next(now: start)
        #expect(next?.stream == 2 && next?.waiter == "r4")
        #expect(table.next(now: start) == nil)
        #expect(table.removeAll().sorted() == ["r0", "r1", "r3", "r4", "r5"])
    }

    @Test("answers that nobody asked for", arguments: [Int16(-1), 0, 5, .max])
    func unknown(_ stream: Int16) {
        var table = table()
        #expect(delivered(table.answer(stream, now: start)) == "unknown")
    }

    @Test("a connection is replaced when most of its ids are orphans, one is too old, or nothing is heard")
    func verdicts() {
        var table = table()
        #expect(table.verdict(now: start + .seconds(1000)) == .healthy)
        for number in 0..<3 { _ = table.admit("r", number: UInt64(number), deadline: start + .seconds(100), now: start) }
        #expect(table.verdict(now: start + .seconds(10)) == .healthy)
        #expect(table.verdict(now: start + .seconds(11)) == .silent)
        #expect(table.abandon(0, now: start) == "r")
        #expect(table.abandon(0, now: start) == nil)
        #expect(table.abandon(1, now: start) == "r")
        #expect(table.verdict(now: start + .seconds(1)) == .healthy)
        #expect(table.abandon(2, now: start) == "r")
        #expect(table.verdict(now: start + .seconds(1)) == .tooManyOrphans(3))
        _ = table.answer(0, now: start + .seconds(59))
        #expect(table.verdict(now: start + .seconds(59)) == .healthy)
        #expect(table.verdict(now: start + .seconds(61)) == .orphanTooOld)
    }

    @Test("seeded: every request is answered at most once and by its own answer", arguments: [UInt64(1), 2, 3, 4])
    func random(_ seed: UInt64) {
        var state = seed
        func pick(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var table = table(inFlight: 8, queued: 5)
        var wire: [(stream: Int16, waiter: String)] = []
        var open: Set<String> = []
        var now = start
        for number in 0..<5_000 {
            now += .milliseconds(pick(20))
            let name = "r\(number)"
            switch table.admit(name, number: UInt64(number), deadline: now + .milliseconds(pick(200)), now: now) {
            case .send(let stream): wire.append((stream, name)); open.insert(name)
            case .queued: open.insert(name)
            case .refused: #expect(open.count >= 5, "seed \(seed)")
            }
            for waiter in table.expire(now: now) { #expect(open.remove(waiter) != nil, "seed \(seed)") }
            if !wire.isEmpty, pick(3) > 0 {
                let (stream, waiter) = wire.remove(at: pick(wire.count))
                let answer = delivered(table.answer(stream, now: now))
                #expect(answer == (open.contains(waiter) ? waiter : "late"), "seed \(seed)")
                open.remove(waiter)
            }
            while let (stream, waiter) = table.next(now: now) { wire.append((stream, waiter)) }
            #expect(table.taken == wire.count, "seed \(seed)")
        }
    }
}

@Suite struct SessionCoreTests {
    @Test("the password is sent once, and only when asked for")
    func handshake() {
        var open = Handshake(credentials: nil)
        #expect(open.received(.ready) == .ready)
        var refused = Handshake(credentials: nil)
        guard case .fail(let error) = refused.received(.authenticate("PasswordAuthenticator")) else { return #expect(Bool(false)) }
        #expect(error.code == .badCredentials)
        var asked = Handshake(credentials: Credentials(user: "u", password: "p"))
        #expect(asked.received(.authenticate("x")) == .send(EncodedRequest(opcode: .authResponse, body: [0, 0, 0, 4, 0, 117, 0, 112])))
        #expect(asked.received(.authSuccess) == .ready)
        guard case .fail = asked.received(.authenticate("x")) else { return #expect(Bool(false)) }
    }

    @Test(
        "retries",
        arguments: [
            ("not run at all", CassandraError.Code.noNode, 1, false, true), ("unknown outcome, not idempotent", .timedOut, 1, false, false),
            ("unknown outcome, idempotent", .timedOut, 1, true, true), ("too often", .connectionLost, 3, true, false),
            ("unavailable once", .unavailable, 1, false, true),
            ("unavailable twice", .unavailable, 2, true, false), ("a defect", .syntax, 1, true, false), ("failed by its rows", .readFailure, 1, true, false),
            ("the caller went away", .cancelled, 1, true, false),
        ])
    func retry(_ name: String, _ code: CassandraError.Code, _ attempts: Int, _ idempotent: Bool, _ again: Bool) {
        #expect(RetryPolicy.again(after: code, attempts: attempts, idempotent: idempotent) == again, "\(name)")
    }

    @Test("waits double and stay within their bounds")
    func backoff() {
        var backoff = Backoff(.milliseconds(100)...(.seconds(1)))
        #expect((0..<5).map { _ in backoff.next(random: 1) } == [.milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(800), .seconds(1)])
        #expect(backoff.next(random: 0) == .milliseconds(500))
        backoff.reset()
        #expect(backoff.next(random: 1) == .milliseconds(100))
    }

    @Test("nodes are found, kept to one data centre, and left when they leave")
    func topology() {
        let contact = Endpoint(host: "proxy", port: 1)
        func member(_ id: UInt8, _ dataCenter: String = "a") -> Member {
            Member(id: [id], dataCenter: dataCenter, endpoint: Endpoint(host: "10.0.0.\(id)", port: 9042))
        }
        var topology = Topology(contacts: [contact], dataCenter: nil)
        #expect(topology.wanted == [contact])
        #expect(!topology.serves(contact))
        topology.identified(Member(id: [1], dataCenter: "a", endpoint: contact))
        topology.listed([member(2), member(3, "b")], by: contact)
        #expect(topology.wanted == [member(2).endpoint, contact])
        #expect(topology.serves(contact) && topology.serves(member(2).endpoint))
        // The other one lists the contact point's node by its own address: that is no third node.
        topology.listed([member(1), member(4)], by: member(2).endpoint)
        #expect(topology.wanted == [member(2).endpoint, member(4).endpoint, contact])
        topology.listed([member(4)], by: contact)
        #expect(topology.wanted == [member(4).endpoint, contact])
    }

    @Test("rows are gathered over empty pages, and no more than asked for", arguments: [(1, [1]), (3, [1, 2, 3]), (9, [1, 2, 3, 4])])
    func paging(_ count: Int, _ expected: [Int32]) async throws {
        let pages: [[Int32]] = [[], [1], [], [], [2, 3], [], [4], []]
        let rows = try await Paging.rows(first: count) { page in
            let index = page.state.map { Int($0.bytes[0]) } ?? 0
            return Rows(
                columns: [Column(name: "x", type: .int)], values: pages[index].map { [.int($0)] },
                next: index + 1 < pages.count ? PagingState(bytes: [UInt8(index + 1)]) : nil)
        }
        #expect(try rows.map { try $0.int(0) } == expected)
    }
}
