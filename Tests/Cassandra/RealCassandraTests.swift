import Glibc
import Support
import Testing

@testable import Cassandra

/// Against a real node. Each test has a keyspace of its own.
@Suite(.enabled(if: Peers.wanted), .timeLimit(.minutes(20)))
struct RealCassandraTests {
    static func session(_ port: Int, _ change: (inout CassandraConfiguration) -> Void = { _ in }) throws -> CassandraSession {
        var configuration = CassandraConfiguration(contactPoints: [Endpoint(host: "127.0.0.1", port: UInt16(port))])
        configuration.timeout = .seconds(60)
        configuration.attemptTimeout = .seconds(30)
        configuration.connectTimeout = .seconds(20)
        configuration.silence = .seconds(60)
        change(&configuration)
        return try CassandraSession(configuration)
    }

    /// A session, and a keyspace with a table `t (k int, c bigint, v text)` of its own.
    static func table(_ port: Int, _ name: String) async throws -> CassandraSession {
        let session = try session(port)
        _ = try await session.execute("CREATE KEYSPACE IF NOT EXISTS \(name) WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        _ = try await session.execute("CREATE TABLE IF NOT EXISTS \(name).t (k int, c bigint, v text, PRIMARY KEY (k, c))")
        try await session.awaitSchemaAgreement()
        return session
    }

    static func code(_ body: () async throws -> Void) async -> CassandraError.Code? {
        do { try await body() } catch { return (error as? CassandraError)?.code }
        return nil
    }

    @Test("write, read, page, batch")
    func basics() async throws {
        try await CassandraPeer.shared { peer in
            let session = try await Self.table(peer.port, "basics")
            defer { session.close() }
            let insert = PreparedStatement("INSERT INTO basics.t (k, c, v) VALUES (?, ?, ?)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for c in 0..<100 { group.addTask { _ = try await session.execute(insert, [.int(1), .bigint(Int64(c)), .text("v\(c)")]) } }
                try await group.waitForAll()
            }
            try await session.batch(insert, (100..<120).map { [.int(1), .bigint(Int64($0)), .text("v\($0)")] })
            let select = PreparedStatement("SELECT c, v FROM basics.t WHERE k = ?")
            var page = try await session.execute(select, [.int(1)], page: PageRequest(size: 50))
            var seen = page.count
            while let next = page.next {
                page = try await session.execute(select, [.int(1)], page: PageRequest(size: 50, after: next))
                seen += page.count
            }
            #expect(seen == 120)
            let rows = try await session.rows(select, [.int(1)], first: 111)
            #expect(rows.count == 111)
            #expect(try rows[110].bigint(0) == 110 && rows[110].text(1) == "v110")
            #expect(try await session.tables(of: "basics") == ["t"])
        }
    }

    @Test("errors have their code, and leave the session working")
    func errors() async throws {
        try await CassandraPeer.shared { peer in
            let session = try await Self.table(peer.port, "errors")
            defer { session.close() }
            #expect(await Self.code { _ = try await session.execute("SELEC") } == .syntax)
            #expect(await Self.code { _ = try await session.execute(PreparedStatement("SELECT x FROM errors.t")) } == .invalid)
            #expect(await Self.code { _ = try await session.execute("CREATE TABLE errors.t (k int PRIMARY KEY)") } == .alreadyExists)
            let insert = PreparedStatement("INSERT INTO errors.t (k, c, v) VALUES (?, ?, ?)")
            #expect(await Self.code { _ = try await session.execute(insert, [.int(1)]) } == .wrongValue)
            #expect(await Self.code { _ = try await session.execute(insert, [.int(1), .int(1), .text("")]) } == .wrongValue)
            #expect(await Self.code { _ = try await session.execute(insert, [.int(1), .bigint(1), .text("")], consistency: .three) } == .unavailable)
            _ = try await session.execute(insert, [.int(1), .bigint(1), .text("")])
        }
    }

    @Test("nobody there: an error at the deadline that says where")
    func nobody() async throws {
        let session = try Self.session(1) { $0.timeout = .milliseconds(300) }
        defer { session.close() }
        try await eventually("the refusal") { !session.problems.isEmpty }
        do {
            _ = try await session.execute("SELECT release_version FROM system.local")
            Issue.record("an answer from nobody")
        } catch let error as CassandraError {
            #expect(error.code == .noNode)
            #expect(error.what.contains("cannot connect"))
        }
    }

    @Test("a cancelled statement returns at once; a closed session refuses")
    func cancelled() async throws {
        try await CassandraPeer.shared { peer in
            let proxy = try TCPProxy(to: peer.port)
            let session = try Self.session(proxy.port)
            _ = try await session.execute("SELECT host_id FROM system.local")
            proxy.fault(.hole)
            // Before it is on its way, just then, and when it waits for the answer.
            for pause in [Duration.zero, .microseconds(100), .milliseconds(50)] {
                let task = Task { try await session.execute("SELECT host_id FROM system.local") }
                if pause > .zero { try await Task.sleep(for: pause) }
                let begin = ContinuousClock.now
                task.cancel()
                #expect(await Self.code { _ = try await task.value } == .cancelled)
                // Without the cancellation it would wait for a minute.
                #expect(ContinuousClock.now - begin < .seconds(20))
            }
            session.close()
            #expect(await Self.code { _ = try await session.execute("SELECT host_id FROM system.local") } == .closed)
        }
    }

    @Test("a column added under load: prepared statements go on reading the right columns")
    func alter() async throws {
        try await CassandraPeer.shared { peer in
            let session = try await Self.table(peer.port, "altered")
            defer { session.close() }
            let insert = PreparedStatement("INSERT INTO altered.t (k, c, v) VALUES (?, ?, ?)")
            let select = PreparedStatement("SELECT c, v FROM altered.t WHERE k = ?")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in Int32(0)..<8 {
                    group.addTask {
                        for c in Int64(0)..<60 {
                            _ = try await session.execute(insert, [.int(worker), .bigint(c), .text("\(worker)/\(c)")])
                            for row in try await session.execute(select, [.int(worker)]).rows {
                                #expect(try row.text(1) == "\(worker)/\(try row.bigint(0))")
                            }
                        }
                    }
                }
                group.addTask {
                    for name in ["a", "b", "u"] { _ = try await session.execute("ALTER TABLE altered.t ADD \(name) int") }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("a keyspace dropped and made anew: the statement is prepared again")
    func dropped() async throws {
        try await CassandraPeer.shared { peer in
            let session = try await Self.table(peer.port, "dropped")
            let insert = PreparedStatement("INSERT INTO dropped.t (k, c, v) VALUES (?, ?, ?)")
            _ = try await session.execute(insert, [.int(1), .bigint(1), .text("")])
            _ = try await session.execute("DROP KEYSPACE dropped")
            #expect(await Self.code { _ = try await session.execute(insert, [.int(1), .bigint(1), .text("")]) } == .invalid)
            session.close()
            let again = try await Self.table(peer.port, "dropped")
            defer { again.close() }
            _ = try await again.execute(insert, [.int(1), .bigint(1), .text("")])
            #expect(try await again.execute("SELECT c FROM dropped.t").count == 1)
        }
    }

    @Test("late answers: not one foreign row, and the ids are not used up")
    func lateAnswers() async throws {
        try await CassandraPeer.shared { peer in
            let direct = try await Self.table(peer.port, "late")
            defer { direct.close() }
            let insert = PreparedStatement("INSERT INTO late.t (k, c, v) VALUES (?, ?, ?)")
            for k in Int32(0)..<50 { _ = try await direct.execute(insert, [.int(k), .bigint(1), .text("user \(k)")]) }
            let proxy = try TCPProxy(to: peer.port)
            let session = try Self.session(proxy.port) {
                $0.timeout = .seconds(1)
                $0.attemptTimeout = .seconds(1)
                $0.maxInFlight = 256
            }
            defer { session.close() }
            let select = PreparedStatement("SELECT k, v FROM late.t WHERE k = ?")
            try await eventually("the first answer") { try await session.execute(select, [.int(1)]).count == 1 }
            for delay in [Duration.milliseconds(1500), .milliseconds(5), .milliseconds(1200), .zero] {
                proxy.delay(delay)
                await withTaskGroup(of: Void.self) { group in
                    for query in 0..<200 {
                        group.addTask {
                            let user = Int32(query % 50)
                            guard let rows = try? await session.execute(select, [.int(user)]) else { return }
                            for row in rows.rows { #expect((try? row.int(0)) == user && (try? row.text(1)) == "user \(user)") }
                        }
                    }
                }
            }
            try await eventually("answers again", within: .seconds(150)) { (try? await session.execute(select, [.int(7)]))?.count == 1 }
        }
    }

    @Test("more than the bound is refused with a reason, what is within it is answered")
    func bound() async throws {
        try await CassandraPeer.shared { peer in
            let proxy = try TCPProxy(to: peer.port)
            let session = try Self.session(proxy.port) {
                $0.maxInFlight = 16
                $0.maxQueued = 32
                // A question of its own would take a place.
                $0.heartbeat = .seconds(300)
                $0.discovery = .seconds(300)
            }
            defer { session.close() }
            let select = PreparedStatement("SELECT host_id FROM system.local")
            _ = try await session.execute(select)
            proxy.fault(.hole)
            let codes = await withTaskGroup(of: CassandraError.Code?.self) { group in
                for _ in 0..<100 { group.addTask { await Self.code { _ = try await session.execute(select) } } }
                var codes: [CassandraError.Code?] = []
                for await code in group {
                    codes.append(code)
                    if codes.count == 52 { proxy.fault(.none) }
                }
                return codes
            }
            // A question or two of the session's own may have had a place when the network broke, or an answer been on its way.
            let answered = codes.count { $0 == nil }
            #expect((46...50).contains(answered))
            #expect(codes.count { $0 == .busy } == 100 - answered)
        }
    }

    @Test("the connection is reset in the middle: idempotent statements go on")
    func resets() async throws {
        try await CassandraPeer.shared { peer in
            let direct = try await Self.table(peer.port, "resets")
            defer { direct.close() }
            let proxy = try TCPProxy(to: peer.port)
            let session = try Self.session(proxy.port)
            defer { session.close() }
            let insert = PreparedStatement("INSERT INTO resets.t (k, c, v) VALUES (?, ?, ?)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in Int32(0)..<4 {
                    group.addTask {
                        for c in Int64(0)..<200 {
                            if worker == 0, c % 70 == 50 { proxy.reset() }
                            try await eventually("row \(c) is written", within: .seconds(90)) {
                                await Self.code { _ = try await session.execute(insert, [.int(worker), .bigint(c), .text("")]) } == nil
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            for worker in Int32(0)..<4 { #expect(try await direct.execute("SELECT c FROM resets.t WHERE k = \(worker)").count == 200) }
        }
    }

    @Test("a node stopped for some seconds, killed, and started again without its prepared statements")
    func nodeDies() async throws {
        try await CassandraPeer.exclusive { peer in
            let session = try await Self.table(peer.port, "dies")
            defer { session.close() }
            let quick = try Self.session(peer.port) {
                $0.timeout = .seconds(1)
                // Longer than a statement waits, also when a stall lies between.
                $0.silence = .seconds(8)
                $0.heartbeat = .seconds(300)
            }
            defer { quick.close() }
            let insert = PreparedStatement("INSERT INTO dies.t (k, c, v) VALUES (?, ?, ?)")
            let values: [CQLValue] = [.int(1), .bigint(1), .text("x")]
            try await eventually("the first row") { await Self.code { _ = try await quick.execute(insert, values) } == nil }

            try await peer.signal(SIGSTOP)
            // The signal may take a moment to reach all of the node's threads.
            try await eventually("a statement runs out of time", within: .seconds(60)) {
                let begin = ContinuousClock.now
                let code = await Self.code { _ = try await quick.execute(insert, values) }
                // One attempt alone may take half a minute.
                #expect(ContinuousClock.now - begin < .seconds(15))
                return code == .timedOut
            }
            try await eventually("the silent connection is given up", within: .seconds(60)) { quick.nodes.isEmpty }
            try await peer.signal(SIGCONT)
            try await eventually("it answers again", within: .seconds(150)) { await Self.code { _ = try await quick.execute(insert, values) } == nil }

            try await peer.signal(SIGKILL)
            try await eventually("the death is noticed") { quick.nodes.isEmpty }
            #expect(await Self.code { _ = try await quick.execute(insert, values) } == .noNode)
            try await peer.start()
            try await eventually("its statements are forgotten", within: .seconds(150)) {
                _ = try await session.execute("TRUNCATE system.prepared_statements", consistency: .one)
                return true
            }
            try await eventually("it answers again", within: .seconds(150)) { await Self.code { _ = try await quick.execute(insert, values) } == nil }
            #expect(try await session.execute("SELECT v FROM dies.t").count == 1)
        }
    }
}
