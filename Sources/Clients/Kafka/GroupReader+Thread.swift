import CRdkafka

// The reader's own thread.
extension GroupReader {
    private static let batch = 10_000

    func run() {
        var committed_ms = monotonic_ms()
        while true {
            let (restarts, pause, closed) = inbox.withLock { inbox in
                defer { (inbox.restarts, inbox.pause) = ([:], nil) }
                return (inbox.restarts, inbox.pause, inbox.closed)
            }
            if closed { break }
            if !restarts.isEmpty { assignAgain(restarts) }
            if let pause {
                setPause(pause)
                inbox.withLock { $0.isPaused = pause }
            }
            let events = poll()
            if !events.isEmpty { calls?.onEvents(events) }
            if monotonic_ms() - committed_ms >= commitEvery_ms {
                commit(waiting: false)
                committed_ms = monotonic_ms()
            }
        }
        rd_kafka_consumer_close(client.pointer)
        relay.member.withLock { $0 = nil }
        handlers.withLock { $0 = nil }
    }

    private func poll() -> [LogEvent] {
        var events: [LogEvent] = []
        var message = rd_kafka_consumer_poll(client.pointer, Int32(clamping: min(200, commitEvery_ms)))
        while let next = message {
            take(next, &events)
            rd_kafka_message_destroy(next)
            message = events.count < Self.batch ? rd_kafka_consumer_poll(client.pointer, 0) : nil
        }
        return events + relay.errors.take().map { .error($0) }
    }

    private func take(_ message: UnsafeMutablePointer<rd_kafka_message_t>, _ events: inout [LogEvent]) {
        let (partition, offset) = (message.pointee.partition, message.pointee.offset)
        switch message.pointee.err {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            act(reading.withLock { $0.record(partition, offset: offset) }, partition, offset, .record(LogRecord(message)), &events)
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
            act(reading.withLock { $0.end(partition, offset: offset) }, partition, offset, .caughtUp(partition: partition, next: offset), &events)
        default:
            let error = KafkaError(message, topicName)
            guard error.code == .offsetOutOfRange, reading.withLock({ $0.isReading(partition) }) else { return events.append(.error(error)) }
            events.append(.failed(partition: partition, error))
        }
    }

    private func act(_ step: ReadingPositions.Step, _ partition: Int32, _ found: Int64, _ event: LogEvent, _ events: inout [LogEvent]) {
        switch step {
        case .deliver: events.append(event)
        case .skip: break
        case .reread: assignAgain([:])
        case .jump(let expected):
            reading.withLock { $0.stop(partition) }
            assignAgain([:])
            events.append(.failed(partition: partition, .jump(topicName, partition, expected: expected, found: found)))
        }
    }

    /// Assigns what is assigned anew, each partition where it is, or where `places` says.
    ///
    /// A seek does not work on a partition that has failed; this always does.
    private func assignAgain(_ places: [Int32: Int64]) {
        let assigned = reading.withLock { reading in
            for (partition, offset) in places where reading.isReading(partition) { reading.start(partition, at: offset) }
            return reading.partitions.map { (partition: $0, offset: reading.next(of: $0) ?? Int64(RD_KAFKA_OFFSET_BEGINNING)) }
        }
        ledger.withLock { ledger in for partition in places.keys { ledger.restart(partition) } }
        let list = PartitionList(topicName, assigned)
        report(rd_kafka_assign(client.pointer, list.pointer), "assignment")
        // What is assigned anew reads.
        if isPaused { setPause(true) }
    }

    private func setPause(_ pause: Bool) {
        let list = PartitionList(topicName, reading.withLock { $0.partitions }.map { ($0, 0) })
        report(pause ? rd_kafka_pause_partitions(client.pointer, list.pointer) : rd_kafka_resume_partitions(client.pointer, list.pointer), "pause")
    }

    private func report(_ result: rd_kafka_resp_err_t, _ what: String) {
        if result != RD_KAFKA_RESP_ERR_NO_ERROR { relay.errors.add(KafkaError(result, "\(what) of \(topicName)")) }
    }
}

// Partitions given and taken, on the same thread, from within a poll or the close.
extension GroupReader {
    func rebalance(_ kind: rd_kafka_resp_err_t, _ list: PartitionList) {
        if kind == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS { return assigned(list) }
        let partitions = list.partitions
        let lost = rd_kafka_assignment_lost(client.pointer) != 0
        calls?.onRevoked(partitions.sorted(), lost)
        if !lost { commit(waiting: true) }
        ledger.withLock { $0.revokeAll() }
        reading.withLock { $0.removeAll() }
        report(rd_kafka_assign(client.pointer, nil), "revocation")
    }

    private func assigned(_ list: PartitionList) {
        let partitions = list.partitions.sorted()
        guard let committed = committedPositions(partitions) else { return report(rd_kafka_assign(client.pointer, nil), "revocation") }
        let places = calls?.onAssigned(committed) ?? [:]
        reading.withLock { reading in
            reading.removeAll()
            for partition in partitions { reading.start(partition, at: places[partition]) }
        }
        ledger.withLock { $0.assign(partitions) }
        assignAgain([:])
    }

    /// Asks until there is an answer: beginning anywhere else would repeat or skip. Nil when the reader is closed meanwhile.
    private func committedPositions(_ partitions: [Int32]) -> [CommittedPosition]? {
        let list = PartitionList(topicName, partitions.map { ($0, Int64(RD_KAFKA_OFFSET_INVALID)) })
        while !inbox.withLock({ $0.closed }) {
            let result = rd_kafka_committed(client.pointer, list.pointer, 5000)
            let failed = list.elements.first { $0.err != RD_KAFKA_RESP_ERR_NO_ERROR }?.err ?? result
            if result == RD_KAFKA_RESP_ERR_NO_ERROR, failed == RD_KAFKA_RESP_ERR_NO_ERROR {
                return list.elements.map { CommittedPosition(partition: $0.partition, next: $0.offset < 0 ? nil : $0.offset, note: $0.note) }
            }
            report(failed, "committed offsets")
        }
        return nil
    }

    func commit(waiting: Bool) {
        let positions = ledger.withLock { $0.takeUnsent() }
        if positions.isEmpty { return }
        let list = PartitionList(topicName, positions.map { ($0.partition, $0.next) })
        for (element, position) in zip(list.elements.indices, positions) { list.elements[element].setNote(position.note) }
        let result = rd_kafka_commit(client.pointer, list.pointer, waiting ? 0 : 1)
        guard result != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        ledger.withLock { $0.failed(positions.map(\.partition)) }
        report(result, "commit")
    }

    func committed(_ result: rd_kafka_resp_err_t, _ list: PartitionList) {
        let failed = list.elements.filter { result != RD_KAFKA_RESP_ERR_NO_ERROR || $0.err != RD_KAFKA_RESP_ERR_NO_ERROR }
        guard let first = failed.first, result != RD_KAFKA_RESP_ERR__NO_OFFSET else { return }
        ledger.withLock { $0.failed(failed.map(\.partition)) }
        report(result == RD_KAFKA_RESP_ERR_NO_ERROR ? first.err : result, "commit")
    }
}
