import Support

/// A certificate for localhost and 127.0.0.1, signed by itself, made by openssl.
struct TestIdentity: Sendable {
    let folder: TemporaryFolder
    var certificate: String { folder.file("cert.pem") }
    var key: String { folder.file("key.pem") }

    init() async throws {
        folder = try TemporaryFolder("identity")
        try await renew()
    }

    /// Replaces both files.
    func renew() async throws {
        let made = try await ChildProcess.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate,
            ])
        guard made.exit == .code(0) else { throw Failed(output: made.errors) }
    }

    struct Failed: Error { var output: String }
}
