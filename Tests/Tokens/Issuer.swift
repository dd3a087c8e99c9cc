import Support
import Testing

/// Signs tokens the way others do: keys and signatures by openssl, HMAC by Python.
struct Issuer {
    let folder: TemporaryFolder

    /// Makes the file hmac, and with `pairs`, which takes a while, rsa1, rsa2, ec1, ec2 (each .key and .pub).
    init(pairs: Bool = true) async throws {
        folder = try TemporaryFolder("tokens")
        let script = """
            set -e
            for n in \(pairs ? "1 2" : ""); do
              openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa$n.key
              openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec$n.key
              for k in rsa ec; do openssl pkey -in $k$n.key -pubout -out $k$n.pub; done
            done
            printf 'a secret of some length, 32 bytes' >hmac
            """
        let outcome = try await ChildProcess.run("sh", ["-c", script], in: folder.path)
        try #require(outcome.exit == .code(0), "\(outcome.errors)")
        try folder.write(Self.signer, to: "sign.py")
    }

    func file(_ name: String) -> String { folder.file(name) }
    func text(_ name: String) -> String { Support.text(ofFile: folder.file(name)) }

    /// A token; `how` is how it is signed, whatever its header says.
    func token(_ payload: String, header: String, signedAs how: String, with key: String) async throws -> String {
        let outcome = try await ChildProcess.run("python3", ["sign.py", how, key, header, payload], in: folder.path)
        try #require(outcome.exit == .code(0), "\(outcome.errors)")
        return outcome.output
    }

    func token(_ payload: String, _ algorithm: String = "HS256", with key: String = "hmac") async throws -> String {
        try await token(payload, header: #"{"alg":"\#(algorithm)","typ":"JWT"}"#, signedAs: algorithm, with: key)
    }

    private static let signer = #"""
        import base64, hashlib, hmac, subprocess, sys
        how, key, header, payload = sys.argv[1:]
        b64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b"=")
        text = b64(header.encode()) + b"." + b64(payload.encode())
        if how == "none": signature = b""
        elif how == "HS256": signature = hmac.new(open(key, "rb").read(), text, hashlib.sha256).digest()
        else:
            signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text, stdout=subprocess.PIPE, check=True).stdout
            if how == "ES256":  # DER: 30 len, 02 len r, 02 len s
                at, parts = 2, []
                for _ in range(2):
                    n = signature[at + 1]; parts.append(int.from_bytes(signature[at + 2:at + 2 + n], "big")); at += 2 + n
                signature = b"".join(p.to_bytes(32, "big") for p in parts)
        sys.stdout.buffer.write(text + b"." + b64(signature))
        """#
}
