import Cell
import Testing
import YAML

/// One change of a valid cell, and what is said to it.
struct Mistake: Sendable, CustomTestStringConvertible {
    let old: String, new: String, says: [String], sample: String
    var testDescription: String { new }

    init(_ old: String, _ new: String, _ says: String..., in sample: String = Sample.base) {
        self.old = old
        self.new = new
        self.says = says
        self.sample = sample
    }
}

@Suite("problems of a cell.yaml")
struct SpecProblemsTests {
    static let scalars = [
        Mistake(
            "partitions: 12", "partitions: 012", "f:5:15: spec.partitions is 012, which is no integer in decimal digits. Write it in digits alone, like 720"),
        Mistake("servers: 3", "servers: 0x3", "f:6:24: spec.messaging.servers is 0x3, which is no integer in decimal digits. Write 3"),
        Mistake("standbys: 1", "standbys: 1_0", "f:6:37: spec.messaging.standbys is 1_0, which is no integer in decimal digits. Write 10"),
        Mistake(
            "maxConnections: 2000", "maxConnections: 20:00",
            "f:6:56: spec.messaging.maxConnections is 20:00, which is no integer in decimal digits. Write it in digits alone, like 50000"),
        Mistake("connect: {servers: 1}", "connect: {servers: 1.0}", "f:7:22: spec.connect.servers is 1.0, which is no integer in decimal digits. Write 1"),
        Mistake(
            "connect: {servers: 1}", "connect: {servers: \"1\"}", "f:7:22: spec.connect.servers is the text \"1\". Write an integer without quotes, like 1"),
        Mistake(
            "connect: {servers: 1}", "connect: {servers: yes}",
            "f:7:22: spec.connect.servers is yes, which is no integer in decimal digits. Write it in digits alone, like 1"),
        Mistake("servers: 3", "servers: 0", "f:6:24: spec.messaging.servers is 0; it must be at least 1. Write 1 to 10,000"),
        Mistake("servers: 3", "servers: -1", "f:6:24: spec.messaging.servers is -1; it must be at least 1. Write 1 to 10,000"),
        Mistake("partitions: 12", "partitions: 1000001", "f:5:15: spec.partitions is 1000001; it must be at most 1,000,000. Write 1 to 1,000,000"),
        Mistake(
            "partitions: 12", "partitions: 99999999999999999999",
            "f:5:15: spec.partitions is 99999999999999999999, which is no integer in decimal digits. Write it in digits alone, like 720"),
        Mistake("partitions: 12", "partitions: [12]", "f:5:15: spec.partitions is a list. Write an integer"),
        Mistake("partitions: 12", "partitions:", "f:5:3: spec.partitions has no value. Write partitions: 720"),
        Mistake("heartbeat: 500ms", "heartbeat: 500", "f:12:25: spec.failover.heartbeat is \"500\", which has no unit. Write 500ms or 500s"),
        Mistake(
            "heartbeat: 500ms", "heartbeat: half a second",
            "f:12:25: spec.failover.heartbeat is \"half a second\", which is no duration. Write it like 500ms, 1.5s, 2m, 1h or 7d"),
        Mistake(
            "heartbeat: 500ms", "heartbeat: 1.5ms",
            "f:12:25: spec.failover.heartbeat is \"1.5ms\", which is no whole number of milliseconds. Write it like 500ms, 1.5s, 2m, 1h or 7d"),
        Mistake("heartbeat: 500ms", "heartbeat: 5ms", "f:12:25: spec.failover.heartbeat is 5ms; it must be at least 50ms. Write 50ms to 30s"),
        Mistake("maxSimultaneous: 50%", "maxSimultaneous: 50", "f:12:64: spec.failover.maxSimultaneous is \"50\", which is no percentage. Write 50%"),
        Mistake("maxSimultaneous: 50%", "maxSimultaneous: 101%", "f:12:64: spec.failover.maxSimultaneous is 101%; it must be at most 100%. Write 1% to 100%"),
        Mistake(
            "servers: 3,", "servers: 3, window: {bytes: 1GB},",
            "f:6:43: spec.messaging.window.bytes is \"1GB\", which has a unit that is not used here. Write 1Gi, which counts by 1,024"),
        Mistake(
            "name: case", "name: Case_1",
            "f:3:18: metadata.name is \"Case_1\"; it must be a DNS label of at most 40 characters (a-z, 0-9, inner hyphens, a letter first). Write it like eu-1"
        ),
        Mistake(
            "hostNetwork: true", "hostNetwork: yes", "f:11:71: spec.run.kubernetes.hostNetwork is yes, which is neither true nor false. Write true or false",
            in: Sample.kubernetes),
        Mistake("algorithm: RS256", "algorithm: RS265", "f:38:55: spec.auth.jwt.algorithm is \"RS265\". Did you mean RS256?", in: Sample.everything),
        Mistake(
            "[k:9092]", "[k]", "f:8:33: spec.backplane.kafka.brokers[0] is \"k\"; it must be a HOST:PORT. Write it like 127.0.0.1:9092", in: Sample.kubernetes),
        Mistake(
            "[k:9092]", "[k:9092, k:9092]", "f:8:41: spec.backplane.kafka.brokers[1] is there already, at line 8 column 33. Keep one of the two",
            in: Sample.kubernetes),
        Mistake("[k:9092]", "k:9092", "f:8:32: spec.backplane.kafka.brokers is no list. Write it in brackets, like [127.0.0.1:9092]", in: Sample.kubernetes),
        Mistake("[k:9092]", "[]", "f:8:32: spec.backplane.kafka.brokers is empty. Write 1 to 256 of them, like [127.0.0.1:9092]", in: Sample.kubernetes),
    ]

