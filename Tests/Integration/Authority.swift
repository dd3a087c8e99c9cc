import Support

/// Who signs the certificates of a test, and what it signed: all made by openssl, for 127.0.0.1 and localhost.
struct Authority {
    /// What proves that somebody is somebody.
    struct Identity {
        var certificate: String, key: String
        /// Key and certificate in one file, as Kafka wants it.
        var both: String
        /// The same as PKCS 12 with the password `keystore`, as Cassandra wants it.
        var keystore: String
    }

    let folder: TemporaryFolder
    var certificate: String { folder.file("ca.pem") }

    init() async throws {
        folder = try TemporaryFolder("authority")
        try await shell(
            """
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=the authority' -keyout ca.key -out ca.pem
            """)
    }

    /// Signs a new certificate under `name`; one of that name that was there is replaced, in one step.
    @discardableResult
    func sign(_ name: String) async throws -> Identity {
        try await shell(
            """
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=\(name)' -keyout new.key -out new.csr
            printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >new.ext
            openssl x509 -req -in new.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile new.ext -out new.pem
            cat new.key new.pem >new.both
            openssl pkcs12 -export -in new.pem -inkey new.key -name node -passout pass:keystore -out new.p12
            for kind in key pem both p12; do mv new.$kind \(name).$kind; done
            """)
        let files = ["pem", "key", "both", "p12"].map { folder.file("\(name).\($0)") }
        return Identity(certificate: files[0], key: files[1], both: files[2], keystore: files[3])
    }

    /// The serial number of the certificate that the server at `address` shows, if it is one of this authority's.
    func serial(at address: String) async throws -> String? {
        try await serial(of: "openssl s_client -connect \(address) -CAfile ca.pem -verify_return_error -alpn h2 </dev/null 2>s_client.err")
    }

    func serial(of identity: Identity) async throws -> String? { try await serial(of: "cat \(identity.certificate)") }

    private func serial(of command: String) async throws -> String? {
        let outcome = try await ChildProcess.run("sh", ["-c", "\(command) | openssl x509 -noout -serial"], in: folder.path)
        return outcome.exit == .code(0) ? outcome.output : nil
    }

    private func shell(_ script: String) async throws {
        let made = try await ChildProcess.run("sh", ["-ec", script], in: folder.path)
        guard made.exit == .code(0) else { throw CellFault("openssl: \(made.errors)") }
    }
}
