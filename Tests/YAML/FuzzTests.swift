import Cell
import Support
import Testing
import YAML

/// See `Fuzz` for how long and with which seed.
@Suite("cell.yaml of strangers", .serialized)
struct YAMLFuzzTests {
    private static let sample = """
        # a cell
        apiVersion: cecochat.io/v1alpha1
        kind: Cell
        metadata: {name: eu-1, labels: {team: "chat", 'a b': c}}
        spec:
          partitions: 720
          zones: &z [a, b]
          messaging: {servers: 4, standbys: 1, autoscale: {min: 2, max: 40, targetConnections: 35000}, limits: {bodyBytes: 8Ki, userRate: 50}}
          backplane:
            kafka:
              brokers: ["127.0.0.1:9092", 'b:9093']
              properties: {linger.ms: "5"}
              retention: 7d
          store: {cassandra: {contactPoints: ["127.0.0.1:9042"], keyspace: eu_1}}
          auth:
            jwt:
              keyFile: >-
                /etc/cell/jwt.pem
              algorithm: ES256
          run: {docker: {image: "cell:1.0", environment: {A: *z}}}
          failover: {heartbeat: 500ms, lease: 1500ms, maxSimultaneous: 25%}
        """

    @Test("nothing traps or hangs, every problem has its place, and what is read is written and read as the same")
    func yaml() async throws {
        let sample = Array(Self.sample.utf8)
        await Fuzz.run("yaml") { random in
            let bytes = random.chance(10) ? random.bytes(upTo: 200) : random.chance(40) ? Array(random.mutatedText(Self.sample).utf8) : random.mutated(sample)
            guard let documents = try? YAML.documents(in: bytes, file: "fuzz.yaml") else { return nil }
            for document in documents {
                do throws(SpecProblems) {
                    let spec = try CellSpec.read(document)
                    guard let again = try? CellSpec.read(json: spec.canonicalJSON, source: "again"), again == spec else {
                        return "read back it differs: \(spec)"
                    }
                } catch {
                    if error.problems.isEmpty { return "refused without a problem" }
                    if error.problems.contains(where: { $0.mark.line < 1 || $0.problem.isEmpty || $0.remedy.isEmpty }) { return "\(error)" }
                }
            }
            return nil
        }
    }
}