    static let shapes = [
        Mistake("cecochat.io/v1alpha1", "v1", "f:1:13: apiVersion is \"v1\", which is not read here. Write apiVersion: cecochat.io/v1alpha1"),
        Mistake("kind: Cell", "kind: Deployment", "f:2:7: kind is \"Deployment\", which is not read here. Write kind: Cell"),
        Mistake("kind: Cell", "kind: cell", "f:2:7: kind is \"cell\", which is not read here. Write kind: Cell"),
        Mistake("kind: Cell\n", "", "f:1:1: kind is missing. Write kind: Cell"),
        Mistake("  partitions: 12\n", "", "f:5:3: spec.partitions is missing. Write partitions: 720"),
        Mistake("  auth: {none: {}}\n", "", "f:5:3: spec.auth is missing. Write auth: {none: {}}"),
        Mistake("{none: {}}", "{none: off}", "f:10:16: spec.auth.none is \"off\", but a mapping is wanted. Write the keys under it, or {} for the defaults"),
        Mistake("{none: {}}", "{}", "f:10:9: spec.auth names none of jwt, none. Write one of them, like {none: {}}"),
        Mistake("{none: {}}", "{none: {}, jwt: {}}", "f:10:20: spec.auth.jwt is a second choice beside none at line 10 column 10. Keep one of the two"),
        Mistake("{none: {}}", "{jtw: {}}", "f:10:10: spec.auth.jtw is not known. Did you mean jwt?"),
        Mistake(
            "{none: {}}", "{jwt: }", "f:10:15: spec.auth.jwt.keyFile is missing. Write keyFile: /etc/cell/FILE",
            "f:10:15: spec.auth.jwt.algorithm is missing. Write algorithm: HS256"),
        Mistake("servers: 3", "severs: 3", "f:6:15: spec.messaging.severs is not known. Did you mean servers?"),
        Mistake("  partitions: 12", "  partitions: 12\n  standbys: 1", "f:6:3: spec.standbys is not known. It belongs under spec.messaging"),
        Mistake(
            "servers: 3", "servers: 3, colour: red",
            "f:6:27: spec.messaging.colour is not known. Known here: servers, standbys, maxConnections, autoscale, window, limits, alive, tls, advertise"),
        Mistake("connect: {servers: 1}", "connect: [1]", "f:7:12: spec.connect is a list, but a mapping is wanted. Write KEY: VALUE, or {} for the defaults"),
        Mistake("partitions: 12", "partitions: 12\n  partitions: 24", "f:6:3: spec.partitions is written twice, first at line 5 column 3. Keep one of the two"),
    ]

