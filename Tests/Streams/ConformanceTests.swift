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
            $0.linger = .seconds(60)
        }
        let secure = try TestServer(loops: loops) {
            $0.backlog = 1 << 20
            $0.tls = context
        }
        let server = plain.server
        plain.journal.drain.withLock { $0 = { server.drain(grace: .seconds(8)) {} } }
        let script = #filePath.replacing("ConformanceTests.swift", with: "conformance.py")
        let run = try await ChildProcess.run(python, ["-u", script, "\(plain.port)", "\(secure.port)", identity.certificate], within: .seconds(400))
        let lines = run.output.split(separator: "\n").map(String.init)
        for line in lines where line.hasPrefix("FAILED") { Issue.record("\(line)") }
        #expect(run.exit == .code(0), "\(run.errors.suffix(2000))")
        let passed = lines.filter { $0.hasPrefix("ok ") }.count
        #expect(lines.last == "done \(passed)", "\(passed) passed; the script ended with \(lines.last ?? "nothing")")
        #expect(passed >= 31)
        try await eventually("the last connections' end") { plain.counters.openConnections == 0 && plain.counters.openStreams == 0 }
        try await eventually("every stream that began has ended once") { plain.journal.begun == plain.journal.endedCount }
        try await eventually("no block is kept") { plain.counters.openBlockBytes == 0 }
    }
}
