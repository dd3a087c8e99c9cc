import FoundationEssentials
import Support
import Testing

/// The same cell as pods of a real Kubernetes, kept by the operators of manifests/kubernetes with the rights that those give them.
@Suite("a whole cell in Kubernetes", .serialized)
struct KubernetesCellTests {
    private static let image = "cell:under-test"
    /// The same programs under another name.
    private static let nextImage = "cell:under-test-next"

    private static func spec(kafka: String, cassandra: Int) -> String {
        """
        apiVersion: cecochat.io/v1alpha1
        kind: Cell
        metadata: {name: pods, namespace: chat}
        spec:
          partitions: 24
          messaging: {servers: 2, standbys: 1, maxConnections: 2000}
          connect: {servers: 1, port: \(freePorts([0, 1, 2, 3]))}
          backplane: {kafka: {brokers: ["\(kafka)"], topic: pods-messages, replicationFactor: 1}}
          store: {cassandra: {contactPoints: ["127.0.0.1:\(cassandra)"], keyspace: pods, replicationFactor: 1}}
          auth: {none: {}}
          run:
            kubernetes:
              image: "\(image)"
              hostNetwork: true
          # A cluster, a broker, a database and the clients share this machine's cores: a server that waits for its turn is not dead.
          failover: {heartbeat: 500ms, lease: 8s}
        """
    }

    @Test(
        """
        apply, chat with 100 clients; a pod deleted by force, one killed, both operators killed, scaled to 3 and back, one stopped (SIGSTOP), all of them \
        upgraded, deleted: nothing lost, nothing left
        """,
        .enabled(if: Peers.wanted), .timeLimit(.minutes(20)))
    func everythingDies() async throws { try await CassandraPeer.shared { try await everythingDies(cassandra: $0.port) } }

    private func everythingDies(cassandra: Int) async throws {
        let (kafka, engine) = (try await Peers.kafka(), try await Peers.docker())
        let docker = Docker(host: engine.addresses)
        try await docker.buildImage(Self.image)
        let cluster = try await Peers.kubernetes(engine: engine.addresses)
        let kubectl = Kubectl(path: cluster.addresses, config: cluster.folder.file("kubeconfig"))
        let cell = try await CellUnderTest("pods", spec: Self.spec(kafka: kafka.addresses, cassandra: cassandra), redisPassword: "s3cret", runsItself: false)
        do {
            try await install(kubectl, cell, cluster)
            try await live(in: cell, kubectl, docker)
        } catch {
            Issue.record("\(error)\n\(await diagnosis(kubectl, docker))")
        }
        var left = ""
        _ = try? await eventually("no server", within: .seconds(60)) {
            left = try await docker.run("ps", "-q", "--filter", "label=io.kubernetes.container.name=server")
            return left.isEmpty
        }
        #expect(left.isEmpty, "\(left)")
        try await cluster.stop()
        try await engine.stop()
        try await kafka.stop()
        try await cell.redis.stop()
    }

    /// The manifests as they are, with what this cluster needs: no network of pods, and the token that a service account's admission would have mounted.
    private func install(_ kubectl: Kubectl, _ cell: CellUnderTest, _ cluster: Peer) async throws {
        try await kubectl.run("apply", "-f", "\(CellUnderTest.repository)/manifests/kubernetes/crd.yaml")
        try await kubectl.run("apply", "-f", "\(CellUnderTest.repository)/manifests/kubernetes/namespace.yaml")
        try await kubectl.run("apply", "-f", "\(CellUnderTest.repository)/manifests/kubernetes/rbac.yaml")
        try await kubectl.run("wait", "--for=condition=Established", "crd/cells.cecochat.io", "--timeout=60s", within: .seconds(90))
        let token = try await eventually("the operator's token", within: .seconds(90)) {
            let name = try await kubectl.run("get", "serviceaccount", "cell-operator", "-n", "cell-system", "-o", "jsonpath={.secrets[0].name}")
            return name.isEmpty ? nil : name
        }
        let authority = cluster.folder.file("certs/apiserver.crt")
        try await kubectl.run("create", "configmap", "authority", "-n", "cell-system", "--from-file=ca.crt=\(authority)")
        let port = try await kubectl.run("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}").split(separator: ":").last ?? ""
        let container = "/spec/template/spec/containers/0"
        let patch = """
            [{"op": "replace", "path": "\(container)/image", "value": "\(Self.image)"},
             {"op": "replace", "path": "\(container)/args", "value": ["--name", "$(POD_NAME)", "--namespace", "chat", "--state", "/var/lib/cell/state"]},
             {"op": "replace", "path": "\(container)/env", "value": [
               {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "CELL_REDIS", "value": "\(cell.redisURL)"}, {"name": "KUBERNETES_SERVICE_HOST", "value": "127.0.0.1"},
               {"name": "KUBERNETES_SERVICE_PORT", "value": "\(port)"}]},
             {"op": "remove", "path": "\(container)/ports"}, {"op": "remove", "path": "\(container)/livenessProbe"},
             {"op": "remove", "path": "\(container)/readinessProbe"},
             {"op": "add", "path": "/spec/template/spec/hostNetwork", "value": true},
             {"op": "add", "path": "\(container)/volumeMounts/-", "value": {"name": "account", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}},
             {"op": "add", "path": "/spec/template/spec/volumes/-", "value": {"name": "account", "projected": {"sources": [
               {"secret": {"name": "\(token)", "items": [{"key": "token", "path": "token"}]}}, {"configMap": {"name": "authority"}}]}}}]
            """
        let deployment = try await kubectl.run(
            "patch", "--local", "-f", "\(CellUnderTest.repository)/manifests/kubernetes/operator.yaml", "--type=json", "-p", patch, "-o", "yaml")
        try await kubectl.run("apply", "-f", "-", input: deployment)
        try await kubectl.run("rollout", "status", "deployment/cell-operator", "-n", "cell-system", "--timeout=150s", within: .seconds(180))
    }