    static let rules = [
        Mistake("standbys: 1", "standbys: 4", "f:6:37: spec.messaging.standbys is 4, more than the 3 servers they stand by for. Write at most 3"),
        Mistake(
            "servers: 3,", "servers: 3, autoscale: {min: 5, max: 4, targetConnections: 9},",
            "f:6:44: spec.messaging.autoscale.min is 5, above max, which is 4. Write at most 4"),
        Mistake(
            "servers: 3,", "servers: 3, autoscale: {min: 4, max: 5, targetConnections: 9},",
            "f:6:24: spec.messaging.servers is 3, outside of autoscale's 4 to 5. Write 4 to 5"),
        Mistake(
            "servers: 3,", "servers: 3, autoscale: {min: 1, max: 5},",
            "f:6:38: spec.messaging.autoscale has nothing to aim at. Write targetConnections or targetMessagesPerSecond"),
        Mistake(
            "lease: 1500ms", "lease: 999ms",
            "f:12:39: spec.failover.lease is 999ms, less than two heartbeats: one that comes late would be a death. Write at least 1s"),
        Mistake(
            "{process: {}}", "{docker: {image: i}}",
            "f:8:25: spec.backplane.embedded listens on loopback only, where containers cannot reach it. Write kafka: {brokers: [HOST:PORT]}, or run: {process: {}}"
        ),
        Mistake(
            "{cassandra: {contactPoints: [c:9042], keyspace: k}}", "{sqlite: {}}",
            "f:9:19: spec.store.sqlite is a file on one machine, and pods run on several. Write cassandra: {contactPoints: [HOST:PORT], keyspace: NAME}, or run: {process: {}}",
            in: Sample.kubernetes),
        Mistake(
            "connect: {servers: 1}", "connect: {servers: 10, port: 65530}",
            "f:7:32: spec.connect.port is 65530; the last of 10 servers would need port 65539. Write at most 65526"),
        Mistake(
            "keyspace: k", "keyspace: k, user: u", "f:9:22: spec.store.cassandra has a user and no passwordFile. Write passwordFile: /PATH",
            in: Sample.kubernetes),
        Mistake(
            "retention: 30d", "retention: 3m",
            "f:26:18: spec.backplane.kafka.retention is 3m, shorter than what servers read back when they start. Write at least 5m", in: Sample.everything),
        Mistake(
            "backlog: 512Ki", "backlog: 16Ki", "f:14:95: spec.messaging.limits.backlog is 16Ki, too little for one message of bodyBytes. Write at least 17Ki",
            in: Sample.everything),
    ]

    static let secrets = [
        Mistake(
            "sasl.username: cell", "sasl.password: x",
            "f:27:49: spec.backplane.kafka.properties.sasl.password is a secret, and everyone who sees the spec would see it. Put it in a file, and write secretFiles: {sasl.password: /PATH}",
            in: Sample.everything),
        Mistake(
            "sasl.username: cell", "acks: 1",
            "f:27:49: spec.backplane.kafka.properties.acks is not among the properties that may be set. Remove it: the cell sets what its promises rest on, and docs/cell-yaml.md lists what is free",
            in: Sample.everything),
        Mistake(
            "security.protocol", "security.protocoll",
            "f:27:20: spec.backplane.kafka.properties.security.protocoll is not among the properties that may be set. Did you mean security.protocol?",
            in: Sample.everything),
        Mistake(
            "TZ: UTC", "DB_PASSWORD: x",
            "f:45:21: spec.run.docker.environment.DB_PASSWORD looks like a secret, and everyone who sees the spec would see it. Put it in a file, and give the file's path as DB_PASSWORD_FILE",
            in: Sample.everything),
    ]

