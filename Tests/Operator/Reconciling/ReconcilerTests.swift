import Blackboard
import Cell
import Kafka
import Redis
import Support
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("The reconciler on a real Redis", .serialized)
    struct ReconcilerTests {
        @Test("a cell comes up: ready, balanced, with settings, events and one log")
        func coldStart() async throws {
            let stage = try await Stage()
            let (generation, assignment, task) = try await stage.open(stage.spec(servers: 3))
            defer { task.cancel() }
            #expect(assignment.owned == 24)
            #expect(assignment.owners.count == 3)
            let settings = try await stage.board.settings()
            #expect(settings?.generation == generation)
            let logs = try await stage.board.logs()
            #expect(logs == [assignment.log].compactMap { $0 })
            try await eventually("the events") { try await stage.board.latestEvents(100).contains { $0.event.kind == "ServerReady" } }
            let told = try await stage.board.status()
            let status = try #require(told)
            #expect(status.servers.count == 8)
            #expect(status.leader == "a")
        }

        @Test("a crash: the standby takes over at once, the next standby starts")
        func crash() async throws {
            let stage = try await Stage()
            let generation = try await stage.apply(stage.spec())
            let task = try stage.startOperator()
            defer { task.cancel() }
            // The best of several: the machine may be busy with something else.
            var best = Duration.seconds(60)
            for _ in 1...4 where best >= .milliseconds(300) {
                let before = try await stage.waitUntilReady(generation)
                let victim = try #require(before.owners.first)
                let asked = ContinuousClock.now
                stage.driver.crash(victim)
                try await eventually("the failover") {
                    let now = try await stage.assignment()
                    return now.members[victim] == nil && now.owned == 24
                }
                best = min(best, ContinuousClock.now - asked)
            }
            #expect(best < .milliseconds(300))
            try await eventually("a new standby") {
                let now = try await stage.assignment()
                return now.members.values.contains { $0.role == .standby } && now.owners.count == 2
            }
            try await stage.waitUntilReady(generation)
        }

        @Test("a hang: replaced when its lease is over and its probe failed, then killed")
        func hang() async throws {
            let stage = try await Stage()
            let (generation, before, task) = try await stage.open(stage.spec())
            defer { task.cancel() }
            // Leases count from one lease after Redis came.
            try await Task.sleep(for: stage.lease)
            let victim = try #require(before.owners.first)
            let asked = ContinuousClock.now
            stage.driver.fault(victim) { $0.hangs = true }
            try await eventually("the failover") { try await stage.assignment().members[victim] == nil }
            let took = ContinuousClock.now - asked
            #expect(took < stage.lease + .seconds(4), "\(took)")
            try await eventually("its kill") { !stage.driver.living.contains { $0.id == victim } }
            try await stage.waitUntilReady(generation)
        }

        @Test("an owner that reads nothing although it renews its lease: named, replaced by its standby, killed; nobody is while all read")
        func stuck() async throws {
            var pace = Canary.Pace()
            (pace.interval, pace.concern, pace.patience) = (.milliseconds(500), .seconds(3), .seconds(9))
            let stage = try await Stage(log: try EmbeddedBroker(topic: "eu-1-messages", partitions: 24), canary: pace)
            let (generation, before, task) = try await stage.open(stage.spec())
            defer { task.cancel() }
            let victim = try #require(before.owners.first)
            stage.driver.fault(victim) { $0.isStuck = true }
            try await eventually("the finding", within: .seconds(60)) {
                try await stage.board.status()?.condition(.degraded)?.message.contains("\(victim) have read nothing of") ?? false
            }
            try await eventually("the failover", within: .seconds(60)) {
                let now = try await stage.assignment()
                return now.members[victim] == nil && now.owned == 24
            }
            try await eventually("its kill") { !stage.driver.living.contains { $0.id == victim } }
            let after = try await stage.waitUntilReady(generation)
            #expect(Set(before.owners.dropFirst()).isSubset(of: after.owners), "who reads keeps what it has")
        }

        @Test("a server that lost Redis alone keeps everything, and is named")
        func cutOff() async throws {
            // A probe has half of it: one that is answered late would be a death.
            let stage = try await Stage(lease: .seconds(3))
            let (generation, before, task) = try await stage.open(stage.spec())
            defer { task.cancel() }
            try await Task.sleep(for: stage.lease)
            let victim = try #require(before.owners.first)
            stage.driver.fault(victim) { $0.isCutOff = true }
            try await eventually("the finding") { try await stage.board.status()?.servers.contains { $0.name == victim && $0.state == .cutOff } ?? false }
            let after = try await stage.assignment()
            #expect(after.members[victim] == before.members[victim])
            stage.driver.fault(victim) { $0.isCutOff = false }
            try await stage.waitUntilReady(generation)
        }

        @Test("scaling up and down: ready only when the new servers serve; everybody who owns is warm")
        func scale() async throws {
            let stage = try await Stage()
            let (_, _, task) = try await stage.open(stage.spec())
            defer { task.cancel() }
            let second = try await stage.apply(stage.spec(servers: 4))
            let grown = try await stage.waitUntilReady(second)
            #expect(grown.owners.count == 4)
            #expect(grown.owned == 24)
            let third = try await stage.apply(stage.spec(servers: 1))
            let shrunk = try await stage.waitUntilReady(third)
            #expect(shrunk.owners.count == 1)
            #expect(shrunk.owned == 24)
            try await eventually("the end of those that are too many") { stage.driver.living.count { $0.id.kind == .messaging } == 2 }
        }

        @Test("Redis forgets everything: spec, assignment and settings come back, above every epoch, and nothing moves")
        func redisForgets() async throws {
            let stage = try await Stage()
            let (generation, before, task) = try await stage.open(stage.spec())
            defer { task.cancel() }
            let starts = stage.driver.starts
            _ = try await stage.client.command("FLUSHALL")
            let after = try await eventually("the assignment") { () -> Assignment? in
                guard let read = try await stage.board.assignment(), read.owned == 24 else { return nil }
                return read
            }
            #expect(after.members == before.members)
            #expect(after.epoch > before.epoch)
            #expect(after.log == before.log)
            try await eventually("the spec") { try await stage.board.spec()?.generation == generation }
            try await stage.waitUntilReady(generation)
            #expect(stage.driver.starts == starts)
            try await eventually("the logs") { try await stage.board.logs().last == before.log }
        }

        @Test("what was set by hand lies over the spec: through a new spec, a new operator and a Redis that forgets, until it is taken back")
        func overrides() async throws {
            let stage = try await Stage()
            let generation = try await stage.apply(stage.spec())
            let first = try stage.startOperator()
            try await stage.waitUntilReady(generation)
            let epoch = try #require(try await stage.board.settings()).epoch
            let revision = try await stage.board.put(SettingsOverrides(values: ["messaging.limits.bodyBytes": "4Ki", "moves.grace": "7s"]))
            let asked = ContinuousClock.now
            try await eventually("the settings") { try await stage.board.settings()?.limits.bodyBytes == 4_096 }
            #expect(ContinuousClock.now - asked < .seconds(4))
            let set = try #require(try await stage.board.settings())
            #expect(set.epoch > epoch && set.moveGrace_ms == 7_000 && set.generation == generation)

            var spec = stage.spec(servers: 3)
            spec.messaging.limits.userRate = 77
            let next = try await stage.apply(spec)
            try await eventually("the new spec") { try await stage.board.settings()?.limits.userRate == 77 }
            let both = try await stage.board.settings()
            #expect(both?.limits.bodyBytes == 4_096 && both?.generation == next)

            _ = try await stage.client.command("FLUSHALL")
            try await eventually("the overrides") { try await stage.board.overrides().revision == revision }
            try await eventually("the spec again") { try await stage.board.spec()?.generation == next }
            try await eventually("the settings again") { try await stage.board.settings()?.limits.bodyBytes == 4_096 }
            first.cancel()
            _ = await first.result
            let second = try stage.startOperator("b")
            defer { second.cancel() }
            try await eventually("the next operator") { try await stage.board.leader()?.name == "b" }
            _ = try await stage.board.put(SettingsOverrides(revision: revision))
            try await eventually("the spec's own") { try await stage.board.settings()?.limits.bodyBytes == 8_192 }
        }

        @Test("overrides that a newer spec does not bear wait, and the spec holds alone")
        func unbearable() async throws {
            let stage = try await Stage()
            let (_, _, task) = try await stage.open(stage.spec())
            defer { task.cancel() }
            let revision = try await stage.board.put(SettingsOverrides(values: ["messaging.limits.backlog": "16Ki", "messaging.limits.bodyBytes": "8Ki"]))
            try await eventually("the settings") { try await stage.board.settings()?.limits.backlog == 16 << 10 }
            _ = try await stage.board.put(
                SettingsOverrides(revision: revision, values: ["messaging.limits.backlog": "16Ki", "messaging.limits.bodyBytes": "64Ki"]))
            try await eventually("the spec alone") { try await stage.board.settings()?.limits.backlog == 256 << 10 }
            try await eventually("it is told") { try await stage.board.latestEvents(50).contains { $0.event.kind == "SettingsIgnored" } }
        }

        @Test("Redis and the state folder forget everything but the spec: owners are known from reports")
        func rebuiltFromReports() async throws {
            let stage = try await Stage()
            let generation = try await stage.apply(stage.spec())
            let first = try stage.startOperator()
            let before = try await stage.waitUntilReady(generation)
            first.cancel()
            _ = await first.result
            _ = try await stage.client.command("DEL", "{cell:eu-1}:assignment", "{cell:eu-1}:settings", "{cell:eu-1}:logs")
            let second = try stage.startOperator("b")
            defer { second.cancel() }
            let after = try await stage.waitUntilReady(generation)
            #expect(after.epoch > before.epoch)
            for owner in before.owners { #expect(after.members[owner]?.owns == before.members[owner]?.owns) }
            #expect(after.log == before.log)
        }

        @Test("a damaged state file is named, set aside, and rebuilt", arguments: ["", "cell-state 1 0 2\n{}", String(repeating: "\0", count: 4_096)])
        func damagedState(_ damage: String) async throws {
            let stage = try await Stage()
            let generation = try await stage.apply(stage.spec())
            let first = try stage.startOperator()
            let before = try await stage.waitUntilReady(generation)
            first.cancel()
            _ = await first.result
            let file = stage.folder.file("state-a/eu-1.state")
            #expect(text(ofFile: file).hasPrefix("cell-state 1 "))
            try Files.replace(file, with: Array(damage.utf8), durable: false)
            let second = try stage.startOperator()
            defer { second.cancel() }
            try await eventually("it is set aside") { try Files.names(in: stage.folder.file("state-a")).contains { $0.hasPrefix("eu-1.state.damaged-") } }
            try await eventually("it is named") { try await stage.board.latestEvents(100).contains { $0.event.kind == "StateDamaged" } }
            let after = try await stage.waitUntilReady(generation)
            #expect(after.members == before.members)
            try await eventually("a new file") { text(ofFile: file).hasPrefix("cell-state 1 ") }
        }

        @Test("two operators: one leads; when it ends the other takes over and moves nothing")
        func takeOver() async throws {
            let stage = try await Stage()
            let generation = try await stage.apply(stage.spec())
            let first = try stage.startOperator("a")
            let before = try await stage.waitUntilReady(generation)
            let second = try stage.startOperator("b")
            defer { second.cancel() }
            try await eventually("the other's look at the cell") { Files.isThere(stage.folder.file("state-b/eu-1.state")) }
            first.cancel()
            _ = await first.result
            try await eventually("the other's lead") { try await stage.board.leader()?.name == "b" }
            try await eventually("the other's status") { try await stage.board.status()?.leader == "b" }
            let after = try await stage.waitUntilReady(generation)
            #expect(after == before, "nothing is published for it")
            let victim = try #require(after.owners.first)
            stage.driver.crash(victim)
            try await eventually("a failover by the other") { try await stage.assignment().members[victim] == nil }
            let published = try await stage.assignment()
            #expect(published.term > before.term)
            #expect(published.epoch > before.epoch)
        }

        @Test("a leader that Redis lost is overtaken: what it would still write is refused, and epochs never go back")
        func overtaken() async throws {
            let stage = try await Stage()
            let proxy = try TCPProxy(to: stage.redis.port)
            let generation = try await stage.apply(stage.spec())
            let first = try stage.startOperator("a", at: RedisAddress(host: "127.0.0.1", port: proxy.port))
            defer { first.cancel() }
            try await stage.waitUntilReady(generation)
            let second = try stage.startOperator("b")
            defer { second.cancel() }
            proxy.fault(.hole)
            try await eventually("the other's lead") { try await stage.board.leader()?.name == "b" }
            let led = try await stage.assignment()
            let victim = try #require(led.owners.first)
            stage.driver.crash(victim)
            try await eventually("a failover by the other") { try await stage.assignment().members[victim] == nil }
            let mid = try await stage.assignment()
            proxy.fault(.none)
            try await eventually("it notices") { stage.lines.withLock { $0.contains { $0.hasPrefix("a: ") && $0.contains("was overtaken by term") } } }
            let after = try await stage.waitUntilReady(generation)
            let leader = try await stage.board.leader()
            // Whoever lost its lead to a slow machine may have it again, but under a new term.
            #expect(leader.map { $0.name == "b" || $0.term > mid.term } ?? false)
            #expect(after.term >= mid.term)
            #expect(after.epoch >= mid.epoch)
        }

        @Test("servers obey a later term, which Redis forgot: the lead is won again above it")
        func outranked() async throws {
            let stage = try await Stage()
            let (generation, before, task) = try await stage.open(stage.spec())
            defer { task.cancel() }
            // As after a Redis whose clock was ahead: its leader is forgotten, and what that leader's servers report comes late.
            let later = Term(before.term.value + 3_600_000)
            let life = ServerLife(ServerID(.messaging, 99), Incarnation("5f0c")!)
            var report = Report(incarnation: life.incarnation, zone: "", pid: 1, build: Build.version)
            report.term = later
            _ = try await stage.board.renewLease(of: life.id, life.incarnation, arrived_ms: 0, lease: stage.lease, report: report, urgent: true)
            try await eventually("a lead above it") { try await stage.board.leader().map { $0.term > later } ?? false }
            try await stage.waitUntilReady(generation)
            let victim = try #require(try await stage.assignment().owners.first)
            stage.driver.crash(victim)
            try await eventually("a failover under the later term") {
                let after = try await stage.assignment()
                return after.members[victim] == nil && after.term > later
            }
            #expect(stage.lines.withLock { $0.contains { $0.contains("servers obey term \(later)") } })
        }

        @Test("a death while the operator alone has no Redis is repaired as soon as it has", arguments: [300, 1_000, 3_000])
        func deathInTheHole(_ hole_ms: Int) async throws {
            let stage = try await Stage()
            let proxy = try TCPProxy(to: stage.redis.port)
            let generation = try await stage.apply(stage.spec())
            let task = try stage.startOperator("a", at: RedisAddress(host: "127.0.0.1", port: proxy.port))
            defer { task.cancel() }
            let before = try await stage.waitUntilReady(generation)
            proxy.fault(.hole)
            let victim = try #require(before.owners.first)
            stage.driver.crash(victim)
            try await Task.sleep(for: .milliseconds(hole_ms))
            proxy.fault(.none)
            let opened = ContinuousClock.now
            try await eventually("the failover") {
                let now = try await stage.assignment()
                return now.members[victim] == nil && now.owned == 24
            }
            #expect(ContinuousClock.now - opened < stage.lease + .seconds(3))
            try await stage.waitUntilReady(generation)
        }

        @Test("everything died together with the operator, and Redis lost its memory or not", arguments: [false, true])
        func totalLoss(_ redisToo: Bool) async throws {
            let stage = try await Stage()
            let generation = try await stage.apply(stage.spec())
            let first = try stage.startOperator()
            let before = try await stage.waitUntilReady(generation)
            first.cancel()
            _ = await first.result
            stage.driver.crashAll()
            if redisToo { _ = try await stage.client.command("FLUSHALL") }
            let second = try stage.startOperator()
            defer { second.cancel() }
            try await eventually("a new epoch") { try await stage.assignment().epoch > before.epoch }
            let after = try await stage.waitUntilReady(generation)
            #expect(after.owned == 24)
        }

        @Test("Redis and the state folder are lost while the servers live: they go on under a spec that adopts them")
        func adoption() async throws {
            let stage = try await Stage()
            let generation = try await stage.apply(stage.spec())
            let first = try stage.startOperator()
            let before = try await stage.waitUntilReady(generation)
            first.cancel()
            _ = await first.result
            let (lives, starts) = (stage.driver.living, stage.driver.starts)
            _ = try await stage.client.command("FLUSHALL")
            try await eventually("reports of the servers alone") { try await stage.board.servers().reports.count == lives.count }
            let second = try stage.startOperator(state: "state-new")
            defer { second.cancel() }
            await #expect(throws: BlackboardError.self) { _ = try await stage.apply(stage.spec()) }
            let again = try await stage.board.putSpec(stage.spec().canonicalJSON, replacing: 0, adopting: true)
            #expect(again > generation)
            let after = try await stage.waitUntilReady(again)
            #expect(stage.driver.living == lives && stage.driver.starts == starts, "nothing was started anew")
            #expect(after.owned == 24 && after.epoch > before.epoch)
        }

        @Test("a deleted cell goes: servers, keys and what the operator remembered")
        func deletion() async throws {
            let stage = try await Stage()
            let (_, _, task) = try await stage.open(stage.spec())
            defer { task.cancel() }
            try await stage.board.markDeleted()
            try await eventually("the end") { try await stage.client.command("KEYS", "*").array?.isEmpty ?? false }
            #expect(stage.driver.living.isEmpty)
            try await eventually("the state file's end") { !Files.isThere(stage.folder.file("state-a/eu-1.state")) }
            let again = try await stage.apply(stage.spec())
            try await stage.waitUntilReady(again)
        }
    }
}
