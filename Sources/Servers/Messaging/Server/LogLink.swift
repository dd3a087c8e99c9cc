import Cell
import Kafka
import Streams

/// The cell's topic as one server's loop uses it: a producer, replaced when it fails, and what is read of it. Loop thread only.
final class LogLink: @unchecked Sendable {
    // Why @unchecked: used on its loop's thread only; Kafka's threads and answers come through `loop.execute`.
    let core: MessagingCore
    private let loop: EventLoop
    private let configuration: MessagingConfiguration
    private var kafka: KafkaConfiguration?
    private var producer: ProducerState = .none
    private var generation = 0
    private var losses = 0
    /// What of the log is read.
    let readings: LogReadings
    private var producerTrouble = ""

    private enum ProducerState {
        case none
        case warming(Producer)
        case ready(Producer)

        var producer: Producer? {
            switch self {
            case .none: nil
            case .warming(let producer), .ready(let producer): producer
            }
        }
    }

    /// Comes back with the record that warms a producer up.
    private static let warmUp: Ticket = .max

    init(_ configuration: MessagingConfiguration, core: MessagingCore, loop: EventLoop, questions: Questions) {
        self.configuration = configuration
        self.core = core
        self.loop = loop
        readings = LogReadings(topic: configuration.topic, core: core, loop: loop, questions: questions)
    }

    /// Reads and writes at `kafka` from now on. What was under way elsewhere is lost; readings begin again when the core asks for them.
    func connect(to kafka: KafkaConfiguration) {
        if self.kafka != nil { disconnect() }
        self.kafka = kafka
        do {
            try readings.connect(to: kafka)
            startProducer()
        } catch {
            producerTrouble = error.description
        }
    }

    private func disconnect() {
        producer.producer?.close(discarding: true)
        if isReady { core.producerLost(at: SystemClock.now) }
        producer = .none
        generation += 1
        readings.disconnect()
    }

    /// What hinders the log at the moment, for people; empty: nothing.
    var trouble: String { producerTrouble.isEmpty ? readings.trouble : producerTrouble }
    /// Whether records can be produced.
    var isReady: Bool { if case .ready = producer { true } else { false } }
    /// What the producer has and has not reported.
    var queued: Producer.Queued? { producer.producer?.queued }

    func close() {
        readings.close()
        producer.producer?.close(discarding: false)
        producer = .none
    }

    // MARK: the producer

    private func startProducer() {
        guard let kafka else { return }
        generation += 1
        let generation = generation
        do {
            let made = try Producer(
                kafka, topic: configuration.topic,
                onReports: { [self, loop] reports in
                    loop.execute { [self] in take(reports, generation) }
                },
                onFatal: { [self, loop] error in
                    loop.execute { [self] in lose(generation, error) }
                })
            producer = .warming(made)
            warmUp(made)
        } catch {
            lose(generation, error)
        }
    }

    /// A cold producer needs long for its first record: it gets one before anybody waits for it. A tick is handed to nobody.
    private func warmUp(_ producer: Producer) {
        let partition = Int32(configuration.identity.server.number % configuration.identity.partitions)
        do throws(KafkaError) {
            try producer.produce(Record.tick(produced_ms: SystemClock.now.wall_ms).bytes, to: partition, token: Self.warmUp)
        } catch {
            lose(generation, error)
        }
    }

    func produce(_ record: [UInt8], to partition: Partition, ticket: Ticket) {
        guard case .ready(let producer) = producer else { return }
        do throws(KafkaError) {
            try producer.produce(record, to: partition.number, token: ticket)
        } catch {
            guard error.code == .messageTooLarge else { return lose(generation, error) }
            core.reported(ticket, .tooLarge, at: SystemClock.now)
        }
    }

    private func take(_ reports: [DeliveryReport], _ from: Int) {
        guard from == generation else { return }
        for report in reports {
            if let error = report.error { return lose(from, error) }
            if report.token == Self.warmUp {
                becomeReady()
            } else {
                core.reported(report.token, .landed(offset: report.offset, time_ms: report.time_ms), at: SystemClock.now)
            }
        }
    }

    private func becomeReady() {
        guard case .warming(let made) = producer else { return }
        producer = .ready(made)
        losses = 0
        producerTrouble = ""
        core.producerReady(at: SystemClock.now)
    }

    /// What the producer held may land or not; nothing more of it is listened to.
    private func lose(_ lost: Int, _ error: KafkaError) {
        guard lost == generation else { return }
        generation += 1
        losses += 1
        producerTrouble = error.description
        producer.producer?.close(discarding: true)
        producer = .none
        core.producerLost(at: SystemClock.now)
        let expected = generation
        _ = loop.schedule(after: .milliseconds(min(1_000, 50 << min(losses, 5)))) { [weak self] in
            guard let self, generation == expected else { return }
            startProducer()
        }
    }
}
