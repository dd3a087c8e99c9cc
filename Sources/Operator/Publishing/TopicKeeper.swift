import Cell
import FoundationEssentials
import Kafka

extension KafkaConfiguration {
    /// How an operator reaches the cell's Kafka.
    /// - Throws: `FileError` for a secret's file.
    init(forOperatorOf kafka: BackplaneSpec.Kafka) throws {
        var properties = kafka.properties
        for (property, path) in kafka.secretFiles {
            let text = String(decoding: try Files.read(path), as: UTF8.self)
            properties[property] = text.hasSuffix("\n") ? String(text.dropLast()) : text
        }
        self.init(brokers: kafka.brokers, properties: properties, clientID: "cell-operator")
    }
}

/// Makes and verifies a cell's topic on Kafka, and sees when its log is not the one that was read.
final class TopicKeeper: Sendable {
    private let spec: CellSpec
    private let kafka: BackplaneSpec.Kafka
    private let queries: LogQueries

    /// - Throws: `FileError` for a secret's file, `KafkaError` for properties.
    init(_ spec: CellSpec, _ kafka: BackplaneSpec.Kafka) throws {
        self.spec = spec
        self.kafka = kafka
        queries = try LogQueries(KafkaConfiguration(forOperatorOf: kafka), topic: kafka.topic)
    }

    func close() { queries.close() }

    /// Looks at the topic, and makes it when it is missing.
    ///
    /// - Parameters:
    ///   - hasLog: the cell has had a log, so that a topic that must be made is a new one.
    ///   - read: partition → the highest offset that servers have read up to, of the present log.
    func look(hasLog: Bool, read: [Int32: Int64]) async -> LogView {
        do {
            let metadata: TopicMetadata
            var isNew = false
            do {
                metadata = try await queries.metadata()
            } catch let error as KafkaError where error.code == .unknownTopicOrPartition {
                try await make()
                isNew = true
                metadata = try await queries.metadata()
            }
            if metadata.partitions.count != spec.partitions { return unfit(metadata.partitions.count) }
            if isNew { return hasLog ? .renewed : .intact }
            if let view = try await differences() { return view }
            return try await hasReceded(read) ? .renewed : .intact
        } catch {
            return .unreachable("\(error)")
        }
    }

    private func make() async throws {
        let topic = NewTopic(partitions: Int32(spec.partitions), replicationFactor: Int32(kafka.replicationFactor), configuration: wanted)
        do {
            try await queries.createTopic(topic)
        } catch let error as KafkaError where error.code == .topicExists {}
    }

    /// Kafka's names, and what the promises of delivery need.
    private var wanted: [String: String] {
        [
            "message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete", "retention.ms": "\(kafka.retention.milliseconds)",
            "min.insync.replicas": "\(kafka.minInsyncReplicas)", "unclean.leader.election.enable": "false", "max.message.bytes": "\(largestRecord)",
        ]
    }

    /// The body, the record around it, and what Kafka's batch adds.
    private var largestRecord: Int { max(1_048_588, spec.messaging.limits.bodyBytes + LoggedMessage.overhead_bytes + 1_024) }

    private func differences() async throws -> LogView? {
        let found = try await queries.topicConfiguration()
        var wrong: [(name: String, found: String, wanted: String)] = []
        for (name, value) in wanted.sorted(by: { $0.key < $1.key }) {
            let present = found[name] ?? ""
            let fits =
                name == "max.message.bytes" ? Int(present) ?? 0 >= spec.messaging.limits.bodyBytes + LoggedMessage.overhead_bytes + 128 : present == value
            if !fits { wrong.append((name: name, found: present, wanted: value)) }
        }
        guard !wrong.isEmpty else { return nil }
        let problem = wrong.map { "has \($0.name)=\($0.found) instead of \($0.wanted)" }.joined(separator: ", ")
        let change = wrong.map { "\($0.name)=\($0.wanted)" }.joined(separator: ",")
        let command =
            "kafka-configs.sh --bootstrap-server \(kafka.brokers.joined(separator: ",")) --alter --entity-type topics --entity-name \(kafka.topic) --add-config \(change)"
        return .differs(problem: problem, remedy: "Run: \(command)")
    }

    private func unfit(_ count: Int) -> LogView {
        .unfit(
            problem: "has \(count) partitions, and the cell has \(spec.partitions)",
            remedy: "A user's partition never changes, so neither can: name another topic in a new cell, or, when nothing in it is needed, delete it"
                + " (kafka-topics.sh --bootstrap-server \(kafka.brokers.joined(separator: ",")) --delete --topic \(kafka.topic)) and it is made anew.")
    }

    /// The log ends below what was read: it was made anew, or lost its end.
    private func hasReceded(_ read: [Int32: Int64]) async throws -> Bool {
        let partitions = read.keys.filter { $0 >= 0 && Int($0) < spec.partitions }.sorted()
        guard !partitions.isEmpty else { return false }
        func recedes(_ ends: PartitionOffsets) -> Bool { partitions.contains { partition in ends[partition].map { $0 < read[partition] ?? 0 } ?? false } }
        guard recedes(try await queries.endOffsets(of: partitions)) else { return false }
        // A broker that has just become leader may not know its end yet.
        try await Task.sleep(for: .seconds(1))
        return recedes(try await queries.endOffsets(of: partitions))
    }
}
