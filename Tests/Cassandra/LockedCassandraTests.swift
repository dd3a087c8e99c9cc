import Glibc
import Support
import TLS
import Testing

@testable import Cassandra

/// TLS to a scripted node, and to a real one that also asks for a password.
@Suite("locked nodes", .timeLimit(.minutes(20)))
struct LockedCassandraTests {
    /// A certificate for 127.0.0.1, signed by itself, and the same for a Java keystore.
    struct Identity {
        let folder: TemporaryFolder
        var certificate: String { folder.file("cert.pem") }
        var key: String { folder.file("key.pem") }
        var keystore: String { folder.file("keystore.p12") }

        init(name: String = "IP:127.0.0.1") async throws {
            folder = try TemporaryFolder("identity")
            let script = """
                set -e
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=node \
                    -addext subjectAltName=\(name) -keyout key.pem -out cert.pem
                openssl pkcs12 -export -in cert.pem -inkey key.pem -name node -passout pass:keystore -out keystore.p12
                """
            let made = try await ChildProcess.run("sh", ["-c", script], in: folder.path)
            try #require(made.exit == .code(0), "\(made.errors)")
        }
    }

    private static let program = """
        import socket,ssl,sys,threading
        context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(sys.argv[1],sys.argv[2])
        listener=socket.create_server(('127.0.0.1',int(sys.argv[3])))
        def copy(a,b):
            try:
                while (data:=a.recv(65536)): b.sendall(data)
            except OSError: pass
            for s in (a,b):
                try: s.shutdown(socket.SHUT_RDWR)
                except OSError: pass
        def serve(raw):
            try: client=context.wrap_socket(raw,server_side=True)
            except (ssl.SSLError,OSError): return
            node=socket.create_connection(('127.0.0.1',int(sys.argv[4])))
            threading.Thread(target=copy,args=(client,node),daemon=True).start(); copy(node,client)
        print('up',flush=True)
        while True: threading.Thread(target=serve,args=(listener.accept()[0],),daemon=True).start()
        """

    /// Python's TLS in front of the node at `port`.
    private func door(_ identity: Identity, to port: Int) async throws -> (process: ChildProcess, port: Int) {
        let listening = freePort()
        let process = try ChildProcess("python3", ["-c", Self.program, identity.certificate, identity.key, "\(listening)", "\(port)"])
        try await eventually("the door") { process.output.contains("up") }
        return (process, listening)
    }

    private func configuration(_ port: Int, authorities: String?, timeout: Duration = .seconds(60)) throws -> CassandraConfiguration {
        var configuration = CassandraConfiguration(contactPoints: [Endpoint(host: "127.0.0.1", port: UInt16(port))])
        configuration.timeout = timeout
        configuration.attemptTimeout = timeout
        configuration.connectTimeout = .seconds(30)
        configuration.silence = .seconds(60)
        try configuration.useTLS(authorities: authorities)
        return configuration
    }

    @Test("statements and answers of any size pass through TLS")
    func sizes() async throws {
        let identity = try await Identity()
        // A large answer for each question: of as many bytes as its text is long, a thousand times.
        let node = try ScriptedNode { frame in
            let text = [UInt8](repeating: 7, count: frame.body.count * 100)
            let length = UInt32(text.count)
            let cell = [UInt8(length >> 24), UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255)] + text
            let head = hex("00000002 00000001 00000001 0001 73 0001 6c 0001 76 000d 00000001")
            return [Frame(stream: frame.stream, opcode: .result, body: head + cell)]
        }
        let (process, port) = try await door(identity, to: node.port)
        let session = try CassandraSession(try configuration(port, authorities: identity.certificate))
        for size in [1, 100, 5_000, 60_000] {
            let rows = try await session.execute("SELECT '\(String(repeating: "x", count: size))'")
            let text = try rows.rows[0].text(0).utf8
            #expect(text.count > size * 100 && text.allSatisfy { $0 == 7 })
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<200 { group.addTask { _ = try await session.execute("SELECT '\(String(repeating: "y", count: number * 10))'") } }
            try await group.waitForAll()
        }
        session.close()
        try await process.kill()
        node.stop()
    }

    @Test("a node that is not to be trusted, or does not speak TLS, gets nothing, and the reason is told")
    func untrusted() async throws {
        let (identity, other, misnamed) = (try await Identity(), try await Identity(), try await Identity(name: "DNS:node.example.org"))
        let node = try ScriptedNode { [Frame(stream: $0.stream, opcode: .result, body: [0, 0, 0, 1])] }
        let (first, port) = try await door(identity, to: node.port)
        let (second, wrong) = try await door(misnamed, to: node.port)
        for (port, authority) in [(port, other.certificate), (wrong, misnamed.certificate), (node.port, identity.certificate)] {
            let session = try CassandraSession(try configuration(port, authorities: authority, timeout: .seconds(4)))
            let code = await RealCassandraTests.code { _ = try await session.execute("SELECT 1") }
            #expect(code == .noNode || code == .connectionLost || code == .timedOut, "\(String(describing: code))")
            #expect(node.requests.isEmpty)
            if port != node.port { try await eventually("the reason") { session.problems.contains { $0.what.contains("not trusted") } } }
            session.close()
        }
        #expect(throws: TLSError.self) { try configuration(port, authorities: "/nowhere/ca.pem") }
        try await first.kill()
        try await second.kill()
        node.stop()
    }

    @Test("a real node that asks for TLS and a password", .enabled(if: Peers.wanted))
    func real() async throws {
        let identity = try await Identity()
        // The node's own configuration, changed before its Java reads it.
        let wrapper = """
            #!/bin/sh
            for a in "$@"; do case "$a" in -Dcassandra.config=file://*) c=${a#-Dcassandra.config=file://};; esac; done
            sed -i 's/AllowAllAuthenticator/PasswordAuthenticator/' "$c"
            printf 'client_encryption_options: {enabled: true, optional: false, keystore: \(identity.keystore), keystore_password: keystore, store_type: PKCS12}\\n' >>"$c"
            PATH=${PATH#*:} exec java "$@"
            """
        try identity.folder.write(wrapper, to: "java")
        chmod(identity.folder.file("java"), 0o755)
        let peer = try await Peers.cassandra(path: identity.folder.path)
        let port = peer.addresses.split(separator: ":").last.flatMap { Int($0) } ?? 0
        var open = try configuration(port, authorities: identity.certificate)
        open.credentials = Credentials(user: "cassandra", password: "cassandra")
        let session = try CassandraSession(open)
        // The first role is made a moment after the node is up.
        try await eventually("a login", within: .seconds(200)) {
            (try? await session.execute("SELECT release_version FROM system.local")) != nil
        }
        _ = try await session.execute("CREATE KEYSPACE locked WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        session.close()
        for credentials in [nil, Credentials(user: "cassandra", password: "secret-guess")] {
            var closed = try configuration(port, authorities: identity.certificate)
            closed.credentials = credentials
            let refused = try CassandraSession(closed)
            let code = await RealCassandraTests.code { _ = try await refused.execute("SELECT release_version FROM system.local") }
            #expect(code != nil)
            #expect(refused.problems.contains { $0.code == .badCredentials }, "\(refused.problems)")
            #expect(!"\(refused.problems) \(closed)".contains("secret-guess"))
            refused.close()
        }
        try await peer.stop()
    }
}
