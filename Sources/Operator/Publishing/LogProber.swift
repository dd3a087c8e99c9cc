import Cell
import Kafka
import Synchronization

/// Writes probes into the partitions of a cell's log.
final class LogProber: Sendable {
    /// Where it writes.
    enum Target: Equatable, Sendable {
        case kafka(BackplaneSpec.Kafka)
        /// At an address.
        case embedded(String, topic: String)

        /// Nil while the embedded backplane is not there.
        init?(_ spec: CellSpec, _ assignment: Assignment) {
            switch spec.backplane {
            case .kafka(let kafka): self = .kafka(kafka)
            case .embedded:
                guard let address = assignment.members(of: .backplane).first?.member.address, !address.isEmpty else { return nil }
                self = .embedded(address, topic: spec.topic)
            }
        }
    }

    /// A probe that the log has, and since when that is known.
    struct Written: Sendable {
        var partition: Partition
        var offset: Int64
        var at: Moment
    }

    /// What became of the probes: they come one by one, and are looked at together.
    private final class Harvest: Sendable {
        private let written = Mutex<[Written]>([])

        func add(_ reports: [DeliveryReport], at now: Moment) {
            let news = reports.compactMap { report in
                report.offset.map { Written(partition: Partition(report.partition), offset: $0, at: now) }
            }
            written.withLock { $0 += news }
        }

        func take() -> [Written] {
            written.withLock { written in
                defer { written = [] }
                return written
            }
        }
    }

    private let producer: Producer
    private let harvest: Harvest

    /// - Throws: `FileError` for a secret's file, `KafkaError` for properties.
    init(_ target: Target, _ clock: OperatorClock) throws {
        let (configuration, topic): (KafkaConfiguration, String)
        switch target {
        case .kafka(let kafka): (configuration, topic) = (try KafkaConfiguration(forOperatorOf: kafka), kafka.topic)
        case .embedded(let address, let name):
            (configuration, topic) = (KafkaConfiguration(brokers: [address], clientID: "cell-operator", embedded: true), name)
        }
        let harvest = Harvest()
        self.harvest = harvest
        producer = try Producer(
            configuration, topic: topic, shards: 1,
            onReports: { harvest.add($0, at: clock.now) },
            // The next write says so.
            onFatal: { _ in })
    }

    /// The probes that the log has, each told once.
    func takeWritten() -> [Written] { harvest.take() }

    /// Writes one probe into each partition. Those that the log does not take are not written, and said by nobody: the next ones tell as well.
    ///
    /// - Returns: false when it can write no more, and another is to be made.
    func write(to partitions: [Partition], nonce: UInt64, now_ms: Int64) -> Bool {
        // While brokers are away everything waits; more of it would say nothing more.
        guard producer.queued.messages == 0 else { return true }
        let record = Record.probe(produced_ms: now_ms, nonce: nonce).bytes
        for partition in partitions {
            do { try producer.produce(record, to: partition.number, token: 0, time_ms: now_ms) } catch { return error.code != .fatal && error.code != .closed }
        }
        return true
    }

    func close() { producer.close(discarding: true) }
}
