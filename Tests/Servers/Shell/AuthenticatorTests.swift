import Cell
import FoundationEssentials
@testable import Servers
import Support
import Testing

@Suite("Who calls")
struct AuthenticatorTests {
    let folder: TemporaryFolder
    let keyFile: String
    let secret = "a secret of thirty-two bytes, or so"

    init() throws {
        folder = try TemporaryFolder("keys")
        keyFile = try folder.write("a secret of thirty-two bytes, or so\n", to: "secret")
    }

    /// HS256, by Python's standard library: an issuer of its own.
    func token(_ claims: String, algorithm: String = "HS256") async throws -> String {
        let program = """
            import base64,hmac,hashlib,sys
            b=lambda x: base64.urlsafe_b64encode(x).rstrip(b'=').decode()
            body=b(b'{"alg":"\(algorithm)","typ":"JWT"}')+'.'+b(sys.argv[1].encode())
            print(body+'.'+b(hmac.new(sys.argv[2].encode(),body.encode(),hashlib.sha256).digest()),end='')
            """
        return try await ChildProcess.run("python3", ["-c", program, claims, secret]).output
    }

    func authenticator() throws -> Authenticator { try Authenticator(.jwt(.init(keyFile: keyFile, algorithm: .hs256))) }

    @Test("a valid token names its user, whatever the header of the other kind says")
    func valid() async throws {
        let token = try await token("{\"sub\":\"42\",\"exp\":4000000000}")
        #expect(try authenticator().caller(authorization: "Bearer \(token)", userID: "7") == .success(UserID(42 as UInt64)!))
        #expect(try authenticator().caller(authorization: "bearer \(token)", userID: nil) == .success(UserID(42 as UInt64)!))
    }

    @Test("anything else is no token", arguments: ["", "Bearer", "Bearer ", "Basic QQ==", "Bearer a b", "Bearer x.y.z", "Bearer a, Bearer b"])
    func invalid(header: String) throws {
        guard case .failure(.noToken) = try authenticator().caller(authorization: header, userID: "42") else {
            Issue.record("\(header) was taken")
            return
        }
    }

    @Test(
        "expired, without expiry, for nobody, of another algorithm",
        arguments: [
            ("{\"sub\":\"42\",\"exp\":1000}", "HS256"), ("{\"sub\":\"42\"}", "HS256"), ("{\"sub\":\"0\",\"exp\":4000000000}", "HS256"),
            ("{\"sub\":\"42\",\"exp\":4000000000}", "none"), ("{\"sub\":\"42\",\"exp\":4000000000}", "RS256"),
        ])
    func refused(claims: String, algorithm: String) async throws {
        let token = try await token(claims, algorithm: algorithm)
        let answer = ConnectAnswer(to: try authenticator().caller(authorization: "Bearer \(token)", userID: nil), by: nil)
        #expect(answer.status == 401, "\(claims) \(algorithm)")
    }

    @Test("a name alone is none where tokens are asked for, and a key file that is not there is told")
    func nameAlone() throws {
        #expect(ConnectAnswer(to: try authenticator().caller(authorization: nil, userID: "42"), by: nil).status == 401)
        #expect { try Authenticator(.jwt(.init(keyFile: folder.file("nothing"), algorithm: .es256))) } throws: {
            "\($0)".contains("spec.auth.jwt.keyFile") && "\($0)".contains("nothing")
        }
    }
}
