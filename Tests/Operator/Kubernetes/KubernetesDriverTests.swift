import Cell
import FoundationEssentials
import Redis
import Support
import Testing

@testable import Operator

extension OperatorTests {
    /// With a real cluster; a proxy before it where it has to misbehave.
    @Suite("The Kubernetes driver, with a real cluster", .enabled(if: Peers.wanted), .serialized, WithCluster())
    struct KubernetesDriverTests {
        let cell = CellName("pods-\(UInt32.random(in: .min ... .max))")!
        let clock = OperatorClock()
        let folder: TemporaryFolder

        init() throws { folder = try TemporaryFolder("kube-driver") }

        func life(_ number: Int = 1) -> ServerLife {
            var generator = SystemRandomNumberGenerator()
            return ServerLife(ServerID(.messaging, number), Incarnation.random(using: &generator))
        }

        var template: ServerTemplate { ServerTemplate(cell: cell, zone: "a", generation: 3, name: "t1") }

        func driver(_ spec: RunSpec.Kubernetes = ClusterUnderTest.spec(), config: String? = nil, redis: String = "127.0.0.1:6379") throws -> KubernetesDriver {
            try KubernetesDriver(
                cell, spec, redis: RedisAddress(parsing: redis), clock: clock, environment: ["KUBECONFIG": config ?? ClusterUnderTest.running.kubeconfig])
        }

        func seen(_ life: ServerLife, _ driver: KubernetesDriver) async throws -> RunningServer? { try await driver.servers().first { $0.life == life } }

        func clean(_ driver: KubernetesDriver) async throws {
            for server in try await driver.servers() where !server.isGone { try await driver.kill(server.life) }
            try await eventually("their ends", within: .seconds(120)) { try await driver.servers().allSatisfy(\.isGone) }
            for server in try await driver.servers() { try await driver.forget(server.life) }
        }

        @Test("the contract", arguments: DriverContract.Clause.allCases)
        func keeps(_ clause: DriverContract.Clause) async throws { try await DriverContract(try KubernetesSubstrate()).check(clause) }

