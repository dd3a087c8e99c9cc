import Support
import Testing
import TLS
@testable import Streams

/// Python's grpcio, an independent client, against the echo service. Each check is named in `conformance.py`.
@Suite("grpcio")
struct ConformanceTests {
    @Test("every check of conformance.py", arguments: [1, 2])
    func conformance(loops: Int) async throws {
        let identity = try await TestIdentity()
        let context = try TLSServerContext(certificate: identity.certificate, key: identity.key)
        let plain = try TestServer(loops: loops) {
            $0.messageLimit = 4 << 20
            $0.backlog = 4 << 20
        }
        let secure = try TestServer(loops: loops) {
            $0.backlog = 1 << 20
            $0.tls = context
        }
        let server = plain.server
        plain.journal.drain.withLock { $0 = { server.drain(grace: .seconds(3)) {} } }
        let script = #filePath.replacing("ConformanceTests.swift", with: "conformance.py")
        let run = try await ChildProcess.run(python, ["-u", script, "\(plain.port)", "\(secure.port)", identity.certificate], within: .seconds(120))
        let lines = run.output.split(separator: "\n").map(String.init)
        for line in lines where line.hasPrefix("FAILED") { Issue.record("\(line)") }
        #expect(run.exit == .code(0), "\(run.errors.suffix(2000))")
        let passed = lines.filter { $0.hasPrefix("ok ") }.count
        #expect(lines.last == "done \(passed)", "\(passed) passed; the script ended with \(lines.last ?? "nothing")")
        #expect(passed >= 28)
        try await eventually("the last connections' end") { plain.counters.openConnections == 0 && plain.counters.openStreams == 0 }
        #expect(plain.journal.begun == plain.journal.endedCount, "every stream that began has ended once")
        #expect(plain.counters.openBlockBytes == 0)
    }
}
