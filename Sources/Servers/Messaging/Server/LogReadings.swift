import Cell
import Dispatch
import Kafka
import Streams

/// What one server reads of the cell's log: many partitions, each from where the core says and at its pace. Loop thread only.
final class LogReadings: @unchecked Sendable {
    // Why @unchecked: used on its loop's thread only; Kafka's threads and answers come through `loop.execute`.
    private let core: MessagingCore
    private let loop: EventLoop
    private let questions: Questions
    private let topic: String
    private var reader: PacedReader?
    /// Tells what a reader says from what an earlier one said.
    private var connection = 0
    private var readings: [Partition: Reading] = [:]
    private var wantedStarts: [WantedStart] = []
    /// Starts that have time.
    private var postponed: [Partition: WantedStart] = [:]
    private var wantedEnds: [Int32: UInt64] = [:]
    /// Records that were read and wait for the loop: the readers' threads stop when there are too many.
    private let batches = DispatchSemaphore(value: 4)
    /// What hindered reading when it was last heard of, for people; empty: nothing.
    private(set) var trouble = ""
    /// How far each partition was behind its end when it was last looked at.
    private(set) var lags: [Partition: Int64] = [:]

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

    /// How long a start waits that has time.
    private static let ease = Duration.milliseconds(500)

    init(topic: String, core: MessagingCore, loop: EventLoop, questions: Questions) {
        self.topic = topic
        self.core = core
        self.loop = loop
        self.questions = questions
    }

    /// Reads at `kafka` from now on; what was read elsewhere must be disconnected.
    func connect(to kafka: KafkaConfiguration) throws(KafkaError) {
        if connection == 0 { watch() }
        connection += 1
        let connection = connection
        reader = try PacedReader(kafka, topic: topic) { [self, batches, loop] pace, events in
            batches.wait()
            loop.execute { [self] in
                batches.signal()
                if connection == self.connection { take(reader?.sift(events, from: pace) ?? []) }
            }
        }
    }

    /// Reads nothing more; the core is told, and asks for its readings again.
    func disconnect() {
        reader?.close()
        reader = nil
        connection += 1
        readings = [:]
        postponed = [:]
        for partition in core.partitions.keys.sorted() { core.readingFailed(partition, at: SystemClock.now) }
    }

    func close() {
        reader?.close()
        // Whoever waits to hand over a batch goes on.
        for _ in 0..<64 { batches.signal() }
    }

    // MARK: what the core wants

    func start(_ partition: Partition, reading: UInt64, from start: ReadingStart) {
        if var old = readings[partition], old.stage == .stopping {
            old.next = (reading, start, .prompt)
            readings[partition] = old
        } else {
            readings[partition] = Reading(number: reading, stage: .lookingUp)
            wantedStarts.append((partition, reading, start))
        }
    }

    func stop(_ partition: Partition) {
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
            trouble = ""
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
            start(partition, reading: next.reading, from: next.start)
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
