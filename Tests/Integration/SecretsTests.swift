import FoundationEssentials
import Glibc
import Support
import Testing

/// A cell whose peers ask for passwords: they are used, and never shown.
@Suite("secrets", .serialized, .timeLimit(.minutes(10)))
struct SecretsTests {
    private static let passwords = (kafka: "kafka-hunter-2", redis: "redis-hunter-3")

    /// Everything that anybody on the machine, or anybody who asks the cell, can read.
    private func shown(_ cell: CellUnderTest) async throws -> [(place: String, text: String)] {
        var shown: [(String, String)] = []
        for (words, name) in [
            (["get", "servers"], "servers"), (["get", "events"], "events"), (["get", "settings"], "settings"), (["get", "cells"], "cells"),
        ] {
            for format in ["json", "yaml", "wide"] { shown.append((name, try await cell.expect(words + ["-o", format]))) }
        }
        shown.append(("status", try await cell.expect(["status"])))
        shown.append(("describe", try await cell.expect(["describe", "cell", cell.name])))
        for server in try await cell.servers() where !server.http.isEmpty {
            for page in ["statusz", "metrics", "health"] {
                shown.append(("\(server.name)/\(page)", try await ChildProcess.run("curl", ["-s", "http://\(server.http)/\(page)"]).output))
            }
        }
        let pids = try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }
        for pid in pids {
            // Spaces stand for the zero bytes between arguments.
            let line = String(decoding: (try? Data(contentsOf: URL(filePath: "/proc/\(pid)/cmdline"))) ?? Data(), as: UTF8.self)
            if ["/cell-operator", "/cell-server", "/cellctl"].contains(where: line.contains) { shown.append(("arguments of \(pid)", line)) }
        }
        let logs = try await ChildProcess.run("find", [cell.folder.path, "-type", "f", "-size", "-20M", "-not", "-name", "secret*", "-not", "-name", "*.aof"])
        for file in logs.output.split(separator: "\n") { shown.append((String(file), text(ofFile: String(file)))) }
        shown.append(("operator", cell.diagnosis))
        return shown
    }

    @Test("Kafka by SASL and Redis by password: chat works, and neither password is in status, logs, metrics or process arguments", .enabled(if: Peers.wanted))
    func sasl() async throws {
        let folder = try TemporaryFolder("locked-kafka")
        // The broker's own configuration, changed before its Java reads it: clients come by SASL, brokers and controllers as before.
        let wrapper = """
            #!/bin/sh
            for a in "$@"; do f=$a; done
            case "$*" in *kafka.Kafka*)
            sed -i -e 's/^listeners=PLAINTEXT:/listeners=SASL_PLAINTEXT:/' -e 's/^advertised.listeners=PLAINTEXT:/advertised.listeners=SASL_PLAINTEXT:/' \\
              -e 's/PLAINTEXT:PLAINTEXT$/SASL_PLAINTEXT:SASL_PLAINTEXT/' "$f"
            cat >>"$f" <<CONFIG
            sasl.enabled.mechanisms=PLAIN
            security.inter.broker.protocol=SASL_PLAINTEXT
            sasl.mechanism.inter.broker.protocol=PLAIN
            listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="cell" password="\(Self.passwords.kafka)" user_cell="\(Self.passwords.kafka)";
            CONFIG
            ;; esac
            PATH=${PATH#*:} exec java "$@"
            """
        try folder.write(wrapper, to: "java")
        chmod(folder.file("java"), 0o755)
        let kafka = try await Peers.kafka(path: folder.path)
        let secret = try folder.write(Self.passwords.kafka + "\n", to: "secret-kafka")
        let spec = """
            apiVersion: cecochat.io/v1alpha1
            kind: Cell
            metadata: {name: locked}
            spec:
              partitions: 12
              messaging: {servers: 1, standbys: 1, maxConnections: 2000}
              connect: {servers: 1, port: \(freePorts([0, 1, 2, 3]))}
              backplane:
                kafka:
                  brokers: ["\(kafka.addresses)"]
                  topic: locked-messages
                  replicationFactor: 1
                  properties: {security.protocol: SASL_PLAINTEXT, sasl.mechanisms: PLAIN, sasl.username: cell}
                  secretFiles: {sasl.password: \(secret)}
              store: {sqlite: {}}
              auth: {none: {}}
              run: {process: {directory: DIR}}
            """
        let cell = try await CellUnderTest("locked", spec: spec, redisPassword: Self.passwords.redis)
        try await cell.waitUntilReady()
        let chat = try IndependentChat(connect: try await cell.connectURL(), users: 10, rate: 20, least: 50)
        let report = try await chat.finish()
        #expect(report.good, "\(report) \(cell.diagnosis)")
        let shown = try await shown(cell)
        #expect(shown.count > 30)
        for (place, text) in shown {
            #expect(!text.contains(Self.passwords.kafka) && !text.contains(Self.passwords.redis), "a password is shown in \(place)")
        }
        try await cell.stop()
        try await kafka.stop()
    }
}
