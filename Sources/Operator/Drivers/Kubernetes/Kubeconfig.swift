import Cell
import FoundationEssentials
import HTTP
import YAML

/// The cluster and the user that a kubeconfig's current context names.
struct Kubeconfig: Equatable, Sendable {
    /// Who signs in, beside a certificate.
    enum Token: Equatable, Sendable {
        case none
        case text(String)
        /// Read again for every request, since it is replaced from time to time.
        case file(String)
    }

    var server: String
    var authority: HTTPRoute.PEM?
    var certificate: HTTPRoute.PEM?
    var key: HTTPRoute.PEM?
    var token = Token.none
    /// Of the context.
    var namespace: String?

    /// - Parameters:
    ///   - file: how problems name it; paths in it are relative to its folder.
    /// - Throws: `DriverError` for what cannot be read, and for ways to sign in that are not offered here.
    init(_ bytes: [UInt8], file: String) throws(DriverError) {
        let documents: [Node]
        do throws(SpecProblem) { documents = try YAML.documents(in: bytes, file: file) } catch {
            throw DriverError("the kubeconfig cannot be read: \(error)", remedy: "Mend it, or name another in KUBECONFIG.")
        }
        let reader = Reader(file: file, folder: file.lastIndex(of: "/").map { String(file[..<$0]) } ?? ".")
        guard let document = documents.first else { throw reader.problem("is empty") }
        guard let name = document["current-context"]?.words else { throw reader.problem("has no current-context") }
        let context = try reader.item("contexts", name, "context", in: document)
        guard let cluster = context["cluster"]?.words else { throw reader.problem("context \(name) names no cluster") }
        try self.init(cluster: try reader.item("clusters", cluster, "cluster", in: document), reader)
        namespace = context["namespace"]?.words
        if let user = context["user"]?.words { try sign(in: try reader.item("users", user, "user", in: document), reader) }
    }

    private init(cluster: Node, _ reader: Reader) throws(DriverError) {
        guard var server = cluster["server"]?.words else { throw reader.problem("the cluster has no server") }
        while server.hasSuffix("/") { server.removeLast() }
        self.server = server
        if cluster["insecure-skip-tls-verify"]?.words == "true" {
            throw reader.refusal("insecure-skip-tls-verify", "anybody could answer in the cluster's name", "Write certificate-authority-data instead")
        }
        for name in ["proxy-url", "tls-server-name"] where cluster[name]?.words != nil {
            throw reader.refusal(name, "it is not offered here", "Name the API server itself")
        }
        authority = try reader.pem("certificate-authority", in: cluster)
    }

    private mutating func sign(in user: Node, _ reader: Reader) throws(DriverError) {
        let advice = "Give the operator a service account's token (token or tokenFile), or a client certificate"
        if user["exec"] != nil {
            throw reader.refusal("exec", "it would have the operator run another program, which its image does not have", advice)
        }
        for name in ["auth-provider", "username", "as"] where user[name] != nil { throw reader.refusal(name, "it is not offered here", advice) }
        certificate = try reader.pem("client-certificate", in: user)
        key = try reader.pem("client-key", in: user)
        guard (certificate == nil) == (key == nil) else { throw reader.problem("client-certificate and client-key go together") }
        // Like kubectl: a token's text counts before its file.
        if let text = user["token"]?.words { token = .text(text) } else if let path = user["tokenFile"]?.words { token = .file(reader.path(path)) }
    }

    private struct Reader {
        let file: String
        let folder: String

        func problem(_ words: String) -> DriverError {
            DriverError("the kubeconfig \(file): \(words)", remedy: "Mend it, or name another in KUBECONFIG.")
        }

        func refusal(_ name: String, _ reason: String, _ advice: String) -> DriverError {
            DriverError("the kubeconfig \(file) has \(name), and \(reason)", remedy: "\(advice).")
        }

        /// The mapping under `kind` of the element of `list` with this name.
        func item(_ list: String, _ name: String, _ kind: String, in document: Node) throws(DriverError) -> Node {
            guard case .sequence(let items, _)? = document[list], let item = items.first(where: { $0["name"]?.words == name }), let node = item[kind] else {
                throw problem("there is no \(kind) \(name) in \(list)")
            }
            return node
        }

        func path(_ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }

        /// `name-data` in base64, which counts before the file that `name` names.
        func pem(_ name: String, in node: Node) throws(DriverError) -> HTTPRoute.PEM? {
            guard let coded = node["\(name)-data"]?.words else { return node[name]?.words.map { .file(path($0)) } }
            guard let data = Data(base64Encoded: coded) else { throw problem("\(name)-data is no base64") }
            return .text(String(decoding: data, as: UTF8.self))
        }
    }
}

extension Node {
    /// A scalar's text; nil for nothing, and for what is no scalar.
    fileprivate var words: String? {
        guard case .scalar(let text, _, _) = self, !isNothing, !text.isEmpty else { return nil }
        return text
    }
}
