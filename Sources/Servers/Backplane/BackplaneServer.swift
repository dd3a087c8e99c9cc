import Cell
import Kafka
import Synchronization

/// The embedded backplane: a Kafka broker in this process, for a cell on one machine.
///
/// It speaks Kafka's protocol on loopback, keeps a few MiB of each partition in memory, and forgets all when it stops: each of its lives is a
/// log of its own, which begins where the operator publishes its incarnation.
public final class BackplaneServer: ServerCore {
    public static let maker: ServerCoreMaker = { try BackplaneServer($0) }

    private let context: ServerContext
    private let broker = Mutex<EmbeddedBroker?>(nil)

    init(_ context: ServerContext) throws {
        guard context.spec.backplane == .embedded else {
            throw StartProblem(
                "spec.backplane names a Kafka, which needs no backplane server", remedy: "Stop this server, or write backplane: {embedded: {}}")
        }
        self.context = context
    }

    public func start() async throws {
        let broker = try listen()
        do {
            try await Self.check(broker)
        } catch {
            broker.stop()
            throw error
        }
        self.broker.withLock { $0 = broker }
        context.log.info("keeps \(broker.topic) with \(broker.partitions) partitions in memory at \(broker.address)")
    }

    private func listen() throws -> EmbeddedBroker {
        do throws(KafkaError) {
            return try EmbeddedBroker(port: UInt16(context.port), topic: context.spec.topic, partitions: Int32(context.spec.partitions))
        } catch {
            guard error.code == .portTaken else { throw error }
            throw StartProblem("port \(context.port) is taken", remedy: "Stop what listens there (ss -ltnp), or start this server with another --port")
        }
    }

    /// A broker that cannot be asked for its topic is none.
    static func check(_ broker: EmbeddedBroker, timeout: Duration = .seconds(3)) async throws {
        let queries = try LogQueries(broker.configuration, topic: broker.topic)
        defer { queries.close() }
        let found = try await queries.metadata(timeout: timeout).partitions.count
        guard found == Int(broker.partitions) else {
            throw StartProblem("its topic has \(found) partitions instead of \(broker.partitions)", remedy: "Start it again")
        }
    }

    public var readiness: Readiness { broker.withLock { $0 } == nil ? .waits(for: "its broker") : .ready }

    public func contribute(to report: inout Report) {
        if let broker = broker.withLock({ $0 }) { report.address = broker.address }
    }

    public var details: any Encodable & Sendable {
        broker.withLock { ["address": $0?.address ?? "", "topic": $0?.topic ?? ""] }
    }

    public func stop() async {
        broker.withLock { broker in
            broker?.stop()
            broker = nil
        }
    }
}
