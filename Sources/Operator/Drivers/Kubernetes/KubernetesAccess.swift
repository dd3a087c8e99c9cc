import Cell
import HTTP

/// Where a cluster's API server is, and who we are there.
struct KubernetesAccess: Equatable, Sendable {
    /// Before the path of a request.
    var base: String
    private var route: HTTPRoute
    private var token: Kubeconfig.Token
    /// Where we live, when that is known.
    var namespace: String?

    private static let account = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// By `KUBECONFIG`, else the pod's own service account, else `~/.kube/config`.
    ///
    /// - Parameters:
    ///   - environment: of `KUBECONFIG`, `HOME`, `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    ///   - account: the folder in which a pod finds its service account.
    init(environment: [String: String], account: String = KubernetesAccess.account) throws(DriverError) {
        func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        if let file = variable("KUBECONFIG") {
            guard !file.contains(":") else {
                throw DriverError("KUBECONFIG names several files (\(file))", remedy: "Name the one that has the operator's context.")
            }
            try self.init(kubeconfig: file)
        } else if let host = variable("KUBERNETES_SERVICE_HOST") {
            self.init(host: host, port: variable("KUBERNETES_SERVICE_PORT") ?? "443", account: account)
        } else if let home = variable("HOME"), Files.isThere("\(home)/.kube/config") {
            try self.init(kubeconfig: "\(home)/.kube/config")
        } else {
            throw DriverError(
                "nobody says where Kubernetes is: there is neither KUBECONFIG, nor a service account, nor ~/.kube/config",
                remedy: "Set KUBECONFIG for cell-operator, or run it in the cluster (manifests/kubernetes).")
        }
    }

    init(kubeconfig file: String) throws(DriverError) {
        let bytes: [UInt8]
        do throws(FileError) { bytes = try Files.read(file) } catch {
            throw DriverError("the kubeconfig \(file) cannot be read: \(error)", remedy: "Name another in KUBECONFIG.")
        }
        let config = try Kubeconfig(bytes, file: file)
        base = config.server
        route = HTTPRoute(authority: config.authority, certificate: config.certificate, key: config.key)
        token = config.token
        namespace = config.namespace
    }

    private init(host: String, port: String, account: String) {
        base = "https://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        route = HTTPRoute(authority: .file("\(account)/ca.crt"))
        token = .file("\(account)/token")
        // Not every cluster mounts it; the spec may name one.
        namespace = (try? Files.read("\(account)/namespace")).map { String(decoding: $0, as: UTF8.self).filter { !$0.isWhitespace } }
    }

    /// As of now: a token's file is read anew, since it is replaced long before it expires.
    func currentRoute() throws(DriverError) -> HTTPRoute {
        var route = route
        switch token {
        case .none: break
        case .text(let text): route.bearerToken = text
        case .file(let path):
            do throws(FileError) {
                route.bearerToken = String(decoding: try Files.read(path), as: UTF8.self).filter { !$0.isWhitespace }
            } catch {
                throw DriverError("the token for Kubernetes cannot be read: \(error.path)", remedy: "Mount the service account's token there.")
            }
        }
        return route
    }

    /// Why nobody answers there.
    func explain(_ error: HTTPError) -> DriverError { DriverError("Kubernetes at \(base): \(error.problem)", remedy: error.remedy) }
}
