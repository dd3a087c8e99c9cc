import Cell
import Glibc
import HTTP

/// Where a Docker Engine listens, and who we are there.
struct DockerEndpoint: Equatable, Sendable {
    static let standard = "unix:///var/run/docker.sock"

    /// Before the path of a request.
    var base: String
    var route: HTTPRoute
    /// As people write it.
    var name: String

    /// - Parameter environment: of `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`, which count where the spec says nothing.
    init(_ spec: RunSpec.Docker, environment: [String: String]) throws(DriverError) {
        func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        name = spec.endpoint ?? variable("DOCKER_HOST") ?? Self.standard
        let tls = spec.tls ?? (variable("DOCKER_TLS_VERIFY") != nil ? Self.tls(in: variable("DOCKER_CERT_PATH")) : nil)
        if name.hasPrefix("unix://") {
            let path = String(name.dropFirst("unix://".count))
            guard path.hasPrefix("/") else { throw Self.unreadable(name) }
            base = "http://docker"
            route = HTTPRoute(unixSocket: path)
            return
        }
        guard let end = name.firstRange(of: "://"), ["tcp", "http", "https"].contains(name[..<end.lowerBound]) else { throw Self.unreadable(name) }
        var host = name[end.upperBound...]
        while host.hasSuffix("/") { host = host.dropLast() }
        guard !host.isEmpty, !host.contains("/") else { throw Self.unreadable(name) }
        let isSecret = tls != nil || name.hasPrefix("https")
        let hasPort = host.last.map { $0 != "]" } ?? false && (host.lastIndex(of: ":").map { !host[$0...].contains("]") } ?? false)
        base = "\(isSecret ? "https" : "http")://\(host)\(hasPort ? "" : isSecret ? ":2376" : ":2375")"
        route = HTTPRoute(
            authority: tls?.ca.map { .file($0) }, certificate: tls?.certificate.map { .file($0) }, key: tls?.key.map { .file($0) })
    }

    private static func tls(in folder: String?) -> RunSpec.ClientTLS {
        var tls = RunSpec.ClientTLS()
        guard let folder else { return tls }
        (tls.ca, tls.certificate, tls.key) = ("\(folder)/ca.pem", "\(folder)/cert.pem", "\(folder)/key.pem")
        return tls
    }

    private static func unreadable(_ name: String) -> DriverError {
        DriverError(
            "the Docker endpoint \(name) cannot be read",
            remedy: "Write unix:///PATH, tcp://HOST:PORT or https://HOST:PORT in spec.run.docker.endpoint or DOCKER_HOST.")
    }

    /// Why nobody answers there, as far as it can be seen from here.
    func explain(_ error: HTTPError) -> DriverError {
        if let path = route.unixSocket, error.code == .refused {
            guard access(path, F_OK) == 0 else {
                return DriverError(
                    "there is no Docker socket at \(path)", remedy: "Start the Docker Engine, or name its socket in spec.run.docker.endpoint or DOCKER_HOST.")
            }
            guard access(path, R_OK | W_OK) == 0 else {
                return DriverError(
                    "the operator may not use the Docker socket \(path)", remedy: "Put its user into the group that owns the socket, usually docker.")
            }
            return DriverError("nobody listens at the Docker socket \(path)", remedy: "Start the Docker Engine.")
        }
        return DriverError("the Docker Engine at \(name): \(error.problem)", remedy: error.remedy)
    }
}