    @Test("each is told at its place, and nothing else is", arguments: scalars + shapes + rules + secrets)
    func told(_ mistake: Mistake) {
        #expect(problems(mistake.sample.replacing(mistake.old, mistake.new)) == mistake.says)
    }

    @Test("all of them are told at once, in the order of the file")
    func together() {
        let text = Sample.base.replacing("partitions: 12", "partitions: zero").replacing("standbys: 1", "standby: 1").replacing(
            "heartbeat: 500ms", "heartbeat: 500"
        )
        .replacing("{embedded: {}}", "{embedded: {}, kafka: {}}").replacing("{none: {}}", "{}")
        let places = problems(text).map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
        #expect(
            places == [
                "f:5:15: spec.partitions", "f:6:27: spec.messaging.standby", "f:8:29: spec.backplane.kafka", "f:10:9: spec.auth",
                "f:12:25: spec.failover.heartbeat",
            ])
    }

    @Test("beyond fifty they are counted")
    func capped() throws {
        let text = Sample.base + (1...4_000).map { "  unknown\($0): 1\n" }.joined()
        // The best of several: the machine may be busy with something else.
        var best = Duration.seconds(60)
        for _ in 1...5 where best >= .seconds(1) {
            let began = ContinuousClock.now
            let problems = #expect(throws: SpecProblems.self) { try spec(text) }
            #expect(problems?.problems.count == 50 && problems?.more == 3_950)
            #expect(problems?.description.hasSuffix("\nand 3950 more") == true)
            best = min(best, ContinuousClock.now - began)
        }
        #expect(best < .seconds(1), "\(best)")
    }

    @Test("what is ambiguous without a schema is refused", arguments: ["yes", "012", "1.5", "1e3", "No", "-x", "0x1f"])
    func ambiguous(_ value: String) {
        let text = Sample.kubernetes.replacing("tolerationSeconds: 5", "tolerationSeconds: \(value)")
        #expect(problems(text).first?.contains("which readers of YAML take for different things") == true)
    }

    @Test("what is fixed cannot change, and the reason is said")
    func fixed() throws {
        let old = try spec(Sample.everything)
        #expect(CellSpec.refusedChanges(from: old, to: old).isEmpty)
        let free = try spec(
            Sample.everything.replacing("servers: 4\n    standbys: 2", "servers: 6\n    standbys: 1").replacing("retention: 30d", "retention: 31d"))
        #expect(CellSpec.refusedChanges(from: old, to: free).isEmpty)
        let changed = Sample.everything.replacing("partitions: 720", "partitions: 721").replacing("idWindow: 90s", "idWindow: 91s")
            .replacing("topic: other", "topic: another").replacing("keyspace: eu_1", "keyspace: eu_2").replacing("name: eu-1", "name: eu-2")
        let refused = CellSpec.refusedChanges(from: old, to: try spec(changed))
        #expect(refused.map(\.path) == ["metadata.name", "spec.partitions", "spec.idWindow", "spec.backplane.kafka.topic", "spec.store.cassandra.keyspace"])
        #expect(
            refused[1].description
                == "spec.partitions is fixed: it is 720 and cannot become 721, since a user's partition is computed from it and never changes; another number needs a new cell. Write 720, or give the cell another name"
        )
        let other = CellSpec.refusedChanges(
            from: try spec(Sample.base), to: try spec(Sample.base.replacing("{sqlite: {}}", "{cassandra: {contactPoints: [c:9042], keyspace: k}}")))
        #expect(other.map(\.path) == ["spec.store"])
    }
}