    private func live(in cell: CellUnderTest, _ kubectl: Kubectl, _ docker: Docker) async throws {
        try await kubectl.run("apply", "-f", cell.folder.file("cell.yaml"))
        try await kubectl.run("wait", "--for=condition=Ready", "cell/pods", "-n", "chat", "--timeout=180s", within: .seconds(210))
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 100, rate: 30, least: 1_000)
        try await chat.opened()

        let deleted = try await cell.owner()
        try await kubectl.run("delete", "pod", pod(deleted), "-n", "chat", "--force", "--grace-period=0")
        try await cell.waitForLoss(of: deleted)
        try await cell.waitForOwners(2)
        try await waitForStandby(cell)
        let killed = try await cell.owner()
        try await docker.run("kill", "--signal", "KILL", container(of: pod(killed), docker))
        try await cell.waitForLoss(of: killed)
        try await cell.waitForOwners(2)
        try await waitForStandby(cell)

        let before = try await settled(cell, kubectl)
        try await kubectl.run("delete", "pod", "-n", "cell-system", "--all", "--force", "--grace-period=0")
        try await kubectl.run("scale", "cell/pods", "-n", "chat", "--replicas=3")
        try await cell.waitForOwners(3, within: .seconds(180))
        // The operators that came adopted what ran, and started nothing but what was asked for.
        try await waitForMessaging(4, cell)
        let after = try await settled(cell, kubectl)
        #expect(before.isSubset(of: after) && after.count == before.count + 1, "\(before) \(after)")
        try await kubectl.run("scale", "cell/pods", "-n", "chat", "--replicas=2")
        try await cell.waitForOwners(2)
        try await hang(cell, docker)
        try await upgrade(cell, kubectl, docker)

