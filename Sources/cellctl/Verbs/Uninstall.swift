import Cell
import FoundationEssentials
import Operator

extension Option {
    static let namespace = Option(name: "namespace", value: .required("NAME"), about: "The namespace of the cells' rights; chat unless given.")
    static let operatorNamespace = Option(
        name: "operator-namespace", value: .required("NAME"), about: "The namespace of the operator; cell-system unless given.")
    static let namespaces = Option(name: "namespaces", about: "The two namespaces go as well, with all that is in them.")
}

extension Verb {
    static let uninstall = Verb(
        name: "uninstall", summary: "Takes cells and operator out of Kubernetes.",
        usage: ["uninstall [--dry-run] [--namespaces] [--wait=TIMEOUT]"],
        about: """
            Deletes every Cell of the cluster, waits until their operator has stopped them, and then deletes what manifests/kubernetes has installed: the \
            operator, its rights, the network policies and the definition of Cells. A Cell that no operator takes down is let go after 10 s, and its pods go with \
            it. Topics and keyspaces stay; what is left is told at the end.

            The cluster is that of KUBECONFIG, else of ~/.kube/config.
            """,
        options: [.dryRun, .namespace, .operatorNamespace, .namespaces, .wait],
        examples: [
            ("cellctl uninstall --dry-run", "tell what there is"), ("cellctl uninstall --namespaces", "take everything out, the namespaces included"),
        ],
        run: { call, terminal in
            try call.expectWords(0...0, "")
            let limit = try call.waitLimit() ?? Call.longestWait
            do {
                let uninstalling = try Uninstalling(
                    cells: call.value(.namespace) ?? "chat", operators: call.value(.operatorNamespace) ?? "cell-system",
                    environment: ProcessInfo.processInfo.environment)
                if call.has(.dryRun) {
                    let found = try await uninstalling.found(withNamespaces: call.has(.namespaces))
                    return terminal.say((found.isEmpty ? ["nothing is installed"] : found.map { "\($0) would be deleted" }).joined(separator: "\n"))
                }
                let left = try await uninstalling.run(takesNamespaces: call.has(.namespaces), within: limit) { news in
                    switch news {
                    case .done(let words):
                        terminal.endProgress()
                        terminal.say(words)
                    case .waits(let words): terminal.progress(words)
                    }
                }
                terminal.endProgress()
                terminal.say((["uninstalled"] + left.map { "stays: \($0)" }).joined(separator: "\n"))
            } catch let error as DriverError {
                throw Failure(.failed, error.problem, remedy: error.remedy.trimmed)
            } catch let late as Uninstalling.TooLate {
                throw Failure(.timedOut, late.problem, remedy: late.remedy)
            }
        })
}
