import HTTP
import Support
import Testing
import Web

@Suite("Unix sockets and TLS", .serialized)
struct HTTPRouteTests {
    /// Certificates of one authority, made by openssl.
    struct Certificates {
        let folder: TemporaryFolder
        var authority: String { folder.file("ca.pem") }

        init() async throws {
            folder = try TemporaryFolder("tls")
            let script = """
                set -e
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority
                for who in server client; do
                  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $who.key -out $who.csr -subj /CN=$who
                  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >$who.ext
                  openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $who.ext -out $who.pem
                done
                """
            let outcome = try await ChildProcess.run("sh", ["-c", script], in: folder.path)
            #expect(outcome.exit == .code(0), "\(outcome.errors)")
        }

        func text(_ name: String) -> String { Support.text(ofFile: folder.file(name)) }
    }

    func code(_ body: () async throws -> Void) async -> HTTPError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? HTTPError)?.code
        }
    }

    @Test("a server with TLS is reached with its authority, from a file or a text, and only with it")
    func tls() async throws {
        let certificates = try await Certificates()
        var options = WebServer.Options()
        options.certificate = certificates.text("server.pem")
        options.key = certificates.text("server.key")
        let server = try WebServer(port: 0, options: options) { _ in .text("safe") }
        let client = try HTTPClient()
        let url = "https://localhost:\(server.port)/"
        for authority in [HTTPRoute.PEM.file(certificates.authority), .text(certificates.text("ca.pem"))] {
            #expect(try await client.send(HTTPRequest("GET", url, route: HTTPRoute(authority: authority))).text == "safe")
        }
        #expect(await code { _ = try await client.send(HTTPRequest("GET", url)) } == .tls)
        let wrong = HTTPRoute(authority: .file(certificates.folder.file("missing.pem")))
        #expect(await code { _ = try await client.send(HTTPRequest("GET", url, route: wrong)) } == .tls)
        #expect(await code { _ = try await client.send(HTTPRequest("GET", "http://localhost:\(server.port)/")) } != nil)
    }

    @Test("another server takes its place where it listens, with another certificate, and no connection is refused")
    func beside() async throws {
        let (old, new) = (try await Certificates(), try await Certificates())
        var options = WebServer.Options()
        (options.certificate, options.key) = (old.text("server.pem"), old.text("server.key"))
        let first = try WebServer(port: 0, options: options) { _ in .text("first") }
        let url = "https://127.0.0.1:\(first.port)/"
        // A key that is not the certificate's leaves everything as it was.
        (options.certificate, options.key) = (new.text("server.pem"), old.text("server.key"))
        #expect(throws: WebError.self) { try WebServer(beside: first, options: options, routes: WebRoutes()) }
        let client = try HTTPClient()
        #expect(try await client.send(HTTPRequest("GET", url, route: HTTPRoute(authority: .file(old.authority)))).text == "first")
        (options.certificate, options.key) = (new.text("server.pem"), new.text("server.key"))
        var routes = WebRoutes()
        routes.on("GET", "/") { _ in .text("second") }
        let second = try WebServer(beside: first, options: options, routes: routes)
        first.stopListening()
        // The answer is with the client before the server has done with the request.
        try await eventually("nothing is under way") { !first.isBusy }
        await first.stop()
        #expect(second.port == first.port)
        for _ in 1...20 {
            #expect(try await HTTPClient().send(HTTPRequest("GET", url, route: HTTPRoute(authority: .file(new.authority)))).text == "second")
        }
        await second.stop()
    }

    @Test("a server whose certificate cannot be read says so")
    func badCertificate() throws {
        var options = WebServer.Options()
        options.certificate = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"
        options.key = "nonsense"
        let error = #expect(throws: WebError.self) { try WebServer(port: 0, options: options) { _ in .text("") } }
        #expect(error?.code == .badCertificate)
    }

    @Test("a client's certificate is shown to a server that wants one")
    func clientCertificate() async throws {
        let certificates = try await Certificates()
        let port = freePort()
        let server = try ChildProcess(
            "openssl",
            [
                "s_server", "-accept", "\(port)", "-cert", "server.pem", "-key", "server.key", "-CAfile", "ca.pem", "-Verify", "1", "-verify_return_error",
                "-www",
            ], in: certificates.folder.path)
        let client = try HTTPClient()
        let url = "https://localhost:\(port)/"
        var route = HTTPRoute(authority: .file(certificates.authority))
        try await eventually("the server listens") { server.output.contains("ACCEPT") }
        let without = await code { _ = try await client.send(HTTPRequest("GET", url, route: route)) }
        #expect(without == .tls || without == .lost)
        (route.certificate, route.key) = (.text(certificates.text("client.pem")), .text(certificates.text("client.key")))
        #expect(try await client.send(HTTPRequest("GET", url, route: route)).status == 200)
        (route.certificate, route.key) = (.file(certificates.folder.file("client.pem")), .file(certificates.folder.file("client.key")))
        #expect(try await client.send(HTTPRequest("GET", url, route: route)).status == 200)
    }

    @Test("a unix socket is reached by its path")
    func unixSocket() async throws {
        let folder = try TemporaryFolder("socket")
        let server = try ChildProcess(
            "python3",
            [
                "-c",
                """
                import http.server, socketserver, sys
                class H(http.server.BaseHTTPRequestHandler):
                    def address_string(self): return "unix"
                    def do_GET(self):
                        body = (self.path + " " + self.headers["Host"]).encode()
                        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
                socketserver.ThreadingUnixStreamServer(sys.argv[1], H).serve_forever()
                """, folder.file("socket"),
            ])
        let client = try HTTPClient()
        let request = HTTPRequest("GET", "http://docker/v1.41/info", route: HTTPRoute(unixSocket: folder.file("socket")))
        let response = try await eventually { try await client.send(request) }
        #expect(response.text == "/v1.41/info docker")
        try await server.kill()
        #expect(await code { _ = try await client.send(request) } == .refused)
    }
}