        @Test("a pod says by its labels, name and arguments whose it is; the password stands in a secret alone")
        func identity() async throws {
            let driver = try driver(redis: "redis://cell:s%2fcret@127.0.0.1:7000/2")
            let life = life()
            try await driver.start(life, as: template)
            let pod = try #require(try await ClusterUnderTest.running.pods(cell).first)
            #expect(pod.metadata.name == "cell-\(cell)-messaging-1-\(life.incarnation)")
            let labels = try #require(ServerLabels(pod.metadata))
            #expect(labels == ServerLabels(life, template, build: "trial-runs:1"))
            let text = try await ClusterUnderTest.running.kubectl("get", "pod", pod.metadata.name, "-o", "yaml")
            #expect(!text.contains("cret@") && !text.contains("s%2fcret"))
            #expect(text.contains("name: cell-\(cell)-redis"))
            let pid = try await ClusterUnderTest.running.process(try #require(try await seen(life, driver)))
            let variables = try Files.read("/proc/\(pid)/environ").split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            #expect(variables.contains("CELL_REDIS=redis://cell:s%2Fcret@127.0.0.1:7000/2"), "\(variables)")
            try await ClusterUnderTest.running.kubectl("delete", "secret", "cell-\(cell)-redis")
            try await clean(driver)
        }

        @Test("a pod that Kubernetes cannot place, and one whose image is not there, say so; a pod that is deleted by force is gone at once")
        func waiting() async throws {
            var greedy = ClusterUnderTest.spec()
            greedy.resources.cpus_milli = 1_000_000
            let first = try driver(greedy)
            let unplaced = life(1)
            try await first.start(unplaced, as: template)
            try await eventually("what it waits for", within: .seconds(60)) { try await seen(unplaced, first)?.waitsFor.contains("Insufficient cpu") ?? false }
            var wrong = ClusterUnderTest.spec()
            wrong.image = "127.0.0.1:1/nowhere:1"
            let second = try driver(wrong)
            let imageless = life(2)
            try await second.start(imageless, as: template)
            try await eventually("why it cannot run", within: .seconds(90)) {
                let words = try await seen(imageless, second)?.waitsFor ?? ""
                return words.contains("ErrImagePull") || words.contains("ImagePullBackOff")
            }
            let pod = try #require(try await seen(imageless, second)?.pod)
            try await ClusterUnderTest.running.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
            try await eventually("its end") { try await seen(imageless, second)?.isGone ?? false }
            try await clean(first)
        }

        @Test("a quota, a namespace that is not there, an account without rights: said with Kubernetes' words, and nothing is left")
        func refused() async throws {
            let cluster = try ClusterUnderTest.running
            try await cluster.kubectl("create", "namespace", "full-\(cell)")
            try await cluster.kubectl("create", "quota", "none", "--hard=pods=0", "-n", "full-\(cell)")
            let full = try driver(ClusterUnderTest.spec(namespace: "full-\(cell)"))
            // The quota counts once its controller has seen it.
            try await eventually("the quota", within: .seconds(60)) {
                try await cluster.kubectl("get", "quota", "none", "-n", "full-\(cell)", "-o", "jsonpath={.status.hard.pods}") == "0"
            }
            await #expect { try await full.start(life(), as: template) } throws: {
                "\($0)".contains("exceeded quota") && "\($0)".contains("messaging-1 cannot run")
            }
            let nowhere = try driver(ClusterUnderTest.spec(namespace: "nowhere"))
            await #expect { try await nowhere.start(life(), as: template) } throws: { "\($0)".contains("nowhere") && "\($0)".contains("not found") }
            let nobody = try driver(config: cluster.kubeconfig(by: cluster.port, token: "nobody-token", in: folder))
            await #expect { try await nobody.servers() } throws: { "\($0)".contains("403") && "\($0)".contains("the right to list") }
            let unknown = try driver(config: cluster.kubeconfig(by: cluster.port, token: "expired", in: folder))
            await #expect { try await unknown.servers() } throws: { "\($0)".contains("401") && "\($0)".contains("expired") }
            let pods = try await cluster.pods(cell, namespace: "full-\(cell)")
            #expect(pods.isEmpty)
            try await cluster.kubectl("delete", "namespace", "full-\(cell)", "--wait=false")
        }

        @Test("a wrong authority, and nobody at the address, are told from each other")
        func wrongAddresses() async throws {
            let cluster = try ClusterUnderTest.running
            let text = try String(decoding: Files.read(cluster.kubeconfig(by: cluster.port, in: folder)), as: UTF8.self)
            let wrong = try folder.write(
                text.replacing(cluster.peer.folder.file("certs/apiserver.crt"), with: "/etc/ssl/certs/ca-certificates.crt"), to: "wrong")
            await #expect { try await driver(config: wrong).servers() } throws: { "\($0)".contains("certificate") }
            let nobody = try folder.write(text.replacing(":\(cluster.port)\"", with: ":\(freePort())\""), to: "nobody")
            await #expect { try await driver(config: nobody).servers() } throws: { "\($0)".contains("connect") }
        }