        try await refusals(kubectl)
        let report = try await chat.finish(within: .seconds(240))
        #expect(report.good, "\(report)")
        print("served again after a pod's death, as clients saw it: \(report.outage_ms)")
        try await looks(kubectl)
        try await metrics(of: cell, docker)
        try await delete(cell, kubectl)
    }

    /// The lease and the probe find it; once another has its partitions it is killed, however late the kubelet tells of that.
    private func hang(_ cell: CellUnderTest, _ docker: Docker) async throws {
        try await waitForStandby(cell)
        let hung = try await cell.owner()
        let container = try await container(of: pod(hung), docker)
        try await docker.run("kill", "--signal", "STOP", container)
        try await cell.waitForLoss(of: hung)
        try await eventually("the end of \(hung.name)'s container", within: .seconds(120)) { try await !docker.run("ps", "-q").contains(container) }
        try await eventually("the word of its kill") { try await cell.events().contains { $0.kind == "ServerKilled" && $0.server == hung.name } }
        try await cell.waitForOwners(2)
        try await waitForStandby(cell)
    }

    /// One server after another, to the same programs under another name.
    private func upgrade(_ cell: CellUnderTest, _ kubectl: Kubectl, _ docker: Docker) async throws {
        try await docker.run("tag", Self.image, Self.nextImage)
        let patch = #"{"spec":{"rollout":{"readyWithin":"20s"},"run":{"kubernetes":{"image":"\#(Self.nextImage)"}}}}"#
        try await kubectl.run("patch", "cell", "pods", "-n", "chat", "--type=merge", "-p", patch)
        try await eventually("every server to be of the new image", within: .seconds(300)) {
            let servers = try await cell.servers()
            guard servers.count == 6, servers.allSatisfy({ $0.state == "ready" }) else { return false }
            let images = try await kubectl.run(
                ["get", "pods", "-n", "chat", "-o", "jsonpath={.items[*].spec.containers[0].image}"] + servers.map { try pod($0) })
            let all = images.split(separator: " ")
            return all.count == servers.count && all.allSatisfy { $0 == Self.nextImage }
        }
        try await cell.waitForOwners(2)
    }

    /// By the schema, in kubectl; by the operator, in the object's own conditions.
    private func refusals(_ kubectl: Kubectl) async throws {
        let few = try await kubectl.refused("patch", "cell", "pods", "-n", "chat", "--type=merge", "-p", #"{"spec":{"messaging":{"servers":0}}}"#)
        #expect(few.contains("spec.messaging.servers") && few.contains("greater than or equal to 1"), "\(few)")
        let two = try await kubectl.refused(
            "patch", "cell", "pods", "-n", "chat", "--type=merge", "-p", #"{"spec":{"auth":{"jwt":{"keyFile":"/k","algorithm":"ES256"}}}}"#)
        #expect(two.contains("spec.auth"), "\(two)")
        let unknown = try await kubectl.refused(
            "apply", "-n", "chat", "-f", "-", input: Self.spec(kafka: "h:1", cassandra: 1).replacing("partitions:", with: "partition:"))
        #expect(unknown.contains("partition"), "\(unknown)")

        try await kubectl.run("patch", "cell", "pods", "-n", "chat", "--type=merge", "-p", #"{"spec":{"partitions":48}}"#)
        try await kubectl.run("wait", "--for=condition=SpecAccepted=False", "cell/pods", "-n", "chat", "--timeout=90s", within: .seconds(120))
        let words = try await condition("SpecAccepted", "message", kubectl)
        #expect(words.contains("spec.partitions is fixed: it is 24 and cannot become 48"), "\(words)")
        try await kubectl.run("patch", "cell", "pods", "-n", "chat", "--type=merge", "-p", #"{"spec":{"partitions":24}}"#)
        try await kubectl.run("wait", "--for=condition=SpecAccepted", "cell/pods", "-n", "chat", "--timeout=90s", within: .seconds(120))
        // Ready is told of the present generation, not of one before it.
        try await eventually("readiness of this generation", within: .seconds(120)) {
            let (ready, told) = (try await condition("Ready", "status", kubectl), try await condition("Ready", "observedGeneration", kubectl))
            let generation = try await kubectl.run("get", "cell", "pods", "-n", "chat", "-o", "jsonpath={.metadata.generation}")
            return ready == "True" && told == generation
        }
    }

    private func looks(_ kubectl: Kubectl) async throws {
        let table = try await kubectl.run("get", "cells", "-n", "chat")
        #expect(table.hasPrefix("NAME   READY   AVAILABLE   MESSAGING   WANTED"), "\(table)")
        let story = try await kubectl.run("describe", "cell", "pods", "-n", "chat")
        #expect(story.contains("FailedOver") && story.contains("SpecInvalid"), "\(story)")
        let budget = try await kubectl.run("get", "pdb", "cell-pods-messaging", "-n", "chat", "-o", "jsonpath={.spec.minAvailable}")
        #expect(budget == "2")
        try await eventually("the pods' own readiness", within: .seconds(90)) {
            try await kubectl.run("get", "pods", "-n", "chat", "-o", "jsonpath={.items[*].status.containerStatuses[*].ready}").split(separator: " ")
                .allSatisfy { $0 == "true" }
        }
    }

    /// Every metric that the dashboard names is exported by some server or by the operator.
    private func metrics(of cell: CellUnderTest, _ docker: Docker) async throws {
        var addresses = try await cell.servers().map { "http://\($0.http)" }.filter { $0 != "http://" }
        for operatorLog in try await operatorLogs(docker) {
            addresses += operatorLog.matches(of: /health and metrics on (http:[^ \n]+)/).map { String($0.output.1) }
        }
        var exported: Set<String> = []
        for address in addresses {
            let outcome = try await ChildProcess.run("curl", ["-sf", "\(address)/metrics"])
            exported.formUnion(outcome.output.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map { String($0.split(separator: " ")[2]) })
        }
        let dashboard = text(ofFile: "\(CellUnderTest.repository)/manifests/grafana/cell.json")
        let names = Set(dashboard.matches(of: /(cell|process)_[a-z_]+/).map { String($0.output.0).replacing(/_bucket$/, with: "") })
        #expect(names.count > 30)
        #expect(names.subtracting(exported).isEmpty, "in the dashboard, and exported by nobody: \(names.subtracting(exported).sorted())")
    }

    /// Of the operators that run.
    private func operatorLogs(_ docker: Docker) async throws -> [String] {
        var logs: [String] = []
        for container in try await docker.run("ps", "-q", "--filter", "label=io.kubernetes.container.name=operator").split(separator: "\n") {
            logs.append(try await docker.errors(of: "logs", String(container)))
        }
        return logs
    }

    private func delete(_ cell: CellUnderTest, _ kubectl: Kubectl) async throws {
        // A kubelet of this age takes its time to tell that pods have ended.
        try await kubectl.run("delete", "cell", "pods", "-n", "chat", "--timeout=240s", within: .seconds(245))
        let pods = try await pods(kubectl)
        #expect(pods.isEmpty)
        let keys = try await cell.expect("get", "cells", "-o", "json")
        #expect(!keys.contains("pods"), "\(keys)")
        try await eventually("the budget and the secret go with their cell", within: .seconds(90)) {
            try await kubectl.run("get", "pdb,secret", "-n", "chat", "-l", "io.cecochat.cell=pods", "-o", "name").isEmpty
        }
        try await kubectl.run("delete", "deployment", "cell-operator", "-n", "cell-system", "--timeout=150s", within: .seconds(180))
    }

    // MARK: Words for it

    private func pod(_ server: CellUnderTest.Server) throws -> String { try #require(server.pod, "\(server) has no pod") }

    private func container(of pod: String, _ docker: Docker) async throws -> String {
        try await docker.run(
            "ps", "-q", "--filter", "label=io.kubernetes.container.name=server", "--filter", "label=io.kubernetes.pod.name=\(pod)"
        ).filter { !$0.isWhitespace }
    }

    private func pods(_ kubectl: Kubectl) async throws -> Set<String> {
        Set(try await kubectl.run("get", "pods", "-n", "chat", "-o", "name", "--field-selector=status.phase=Running").split(separator: "\n").map(String.init))
    }

    private func condition(_ type: String, _ field: String, _ kubectl: Kubectl) async throws -> String {
        try await kubectl.run("get", "cell", "pods", "-n", "chat", "-o", "jsonpath={.status.conditions[?(@.type==\"\(type)\")].\(field)}")
    }

    /// Three messaging servers are ready: the dead one's replacement, too.
    private func waitForStandby(_ cell: CellUnderTest) async throws { try await waitForMessaging(3, cell) }

    private func waitForMessaging(_ count: Int, _ cell: CellUnderTest) async throws {
        try await eventually("\(count) messaging servers", within: .seconds(120)) {
            try await cell.servers("messaging").count { $0.state == "ready" } == count
        }
    }

    /// The pods, once the kubelet, which tells of starts and deaths a second later, and the cell's servers agree about them.
    private func settled(_ cell: CellUnderTest, _ kubectl: Kubectl) async throws -> Set<String> {
        try await eventually("the same pods by Kubernetes and by the cell", within: .seconds(120)) {
            let (servers, running) = (try await cell.servers(), try await pods(kubectl))
            let named = try Set(servers.map { "pod/\(try pod($0))" })
            return servers.allSatisfy { $0.state == "ready" } && named == running ? running : nil
        }
    }

    private func diagnosis(_ kubectl: Kubectl, _ docker: Docker) async -> String {
        let all = (try? await kubectl.run("get", "pods,cells", "-A", "-o", "wide")) ?? ""
        let story = (try? await kubectl.run("describe", "cells,pods", "-A")) ?? ""
        let logs = (try? await operatorLogs(docker))?.map { String($0.suffix(4_000)) }.joined(separator: "\n---\n") ?? ""
        return "\(all)\n\(story.suffix(12_000))\n\(logs)"
    }
}

/// Kubernetes' own command, at a cluster of the test's.
private struct Kubectl {
    let path: String
    let config: String

    @discardableResult
    func run(_ arguments: String..., input: String = "", within limit: Duration = .seconds(120)) async throws -> String {
        try await run(arguments, input: input, within: limit)
    }

    @discardableResult
    func run(_ arguments: [String], input: String = "", within limit: Duration = .seconds(120)) async throws -> String {
        let outcome = try await start(arguments, input, limit)
        guard outcome.exit == .code(0) else { throw CellFault("kubectl \(arguments): \(outcome.errors)") }
        return outcome.output
    }

    /// What it must not do; returns why it did not.
    func refused(_ arguments: String..., input: String = "") async throws -> String {
        let outcome = try await start(arguments, input, .seconds(120))
        guard outcome.exit != .code(0) else { throw CellFault("kubectl \(arguments) was not refused: \(outcome.output)") }
        return outcome.errors
    }

    private func start(_ arguments: [String], _ input: String, _ limit: Duration) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run(
            path, ["--kubeconfig", config] + arguments, environment: ["HOME": String(config.dropLast("/kubeconfig".count))], input: input, within: limit)
    }
}
