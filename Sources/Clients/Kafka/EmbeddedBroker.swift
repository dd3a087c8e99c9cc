import Synchronization

/// A Kafka broker in this process, for a cell on one machine: on loopback, with one topic, in memory.
///
/// It keeps 5 MiB of each partition, drops the oldest silently, and forgets everything when it stops. A record's time is what its producer wrote. It
/// answers in the same time however much it keeps, and waits with a reader for records, as Kafka does.
public final class EmbeddedBroker: Sendable {
    public let topic: String
    public let partitions: Int32
    public var port: UInt16 { connections.port }
    /// For clients of this broker.
    public var configuration: KafkaConfiguration { KafkaConfiguration(brokers: [address], embedded: true) }
    /// `host:port`.
    public var address: String { "127.0.0.1:\(port)" }

    private let requests: BrokerRequests
    private let connections: BrokerConnections
    private let isStopped = Atomic(false)

    /// - Parameter port: 0 takes a free one.
    /// - Throws: `.portTaken`, `.invalidTopic`.
    public init(port: UInt16 = 0, topic: String, partitions: Int32) throws(KafkaError) {
        guard partitions > 0, !topic.isEmpty else {
            throw KafkaError(
                .invalidTopic, "embedded topic \(topic) with \(partitions) partitions", remedy: "Give it a name and at least one partition")
        }
        self.topic = topic
        self.partitions = partitions
        requests = BrokerRequests(topic: topic, log: BrokerLog(partitions: Int(partitions)))
        connections = try BrokerConnections(port: port, requests)
    }

    /// Closes every connection and the port. Doing it again changes nothing.
    public func stop() {
        if !isStopped.exchange(true, ordering: .acquiringAndReleasing) { connections.stop() }
    }

    /// Lets the next batch be refused in a way that ends an idempotent producer, which a real broker does not do on demand.
    func refuseNextProduce() { requests.log.refuseNextProduce() }

    deinit { stop() }
}