        @Test("somebody else's pod under our name is named and stays; our own counts as started")
        func taken() async throws {
            let cluster = try ClusterUnderTest.running
            let driver = try driver()
            let (foreign, own) = (life(1), life(2))
            let body = try PodBody(ClusterUnderTest.spec(), own, template, redis: RedisAddress(host: "127.0.0.1", port: 6379), owner: nil)
            let name = ServerLabels.podName(cell, foreign)
            try await cluster.kubectl("run", name, "--image=trial-runs:1", "--restart=Never", #"--overrides={"spec":{"hostNetwork":true}}"#)
            await #expect { try await driver.start(foreign, as: template) } throws: { "\($0)".contains(name) && "\($0)".contains("somebody else's") }
            try await cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0")
            // Made by a call whose answer was lost.
            try await cluster.api.create(KubernetesMessage.Pod.self, "/api/v1/namespaces/default/pods", body.json)
            try await driver.start(own, as: template)
            let lives = try await driver.servers().map(\.life)
            #expect(lives == [own])
            try await clean(driver)
        }

        // MARK: Watches that misbehave

        /// A driver behind kubectl's own proxy and one of ours that breaks what the rule names.
        func proxied(_ rule: @escaping @Sendable (EngineProxy.Request) -> EngineProxy.Fault?) async throws -> (KubernetesDriver, EngineProxy, ChildProcess) {
            let cluster = try ClusterUnderTest.running
            let socket = folder.file("api.sock")
            let plain = try ChildProcess(cluster.peer.addresses, ["--kubeconfig", cluster.kubeconfig, "proxy", "--unix-socket=\(socket)"])
            try await eventually("kubectl's proxy") { Files.isThere(socket) }
            let proxy = try EngineProxy(to: socket)
            proxy.fail(rule)
            let config = try folder.write(
                """
                clusters: [{name: c, cluster: {server: "http://127.0.0.1:\(proxy.port)"}}]
                contexts: [{name: x, context: {cluster: c}}]
                current-context: x
                """, to: "proxied")
            return (try driver(config: config), proxy, plain)
        }

        @Test("watches that end at once, with nothing: deaths are seen all the same, and there is less than one a second")
        func emptyWatches() async throws {
            // Before the driver is: whenever a request is seen, it was not sent before its turn.
            let began = ContinuousClock.now
            let (driver, proxy, plain) = try await proxied { $0.path.contains("watch=1") ? .answer(status: 200, body: "") : nil }
            let life = life()
            try await driver.start(life, as: template)
            let count = try await eventually("some watches", within: .seconds(60)) { () -> Int? in
                let count = proxy.requests("watch=1").count
                return count >= 3 ? count : nil
            }
            #expect(ContinuousClock.now - began >= .seconds(count - 1))
            proxy.fail(nil)
            let pod = try #require(try await seen(life, driver)?.pod)
            try await ClusterUnderTest.running.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
            try await eventually("its end") { try await seen(life, driver)?.isGone ?? false }
            proxy.close()
            _ = try await plain.stop()
        }

        @Test(
            "a version that is gone, in either form, and a server that has no time: all is listed again, and a death meanwhile is found",
            arguments: [
                (410, #"{"kind":"Status","status":"Failure","message":"too old resource version","reason":"Expired","code":410}"#),
                (200, #"{"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"too old","reason":"Expired","code":410}}"#),
                (429, #"{"kind":"Status","status":"Failure","reason":"TooManyRequests","code":429,"details":{"retryAfterSeconds":1}}"#),
                (500, #"{"kind":"Status","status":"Failure","reason":"InternalError","code":500}"#),
            ])
        func stale(_ status: Int, _ body: String) async throws {
            let (driver, proxy, plain) = try await proxied { $0.path.contains("watch=1") ? .answer(status: status, body: body) : nil }
            let life = life()
            try await eventually("a start", within: .seconds(60)) {
                try await driver.start(life, as: template)
                return true
            }
            let before = proxy.requests("limit=500").count
            try await eventually("another list", within: .seconds(60)) { proxy.requests("limit=500").count > before }
            let pod = try #require(try await ClusterUnderTest.running.pods(cell).first?.metadata.name)
            try await ClusterUnderTest.running.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
            try await eventually("its end") { try await seen(life, driver)?.isGone ?? false }
            proxy.close()
            _ = try await plain.stop()
        }

        @Test("a watch that is dead without an end is replaced soon after it should have ended, and the death it hid is found")
        func deadWatch() async throws {
            let cluster = try ClusterUnderTest.running
            let proxy = try TCPProxy(to: cluster.port)
            let driver = try KubernetesDriver(
                cell, ClusterUnderTest.spec(), redis: RedisAddress(host: "127.0.0.1", port: 6379), clock: clock,
                environment: ["KUBECONFIG": cluster.kubeconfig(by: proxy.port, in: folder)], watchFor_s: 4...5)
            let life = life()
            try await driver.start(life, as: template)
            try await eventually("a watch") { proxy.connections >= 1 }
            proxy.half()
            let pod = try #require(try await seen(life, driver)?.pod)
            try await cluster.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
            try await eventually("its end", within: .seconds(60)) { try await seen(life, driver)?.isGone ?? false }
        }
    }
}
