import Cell
import Support
import Synchronization
import Testing

@testable import Operator

/// On a real cluster, whose operator is gone for good.
extension OperatorTests.KubernetesDriverTests {
    private static let manifests = OperatorTests.InstallationTests.manifests

    @Test("uninstalled without an operator: the cell is let go with its pods, and everything that was installed goes; what stays is told")
    func uninstalling() async throws {
        let cluster = try ClusterUnderTest.running
        try await cluster.kubectl("apply", "-f", "\(Self.manifests)/crd.yaml", "-f", "\(Self.manifests)/namespace.yaml")
        try await cluster.kubectl("wait", "--for=condition=Established", "crd/cells.cecochat.io", "--timeout=90s")
        for file in ["rbac", "networkpolicy", "operator"] { try await cluster.kubectl("apply", "-f", "\(Self.manifests)/\(file).yaml") }
        try await cluster.kubectl("scale", "deployment/cell-operator", "-n", "cell-system", "--replicas=0")
        try await cluster.kubectl("apply", "-f", "\(Self.manifests)/cell.yaml")
        try await cluster.kubectl("patch", "cell", "eu-1", "-n", "chat", "--type=merge", "-p", #"{"metadata":{"finalizers":["cecochat.io/servers"]}}"#)

        let uninstalling = try Uninstalling(cells: "chat", operators: "cell-system", environment: ["KUBECONFIG": cluster.kubeconfig])
        let found = try await uninstalling.found(withNamespaces: true)
        #expect(found.first == "cell/eu-1 in chat" && found.contains("deployment/cell-operator") && found.contains("namespace/chat"), "\(found)")
        let told = Mutex<[String]>([])
        let left = try await uninstalling.run(takesNamespaces: true, within: .seconds(180)) { news in
            if case .done(let words) = news { told.withLock { $0.append(words) } }
        }
        #expect(left.contains("the topic eu-1-messages of cell eu-1") && left.contains("the keyspace eu_1 of cell eu-1"), "\(left)")
        #expect(left.contains { $0.contains("cell:eu-1:*") }, "\(left)")
        #expect(told.withLock { $0 }.contains("cell/eu-1 in chat is let go: no operator takes it down; its pods go with it"))
        #expect(try await uninstalling.found(withNamespaces: true).isEmpty)
        // Again, it finds nothing to do.
        #expect(try await uninstalling.run(takesNamespaces: true, within: .seconds(60)) { _ in }.isEmpty)
    }
}
