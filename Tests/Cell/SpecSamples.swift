import Cell
import YAML

/// Documents that the tests begin with.
enum Sample {
    /// A small valid cell.
    static let base = """
        apiVersion: cecochat.io/v1alpha1
        kind: Cell
        metadata: {name: case}
        spec:
          partitions: 12
          messaging: {servers: 3, standbys: 1, maxConnections: 2000}
          connect: {servers: 1}
          backplane: {embedded: {}}
          store: {sqlite: {}}
          auth: {none: {}}
          run: {process: {}}
          failover: {heartbeat: 500ms, lease: 1500ms, maxSimultaneous: 50%}

        """

    /// Every field that there is.
    static let everything = """
        apiVersion: cecochat.io/v1alpha1
        kind: Cell
        metadata: {name: eu-1, labels: {team: chat}, namespace: chat, annotations: {note: x}}
        spec:
          partitions: 720
          idWindow: 90s
          zones: [a, b]
          messaging:
            servers: 4
            standbys: 2
            maxConnections: 40000
            autoscale: {min: 2, max: 40, targetConnections: 35000, targetMessagesPerSecond: 5000, up: 40s, down: 20m}
            window: {age: 5m, bytes: 2Gi}
            limits: {bodyBytes: 16Ki, userRate: 51, partitionRate: 2001, unacknowledged: 65, backlog: 512Ki, streamsPerUser: 17}
            alive: 11s
            tls: {certificate: /a.crt, key: /a.key}
            advertise: chat.example.org
          connect: {servers: 2, port: 8081, tls: {certificate: /b.crt, key: /b.key}}
          history: {servers: 3}
          materialize: {servers: 4}
          backplane:
            kafka:
              brokers: ["127.0.0.1:9092", "[::1]:9093"]
              topic: other
              replicationFactor: 5
              retention: 30d
              properties: {security.protocol: SASL_SSL, sasl.username: cell}
              secretFiles: {sasl.password: /etc/cell/kafka}
          store:
            cassandra:
              contactPoints: ["10.0.0.1:9042"]
              keyspace: eu_1
              replicationFactor: 2
              consistency: {write: QUORUM, read: ONE}
              user: cell
              passwordFile: /etc/cell/cassandra
              tls: {ca: /etc/cell/ca.pem}
          auth: {jwt: {keyFile: /etc/cell/jwt.pem, algorithm: RS256, leeway: 31s}}
          run:
            docker:
              image: "cell:1.0"
              endpoint: tcp://10.0.0.2:2376
              network: cells
              tls: {ca: ca.pem, certificate: cert.pem, key: key.pem}
              environment: {TZ: UTC}
              volumes: ["/etc/cell:/etc/cell:ro"]
              resources: {cpus: 2.5, memory: 4Gi}
          failover: {heartbeat: 400ms, lease: 1.3s, maxSimultaneous: 26%}
          moves: {simultaneous: 11%, clientsPerSecond: 2001, grace: 12s}
          rollout: {batch: 2, readyWithin: 61s}

        """

    static let kubernetes = base.replacing(
        "{process: {}}",
        """
        {kubernetes: {image: "cell:1.0", namespace: chat, hostNetwork: true, serviceAccount: cell, nodeSelector: {disk: ssd}, resources: {cpus: 500m},
            tolerations: [{key: a, operator: Exists, tolerationSeconds: 5}], volumes: [{name: keys, mountPath: /etc/cell, secret: {secretName: "yes"}}]}}
        """
    ).replacing("{embedded: {}}", "{kafka: {brokers: [k:9092]}}").replacing("{sqlite: {}}", "{cassandra: {contactPoints: [c:9042], keyspace: k}}")
}

/// The cell of a text with one document.
func spec(_ text: String) throws -> CellSpec { try CellSpec.read(json: text, source: "f") }

/// The problems of a text, each as people see it.
func problems(_ text: String) -> [String] {
    do {
        _ = try spec(text)
        return []
    } catch let problems as SpecProblems {
        return problems.problems.map(\.description)
    } catch {
        return ["\(error)"]
    }
}

extension String {
    /// Every `old` in it becomes `new`. Stops the test when there is none, so that a row says what it means to.
    func replacing(_ old: String, _ new: String) -> String {
        precondition(contains(old), "no \(old) in the sample")
        return split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
    }
}
