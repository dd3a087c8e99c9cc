import Cell
import Dispatch
import Kafka
import Streams

/// The cell's topic as one server's loop uses it: one producer, replaced when it fails, and one reader of many partitions, each at its pace. Loop thread only.
final class LogLink: @unchecked Sendable {
    // Why @unchecked: used on its loop's thread only; Kafka's threads and answers come through `loop.execute`.
    let core: MessagingCore
    private let loop: EventLoop
    private let configuration: MessagingConfiguration
    private let questions: Questions
    private var kafka: KafkaConfiguration?
    private var connection = 0
    private var producer: ProducerState = .none
    private var generation = 0
    private var losses = 0
    private var reader: PacedReader?
    private var readings: [Partition: Reading] = [:]
    private var wantedStarts: [WantedStart] = []
    /// Starts that have time.
    private var postponed: [Partition: WantedStart] = [:]
    private var wantedEnds: [Int32: UInt64] = [:]
    /// Records that were read and wait for the loop: the reader's thread stops when there are too many.
    private let batches = DispatchSemaphore(value: 4)
    /// What hinders the log at the moment, for people; empty: nothing.
    private(set) var trouble = ""
    /// How far each partition was behind its end when it was last looked at.
    private(set) var lags: [Partition: Int64] = [:]

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

    private typealias WantedStart = (partition: Partition, reading: UInt64, start: ReadingStart)

    private struct Reading {
        enum Stage { case lookingUp, reading, stopping }
        var number: UInt64
        var stage: Stage
        var pace = LogReader.Pace.prompt
        /// What is to begin when `stopping` is over.
        var next: (reading: UInt64, start: ReadingStart, pace: LogReader.Pace)?
        var watchedPosition: Int64?
    }

    /// Comes back with the record that warms a producer up.
    private static let warmUp: Ticket = .max
    /// How long a start waits that has time.
    private static let ease = Duration.milliseconds(500)

    init(_ configuration: MessagingConfiguration, core: MessagingCore, loop: EventLoop, questions: Questions) {
        self.configuration = configuration
        self.core = core
        self.loop = loop
        self.questions = questions
    }

    /// Reads and writes at `kafka` from now on. What was under way elsewhere is lost; readings begin again when the core asks for them.
    func connect(to kafka: KafkaConfiguration) {
        if self.kafka == nil { watch() } else { disconnect() }
        self.kafka = kafka
        connection += 1
        let connection = connection
        do {
            reader = try PacedReader(kafka, topic: configuration.topic) { [self, batches, loop] pace, events in
                batches.wait()
                loop.execute { [self] in
                    batches.signal()
                    if connection == self.connection { take(reader?.sift(events, from: pace) ?? []) }
                }
            }
            startProducer()
        } catch {
            trouble = error.description
        }
    }

    private func disconnect() {
        reader?.close()
        producer.producer?.close(discarding: true)
        if isReady { core.producerLost(at: SystemClock.now) }
        producer = .none
        generation += 1
        readings = [:]
        for partition in core.partitions.keys.sorted() { core.readingFailed(partition, at: SystemClock.now) }
    }

    /// Whether records can be produced.
    var isReady: Bool { if case .ready = producer { true } else { false } }
    /// What the producer has and has not reported.
    var queued: Producer.Queued? { producer.producer?.queued }

    func close() {
        reader?.close()
        producer.producer?.close(discarding: false)
        producer = .none
        // Whoever waits to hand over a batch goes on.
        for _ in 0..<64 { batches.signal() }
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
        trouble = ""
        core.producerReady(at: SystemClock.now)
    }

    /// What the producer held may land or not; nothing more of it is listened to.
    private func lose(_ lost: Int, _ error: KafkaError) {
        guard lost == generation else { return }
        generation += 1
        losses += 1
        trouble = error.description
        producer.producer?.close(discarding: true)
        producer = .none
        core.producerLost(at: SystemClock.now)
        let expected = generation
        _ = loop.schedule(after: .milliseconds(min(1_000, 50 << min(losses, 5)))) { [weak self] in
            guard let self, generation == expected else { return }
            startProducer()
        }
    }

