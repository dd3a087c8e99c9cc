import Cell
import FoundationEssentials
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("What is known of a cell's pods")
    struct PodBookTests {
        let cell = CellName("eu-1")!
        let life = ServerLife(ServerID(.messaging, 3), Incarnation("0a0b")!)
        let now = Moment(milliseconds: 1_000_000)
        let unix_s: Int64 = 1_800_000_000

        /// A pod of `life` with this status and these further members of its metadata.
        func pod(_ status: String = #""phase":"Running""#, metadata: String = "", spec: String = #""nodeName":"node1""#) throws -> KubernetesMessage.Pod {
            let text = """
                {"metadata":{"name":"cell-eu-1-messaging-3-0a0b","uid":"u1","labels":{"io.cecochat.cell":"eu-1","io.cecochat.server":"messaging-3",\
                "io.cecochat.incarnation":"0a0b","io.cecochat.zone":"a","io.cecochat.template":"t1"}\(metadata)},"spec":{\(spec)},"status":{\(status)}}
                """
            return try KubernetesMessage.read(KubernetesMessage.Pod.self, from: Array(text.utf8))
        }

        func terminated(_ words: String) -> String { #""phase":"Failed","containerStatuses":[{"name":"server","state":{"terminated":{\#(words)}}}]"# }

        func book(_ pods: KubernetesMessage.Pod...) -> PodBook {
            var book = PodBook(cell)
            _ = book.take(pods, since: book.lives.mark(), now: now, unix_s: unix_s)
            return book
        }

        func reason(_ book: PodBook) -> String? {
            guard case .exited(_, let reason)? = book.servers(unix_s: unix_s).first?.state else { return nil }
            return reason
        }

        func tells(_ steps: [PodBook.Step]) -> [RunningServer.State] {
            steps.compactMap { if case .tell(let server) = $0 { server.state } else { nil } }
        }

        @Test("adopts by labels; others' pods and other cells' are none of its business")
        func adopts() throws {
            var strange = try pod()
            strange.metadata.labels = ["app": "other"]
            var other = try pod()
            other.metadata.labels?["io.cecochat.cell"] = "eu-2"
            let book = book(try pod(), strange, other)
            let servers = book.servers(unix_s: unix_s)
            #expect(servers.map(\.life) == [life])
            #expect(servers.first?.pod == "cell-eu-1-messaging-3-0a0b")
            #expect(servers.first?.zone == "a" && servers.first?.template == "t1")
        }

        @Test(
            "ends are told with what is known of them",
            arguments: [
                (#""exitCode":137,"reason":"Error""#, "signal 9"), (#""exitCode":0,"reason":"Completed""#, "code 0"),
                (#""exitCode":7,"message":"port\nno such port\n\n""#, "code 7: port; no such port"), (#""exitCode":137,"reason":"OOMKilled""#, "memory"),
            ])
        func ends(_ words: String, _ told: String) throws {
            var book = book(try pod())
            let steps = book.take(try pod(terminated(words)), now: now, unix_s: unix_s)
            #expect(tells(steps).count == 1)
            #expect(reason(book)?.contains(told) == true, "\(reason(book) ?? "")")
            // Told twice is told once, and its end is final.
            let again = book.take(try pod(), now: now, unix_s: unix_s) + book.take(deleted: try pod(), now: now)
            #expect(again.isEmpty)
        }

        @Test("a process that is seen to end ends its server; how comes later, and the moment stays")
        func explained() throws {
            var book = book(try pod())
            let running = #""phase":"Running","containerStatuses":[{"name":"server","state":{"running":{}}}]"#
            let watches = book.take(try pod(running), now: now, unix_s: unix_s) + book.take(try pod(running), now: now, unix_s: unix_s)
            #expect(watches == [.watch(life)])
            let seen = book.lives.finish(life, at: now, "its process ended", explained: false)
            #expect(seen?.state == .exited(at: now, reason: "its process ended"))
            let late = book.take(try pod(running), now: now + .seconds(1), unix_s: unix_s)
            #expect(late.isEmpty)
            let steps = book.take(try pod(terminated(#""exitCode":137"#)), now: now + .seconds(2), unix_s: unix_s)
            guard case .tell(let told)? = steps.first, case .exited(let at, let reason) = told.state else { return #expect(Bool(false), "\(steps)") }
            #expect(at == now && reason.contains("signal 9"))
        }

        @Test("a server begins when its container runs, not when its pod was made")
        func onItsWay() throws {
            var book = book(try pod(#""phase":"Pending""#))
            #expect(book.lives[life]?.seen.isOnItsWay == true)
            let running = #""phase":"Running","containerStatuses":[{"name":"server","state":{"running":{"startedAt":"2027-01-15T08:00:28Z"}}}]"#
            // 30 s later, and 2 s after its start.
            _ = book.take(try pod(running), now: now + .seconds(30), unix_s: unix_s + 30)
            #expect(book.lives[life]?.seen.isOnItsWay == false)
            #expect(book.lives[life]?.seen.started == now + .seconds(28))
            _ = book.take(try pod(running), now: now + .seconds(60), unix_s: unix_s + 60)
            #expect(book.lives[life]?.seen.started == now + .seconds(28))
        }

        @Test("an eviction is told in Kubernetes' words; a pod that is deleted at once is gone")
        func evicted() throws {
            var first = book(try pod())
            _ = first.take(try pod(#""phase":"Failed","reason":"Evicted","message":"low on memory""#), now: now, unix_s: unix_s)
            #expect(reason(first) == "its pod: Evicted: low on memory")
            var second = book(try pod())
            let steps = second.take(deleted: try pod(), now: now)
            #expect(tells(steps).count == 1)
            #expect(reason(second) == "its pod was deleted")
        }

        @Test("somebody else's deletion is a stop that nobody asked for; one that takes long is told")
        func stopping() throws {
            var book = book(try pod())
            let steps = book.take(try pod(metadata: #","deletionTimestamp":"2027-01-15T08:00:30Z""#), now: now, unix_s: unix_s)
            #expect(tells(steps) == [.stopping])
            #expect(book.servers(unix_s: unix_s).first?.asked == false)
            #expect(book.servers(unix_s: unix_s + 30).first?.waitsFor == "")
            #expect(book.servers(unix_s: unix_s + 50).first?.waitsFor.contains("node node1") == true)
        }

        @Test(
            "what a pod waits for",
            arguments: [
                (#""phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","message":"0/1 nodes: Insufficient cpu"}]"#, "Insufficient cpu"),
                (
                    #""phase":"Pending","containerStatuses":[{"name":"server","state":{"waiting":{"reason":"ErrImagePull","message":"no such image"}}}]"#,
                    "ErrImagePull: no such image"
                ), (#""phase":"Pending","containerStatuses":[{"name":"server","state":{"waiting":{"reason":"ContainerCreating"}}}]"#, ""), ("", ""),
                (#""phase":"Running""#, ""),
            ])
        func waits(_ status: String, _ words: String) throws {
            let found = book(try pod(status)).servers(unix_s: unix_s).first
            #expect(found?.state == .running)
            #expect(words.isEmpty ? found?.waitsFor == "" : found?.waitsFor.contains(words) == true, "\(found?.waitsFor ?? "")")
        }

        @Test("a list that was begun before a start does not end it; a later one does")
        func lists() throws {
            var book = PodBook(cell)
            let mark = book.lives.mark()
            let begins = [book.lives.begin(life), book.lives.begin(life)]
            #expect(begins == [true, false])
            _ = book.started(life, try pod(), now: now)
            let early = book.take([], since: mark, now: now, unix_s: unix_s)
            #expect(early.isEmpty)
            let late = book.take([], since: book.lives.mark(), now: now, unix_s: unix_s)
            #expect(tells(late).count == 1)
            // Nobody forgets it: after a while the book does.
            _ = book.take([], since: book.lives.mark(), now: now + .seconds(61), unix_s: unix_s)
            #expect(book.servers(unix_s: unix_s).isEmpty)
        }

        @Test("what comes of an abandoned start goes; what is forgotten is removed once, and comes back no more")
        func abandoned() throws {
            var first = PodBook(cell)
            _ = first.lives.begin(life)
            first.lives.abandon(life, now: now)
            let steps = first.take(try pod(), now: now, unix_s: unix_s)
            #expect(steps == [.remove(pod: "cell-eu-1-messaging-3-0a0b")])
            let begins = first.lives.begin(life)
            #expect(!begins)

            var second = book(try pod(terminated(#""exitCode":0"#)))
            let forgotten = [second.forget(life), second.forget(life)]
            #expect(forgotten == ["cell-eu-1-messaging-3-0a0b", nil])
            #expect(second.servers(unix_s: unix_s).isEmpty)
            let again = second.take(try pod(terminated(#""exitCode":0"#)), now: now, unix_s: unix_s)
            #expect(again == [.remove(pod: "cell-eu-1-messaging-3-0a0b")])
            let gone = second.take(deleted: try pod(), now: now)
            #expect(gone.isEmpty)
            #expect(second.lives.leaving.isEmpty)
        }

        @Test("one that cannot be asked goes on; one that was asked is so until its end")
        func asked() throws {
            var book = book(try pod())
            let entry = book.lives.ask(life)
            #expect(entry?.handle == "cell-eu-1-messaging-3-0a0b")
            #expect(book.servers(unix_s: unix_s).first?.asked == true)
            book.unask(life)
            #expect(book.servers(unix_s: unix_s).first?.state == .running)
            _ = book.lives.ask(life)
            _ = book.take(deleted: try pod(terminated(#""exitCode":0"#)), now: now)
            #expect(book.servers(unix_s: unix_s).first?.asked == true)
            #expect(reason(book)?.contains("code 0") == true)
            let left = book.forget(life)
            #expect(left == nil)
        }
    }
}
