import Cell
import Testing
import YAML

@Suite("reading a cell.yaml")
struct SpecReaderTests {
    @Test("what is left out has its default")
    func defaults() throws {
        let spec = try spec(Sample.base)
        var expected = CellSpec(name: CellName("case")!, partitions: 12, backplane: .embedded, store: .sqlite, auth: .none, run: .process(.init()))
        expected.messaging.servers = 3
        expected.messaging.maxConnections = 2_000
        expected.failover.maxSimultaneous_percent = 50
        #expect(spec == expected)
    }

    @Test("the topic's default is the cell's name and -messages")
    func topic() throws {
        guard case .kafka(let kafka) = try spec(Sample.kubernetes).backplane else { Issue.record("no Kafka"); return }
        #expect(kafka.topic == "case-messages")
        #expect(kafka.replicationFactor == 3)
        #expect(kafka.retention == .seconds(604_800))
    }

    @Test("every field is read")
    func everything() throws {
        let spec = try spec(Sample.everything)
        #expect(spec.labels == ["team": "chat"])
        #expect(spec.idWindow == .seconds(90))
        #expect(spec.messaging.autoscale?.down == .seconds(1_200))
        #expect(spec.messaging.limits.backlog == 512 << 10)
        #expect(spec.connect.tls == TLSFiles(certificate: "/b.crt", key: "/b.key"))
        guard case .cassandra(let store) = spec.store else { Issue.record("no Cassandra"); return }
        #expect(store.read == .one && store.tlsCA == "/etc/cell/ca.pem")
        guard case .docker(let docker) = spec.run else { Issue.record("no Docker"); return }
        #expect(docker.resources.cpus_milli == 2_500 && docker.resources.memory_bytes == 4 << 30)
        #expect(spec.failover.lease == .milliseconds(1_300))
    }

    @Test("nothing, ~ and {} mean the defaults alike", arguments: ["", "~", "null", "{}"])
    func nothing(_ value: String) throws {
        let text = Sample.base.replacing("connect: {servers: 1}", "connect: \(value)").replacing("embedded: {}", "embedded: \(value)")
        #expect(try spec(text) == spec(Sample.base))
    }

    @Test("texts stay as written, whatever they look like")
    func texts() throws {
        let text = Sample.kubernetes.replacing("name: case", "name: no").replacing("brokers: [k:9092]", "brokers: [10:22], topic: 2024-06-01")
            .replacing("keyspace: k", "keyspace: 0123")
        let spec = try spec(text)
        #expect(spec.name == CellName("no"))
        guard case .kafka(let kafka) = spec.backplane, case .cassandra(let store) = spec.store else { Issue.record("neither"); return }
        #expect(kafka.topic == "2024-06-01" && kafka.brokers == ["10:22"] && store.keyspace == "0123")
    }

    @Test("keys for anchors alone are left alone")
    func anchors() throws {
        let text = Sample.base.replacing("spec:\n", "x-small: &small {servers: 1}\nspec:\n").replacing("{servers: 1}\n  backplane", "*small\n  backplane")
        #expect(try spec(text) == spec(Sample.base))
    }

    @Test("what was written canonically is read back equal", arguments: [Sample.base, Sample.everything, Sample.kubernetes])
    func roundTrip(_ text: String) throws {
        let spec = try spec(text)
        let json = spec.canonicalJSON
        #expect(try CellSpec.read(json: json, source: "redis") == spec)
        #expect(try CellSpec.read(json: json, source: "redis").canonicalJSON == json)
    }

    @Test("canonical JSON has every default and sorted keys")
    func canonical() throws {
        let json = try spec(Sample.base).canonicalJSON
        #expect(
            json.hasPrefix(
                #"{"apiVersion":"cecochat.io/v1alpha1","kind":"Cell","metadata":{"labels":{},"name":"case"},"spec":{"auth":{"none":{}},"backplane":{"embedded":{}},"#
            ))
        #expect(json.contains(#""idWindow":"1m""#) && json.contains(#""window":{"age":"10m","bytes":"1Gi"}"#) && json.contains(#""maxSimultaneous":"50%""#))
    }

    @Test(
        "text that YAML would stumble over comes back from canonical JSON",
        arguments: ["\u{2028}a: b", "tab\there", "\"quoted\" \\ back", "~", "{}", "é 😀", "a # b", "\u{7f}\u{85}\u{feff}"])
    func awkward(_ value: String) throws {
        var spec = try spec(Sample.base)
        spec.run = .process(
            {
                var process = RunSpec.Process()
                process.environment = ["X": value]
                return process
            }())
        // Control characters are refused by the schema, so only what it lets through must return.
        let json = spec.canonicalJSON
        if value.unicodeScalars.contains(where: { $0.value < 32 }) {
            #expect(throws: SpecProblems.self) { try CellSpec.read(json: json, source: "redis") }
        } else {
            #expect(try CellSpec.read(json: json, source: "redis") == spec)
        }
    }

    @Test("a reference to every field exists, and every pattern takes its own example")
    func schema() {
        let names = CellSchema.reference.map(\.path)
        #expect(names.contains("spec.messaging.limits.bodyBytes") && names.contains("spec.run.docker.tls.ca"))
        #expect(Set(names).count == names.count)
        for (path, info) in CellSchema.reference {
            #expect(!info.about.isEmpty && !info.form.description.isEmpty, "\(path)")
            if case .text(let form) = info.form { #expect(form.accepts(form.example), "\(path)") }
        }
    }
}
