import Cell
import FoundationEssentials
import Glibc
import HTTP
import Redis
import Support
import Testing

@testable import Operator

/// A real Kubernetes of one node, on a real Docker Engine that has the trial images, for all tests of a suite.
final class ClusterUnderTest: Sendable {
    @TaskLocal static var current: ClusterUnderTest?

    let engine: EngineUnderTest
    let peer: Peer
    /// To look with, beside the driver's own.
    let api: KubernetesAPI

    /// The one of the running suite.
    static var running: ClusterUnderTest { get throws { try #require(current) } }

    init() async throws {
        engine = try await EngineUnderTest()
        for trial in [TrialServer.runs, .stubborn, .fails] { try await engine.importImage(Self.image(trial), environment: ["TRIAL": trial.rawValue]) }
        // What holds a pod's place; the peer's own does not heed SIGTERM, so that each pod's end would take ten seconds.
        try await engine.importImage("pause:local", entrypoint: "cell-server")
        do { peer = try await Peers.kubernetes(engine: engine.peer.addresses) } catch {
            try await engine.peer.stop()
            throw error
        }
        api = try KubernetesAPI(KubernetesAccess(kubeconfig: peer.folder.file("kubeconfig")))
        try await kubectl("label", "node", "node1", "topology.kubernetes.io/zone=a")
    }

    func stop() async throws {
        try await peer.stop()
        try await engine.peer.stop()
    }

    static func image(_ trial: TrialServer) -> String { "trial-\(trial.rawValue):1" }

    static func spec(_ trial: TrialServer = .runs, namespace: String = "default") -> RunSpec.Kubernetes {
        var spec = RunSpec.Kubernetes(image: image(trial))
        spec.namespace = namespace
        // There is no other network here.
        spec.hostNetwork = true
        return spec
    }

    var kubeconfig: String { peer.folder.file("kubeconfig") }
    var port: Int { Int(api.access.base.split(separator: ":").last ?? "") ?? 0 }

    /// A kubeconfig whose API server is behind this port of ours.
    func kubeconfig(by port: Int, token: String = "admin-token", in folder: TemporaryFolder) throws -> String {
        try folder.write(
            """
            apiVersion: v1
            kind: Config
            clusters: [{name: c, cluster: {server: "https://127.0.0.1:\(port)", certificate-authority: "\(peer.folder.file("certs/apiserver.crt"))"}}]
            users: [{name: u, user: {token: "\(token)"}}]
            contexts: [{name: x, context: {cluster: c, user: u}}]
            current-context: x
            """, to: "kubeconfig-\(port)-\(token)")
    }

    @discardableResult
    func kubectl(_ arguments: String..., input: String = "") async throws -> String {
        let outcome = try await ChildProcess.run(
            peer.addresses, ["--kubeconfig", kubeconfig] + arguments, environment: ["HOME": peer.folder.path], input: input, within: .seconds(120))
        try #require(outcome.exit == .code(0), "kubectl \(arguments): \(outcome.errors)")
        return outcome.output
    }

    /// Containers of servers, by their pods' names, whatever their state.
    func containers(of pods: String) async throws -> [EngineMessage.Listed] {
        let filters = HTTPRequest.percentEncoded(#"{"label":["io.kubernetes.container.name=server"]}"#)
        let request = HTTPRequest("GET", "http://docker/containers/json?all=1&filters=\(filters)", route: HTTPRoute(unixSocket: engine.socket))
        let answer = try await HTTPClient().send(request).checked()
        return try EngineMessage.read([EngineMessage.Listed].self, from: answer.body).filter {
            $0.Labels?["io.kubernetes.pod.name"]?.hasPrefix(pods) ?? false
        }
    }

    /// The process of the pod's container, once its kubelet has told that it runs: one that is ended before takes a kubelet of this age half a minute.
    func process(_ server: RunningServer) async throws -> pid_t {
        let pod = try #require(server.pod)
        return try await eventually("a process of \(pod)", within: .seconds(90)) {
            let told = try await api.find(KubernetesMessage.Pod.self, "/api/v1/namespaces/default/pods/\(pod)")
            guard told?.status?.phase == "Running" else { return nil }
            guard let container = try await containers(of: pod).first(where: { $0.State == "running" }) else { return nil }
            guard let pid = try await engine.engine.inspect(container.Id)?.State.Pid, pid > 1 else { return nil }
            return pid
        }
    }

    func pods(_ cell: CellName, namespace: String = "default") async throws -> [KubernetesMessage.Pod] {
        try await api.list(KubernetesMessage.Pod.self, "/api/v1/namespaces/\(namespace)/pods", query: ServerLabels.selector(cell)).items
    }
}

/// Starts the cluster for a suite, and stops it.
struct WithCluster: SuiteTrait, TestScoping {
    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let cluster = try await ClusterUnderTest()
        do { try await ClusterUnderTest.$current.withValue(cluster, operation: function) } catch {
            try await cluster.stop()
            throw error
        }
        try await cluster.stop()
    }
}

/// Pods of the suite's cluster, behind a proxy that can be cut.
struct KubernetesSubstrate: Substrate {
    let cluster: ClusterUnderTest
    let proxy: TCPProxy
    let folder: TemporaryFolder
    let seesExitsWithin = Duration.seconds(1)
    let runsWithin = Duration.seconds(90)
    let endsWithin = Duration.seconds(120)
    /// Kubelets before 1.22 forget how the containers of a deleted pod ended.
    let explainsStops = false

    init() throws {
        cluster = try .running
        proxy = try TCPProxy(to: cluster.port)
        folder = try TemporaryFolder("kubeconfig")
    }

    func driver(for cell: CellName, _ does: TrialServer) throws -> any Driver {
        let config = try cluster.kubeconfig(by: proxy.port, in: folder)
        return try KubernetesDriver(
            cell, ClusterUnderTest.spec(does), redis: RedisAddress(host: "127.0.0.1", port: 6379), clock: OperatorClock(), environment: ["KUBECONFIG": config])
    }

    func process(_ server: RunningServer) async throws -> pid_t { try await cluster.process(server) }
    /// By the engine; one of which the kubelet has not told yet that it runs does not count, unless it is on its way out.
    func running(_ cell: CellName) async throws -> Int {
        let young = try await cluster.pods(cell).filter { $0.status?.phase == "Pending" && $0.metadata.deletionTimestamp == nil }.map(\.metadata.name)
        return try await cluster.containers(of: "cell-\(cell)-").count { container in
            container.State == "running" && !young.contains(container.Labels?["io.kubernetes.pod.name"] ?? "")
        }
    }

    func cut() -> Bool {
        proxy.fault(.refuse)
        return true
    }

    func mend() { proxy.fault(.none) }
}