    // MARK: readings

    func startReading(_ partition: Partition, reading: UInt64, from start: ReadingStart) {
        if var old = readings[partition], old.stage == .stopping {
            old.next = (reading, start, .prompt)
            readings[partition] = old
        } else {
            readings[partition] = Reading(number: reading, stage: .lookingUp)
            wantedStarts.append((partition, reading, start))
        }
    }

    func stopReading(_ partition: Partition) {
        lags[partition] = nil
        postponed[partition] = nil
        guard let old = readings[partition] else { return }
        switch old.stage {
        case .lookingUp: readings[partition] = nil
        case .reading:
            readings[partition]?.stage = .stopping
            reader?.stop(partition.number)
        case .stopping: readings[partition]?.next = nil
        }
    }

    func pace(_ partition: Partition, _ pace: ReadingPace) {
        guard var reading = readings[partition] else { return }
        let pace = LogReader.Pace(pace)
        if reading.stage == .stopping { reading.next?.pace = pace } else { reading.pace = pace }
        readings[partition] = reading
        // Who waited at ease for its start waits no longer.
        if reading.stage == .lookingUp, pace == .prompt, let start = postponed.removeValue(forKey: partition) { wantedStarts.append(start) }
        guard reading.stage == .reading, let position = core.partitions[partition]?.position else { return }
        reader?.change(partition.number, to: pace, from: position)
    }

    func askEnd(_ partition: Partition, query: UInt64) { wantedEnds[partition.number] = query }

    /// Asks together what the last actions wanted to know.
    func flush() {
        if !wantedEnds.isEmpty {
            questions.ask(.ends(wantedEnds))
            wantedEnds = [:]
        }
        postpone()
        askStarts()
    }

    private func askStarts() {
        guard !wantedStarts.isEmpty else { return }
        var byStart: [Int64?: [Int32: UInt64]] = [:]
        for wanted in wantedStarts {
            var from_ms: Int64?
            if case .time(let time_ms) = wanted.start { from_ms = time_ms }
            byStart[from_ms, default: [:]][wanted.partition.number] = wanted.reading
        }
        wantedStarts = []
        for (from_ms, readings) in byStart { questions.ask(.starts(readings, from_ms: from_ms)) }
    }

    /// A standby begins when somebody has failed: reading back minutes of the log would take from the clients who return at this moment what they need.
    private func postpone() {
        let atEase = wantedStarts.filter { readings[$0.partition]?.pace == .relaxed }
        guard !atEase.isEmpty else { return }
        wantedStarts.removeAll { readings[$0.partition]?.pace == .relaxed }
        for start in atEase { postponed[start.partition] = start }
        _ = loop.schedule(after: Self.ease) { [weak self] in self?.askPostponed(atEase) }
    }

    private func askPostponed(_ starts: [WantedStart]) {
        wantedStarts += starts.filter { start in
            guard postponed[start.partition]?.reading == start.reading else { return false }
            postponed[start.partition] = nil
            return true
        }
        askStarts()
    }

    /// - Parameter bounds: for each partition where to start, and the end before that. Those that are missing did not answer.
    func startsAnswered(_ wanted: [Int32: UInt64], from_ms: Int64?, _ bounds: [Int32: (start: Int64, end: Int64)]) {
        var begin: [Int32: (offset: Int64, pace: LogReader.Pace)] = [:]
        var missing: [Int32: UInt64] = [:]
        for (number, reading) in wanted.sorted(by: { $0.key < $1.key }) {
            let partition = Partition(number)
            guard readings[partition]?.number == reading, readings[partition]?.stage == .lookingUp else { continue }
            guard let found = bounds[number] else {
                missing[number] = reading
                continue
            }
            readings[partition]?.stage = .reading
            begin[number] = (found.start, readings[partition]?.pace ?? .prompt)
            core.readingBegan(partition, reading: reading, start: found.start, end: found.end, at: SystemClock.now)
        }
        reader?.start(begin)
        guard !missing.isEmpty else { return }
        _ = loop.schedule(after: .milliseconds(200)) { [questions] in questions.ask(.starts(missing, from_ms: from_ms)) }
    }

