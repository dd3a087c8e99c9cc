import CRdkafka

#if canImport(Glibc)
    import Glibc
#endif

/// Asks leaders for offsets and blocks until they have answered.
struct OffsetLookup {
    let topic: TopicHandle

    func offsets(_ point: LogPoint, _ partitions: [Int32], until_ms: Int64) -> PartitionOffsets {
        guard case .time_ms = point else { return persist(point, partitions, until_ms) }
        // No record at or after a time is answered with -1, "the end", which moves on: what was the end before the question is safe.
        let ends = persist(.end, partitions, until_ms)
        var found = persist(point, ends.offsets.keys.sorted(), until_ms)
        for (partition, offset) in found.offsets where offset < 0 { found.offsets[partition] = ends.offsets[partition] }
        found.errors.merge(ends.errors) { $1 }
        return found
    }

    /// Asks again for those that fail for the moment, as when a leader has just moved.
    private func persist(_ point: LogPoint, _ partitions: [Int32], _ until_ms: Int64) -> PartitionOffsets {
        var answers = PartitionOffsets()
        var rest = partitions
        // The first time together; afterwards what fails is told from what does not.
        var splits = 0
        while !rest.isEmpty {
            let round = ask(point, rest, &splits, until_ms)
            answers.offsets.merge(round.offsets) { $1 }
            for partition in rest { answers.errors[partition] = round.errors[partition] }
            if monotonic_ms() + Self.pause_ms >= until_ms { break }
            rest = round.errors.filter { $0.value.isRetriable }.keys.sorted()
            if rest.isEmpty { break }
            usleep(UInt32(Self.pause_ms) * 1000)
            rest = byLeader(rest, timeout_ms: Int32(clamping: max(1, until_ms - monotonic_ms())))
            splits = Self.splitsEachRound
        }
        return answers
    }

    /// One question for `partitions`; the library fails all of them when one fails, so then up to `splits` halves are asked by themselves.
    private func ask(_ point: LogPoint, _ partitions: [Int32], _ splits: inout Int, _ until_ms: Int64) -> PartitionOffsets {
        let (result, answers) = request(point, partitions, until_ms)
        guard result != RD_KAFKA_RESP_ERR_NO_ERROR, partitions.count > 1, splits > 0 else { return answers }
        splits -= 2
        let middle = partitions.count / 2
        var halves = ask(point, Array(partitions[..<middle]), &splits, until_ms)
        let other = ask(point, Array(partitions[middle...]), &splits, until_ms)
        halves.offsets.merge(other.offsets) { $1 }
        halves.errors.merge(other.errors) { $1 }
        return halves
    }

    private func request(_ point: LogPoint, _ partitions: [Int32], _ until_ms: Int64) -> (rd_kafka_resp_err_t, PartitionOffsets) {
        // Half of what is left, so that a silent broker leaves time to ask the others.
        let left_ms = max(2, until_ms - monotonic_ms())
        let list = PartitionList(topic.name, partitions.lazy.map { ($0, point.timestamp) })
        let result = rd_kafka_offsets_for_times(topic.client.pointer, list.pointer, Int32(clamping: left_ms / 2))
        var answers = PartitionOffsets()
        for element in list.elements {
            var number = result == RD_KAFKA_RESP_ERR_NO_ERROR ? element.err : result
            // A partition that nobody answered for still holds the question.
            if number == RD_KAFKA_RESP_ERR_NO_ERROR, element.offset < point.lowest { number = RD_KAFKA_RESP_ERR__WAIT_COORD }
            if number == RD_KAFKA_RESP_ERR_NO_ERROR {
                answers.offsets[element.partition] = element.offset
            } else {
                answers.errors[element.partition] = KafkaError(number, "offsets of \(topic.name) [\(element.partition)]")
            }
        }
        return (result, answers)
    }

    /// Sorted by leader, so that halves part the leaders. Asking also makes the client forget leaders that have moved.
    private func byLeader(_ partitions: [Int32], timeout_ms: Int32) -> [Int32] {
        guard let metadata = try? TopicMetadata.ask(topic, timeout_ms: min(timeout_ms, 1000)) else { return partitions }
        let leaders = Dictionary(metadata.partitions.map { ($0.number, $0.leader ?? -1) }) { $1 }
        return partitions.sorted { (leaders[$0] ?? -1, $0) < (leaders[$1] ?? -1, $1) }
    }

    private static let splitsEachRound = 24
    private static let pause_ms: Int64 = 50
}