    private func take(_ events: [LogEvent]) {
        var records: [LogEntry] = []
        var current: Int32?
        func handOver(caughtUp next: Int64? = nil) {
            defer { records = [] }
            guard let current, let reading = readings[Partition(current)], reading.stage == .reading else { return }
            core.read(Partition(current), reading: reading.number, records, caughtUp: next, at: SystemClock.now)
        }
        for event in events {
            switch event {
            case .record(let record):
                if record.partition != current {
                    handOver()
                    current = record.partition
                }
                records.append(LogEntry(offset: record.offset, time_ms: record.time_ms, bytes: record.value))
            case .caughtUp(let partition, let next):
                if partition != current {
                    handOver()
                    current = partition
                }
                handOver(caughtUp: next)
            case .failed(let partition, let error):
                handOver()
                failed(Partition(partition), error)
            case .stopped(let partition):
                handOver()
                stopped(Partition(partition))
            case .error(let error): trouble = error.description
            }
        }
        handOver()
    }

    private func stopped(_ partition: Partition) {
        guard let old = readings[partition], old.stage == .stopping else { return }
        readings[partition] = nil
        if let next = old.next {
            startReading(partition, reading: next.reading, from: next.start)
            readings[partition]?.pace = next.pace
            flush()
        }
    }

    // MARK: readers in trouble

    private func failed(_ partition: Partition, _ error: KafkaError) {
        trouble = error.description
        guard readings[partition]?.stage == .reading, let position = core.partitions[partition]?.position else { return }
        questions.ask(.bounds(partition.number, position: position))
    }

    /// - Parameter bounds: the log's first offset and its end now; nil: it did not answer.
    func boundsAnswered(_ number: Int32, position: Int64, _ bounds: (start: Int64, end: Int64)?) {
        let partition = Partition(number)
        guard readings[partition]?.stage == .reading, core.partitions[partition]?.position == position else { return }
        if let bounds, position < bounds.start {
            // It aged away before it was read: what is left is read afresh.
            return core.readingFailed(partition, at: SystemClock.now)
        }
        // An end below what was read: the operator sees it in this server's report, and makes a new log. A jump is read again.
        if let bounds, position <= bounds.end {
            restart(partition, at: position)
        } else {
            _ = loop.schedule(after: .seconds(1)) { [questions] in questions.ask(.bounds(number, position: position)) }
        }
    }

    private func restart(_ partition: Partition, at position: Int64) {
        reader?.start([partition.number: (position, readings[partition]?.pace ?? .prompt)])
    }

    private func watch() {
        _ = loop.schedule(after: .seconds(5)) { [weak self] in
            guard let self else { return }
            let read = readings.filter { $0.value.stage == .reading }.map(\.key.number).sorted()
            if !read.isEmpty { questions.ask(.watch(read)) }
            watch()
        }
    }

    /// A reader that has not moved since the last look, although there is more to read, is started again where it is.
    func watchAnswered(_ ends: [Int32: Int64]) {
        for (number, end) in ends.sorted(by: { $0.key < $1.key }) {
            let partition = Partition(number)
            guard var reading = readings[partition], reading.stage == .reading, let position = core.partitions[partition]?.position else { continue }
            lags[partition] = max(0, end - position)
            if position < end, reading.watchedPosition == position { restart(partition, at: position) }
            reading.watchedPosition = position
            readings[partition] = reading
        }
    }
}

extension LogReader.Pace {
    fileprivate init(_ pace: ReadingPace) {
        switch pace {
        case .prompt: self = .prompt
        case .relaxed: self = .relaxed
        }
    }
}
