/// The batches of records of one partition, as producers sent them, the latest within a bound of bytes. Any of them is found in logarithmic time,
/// however long the log is. Pure.
struct PartitionBatches {
    private struct Batch {
        let first: Int64
        let bytes: [UInt8]
    }

    /// What an idempotent producer sent last.
    private struct Sent {
        var epoch: Int16
        /// First and last sequence number, and the first offset, of as many batches as may be under way.
        var batches: [(first: Int32, last: Int32, offset: Int64)]
    }

    private let limit_bytes: Int
    private var batches: [Batch] = []
    /// Batches before this one are gone.
    private var head = 0
    private var bytes = 0
    private var producers: [Int64: Sent] = [:]
    /// The offset of the first record that is kept.
    private(set) var start: Int64 = 0
    /// The offset of the next record.
    private(set) var end: Int64 = 0

    init(limit_bytes: Int) { self.limit_bytes = limit_bytes }

    /// Appends a batch, whose offsets are set.
    /// - Returns: the offset of its first record; of a batch that is here already, what it was.
    mutating func append(_ sent: ArraySlice<UInt8>) throws(WireError) -> Int64 {
        guard let header = BatchHeader(sent) else { throw .corruptMessage }
        if let known = try place(of: header) { return known }
        let first = end
        var batch = Array(sent)
        withUnsafeBytes(of: first.bigEndian) { batch.replaceSubrange(0..<8, with: $0) }
        batches.append(Batch(first: first, bytes: batch))
        bytes += batch.count
        end += Int64(header.lastDelta) + 1
        note(header, at: first)
        dropOldest()
        return first
    }

    /// Whole batches from the one that holds `offset` on, while they fit into `limit_bytes`: at least one, where there is one.
    /// - Returns: nil where the log does not reach.
    func read(from offset: Int64, limit_bytes: Int) -> [[UInt8]]? {
        guard (start...end).contains(offset) else { return nil }
        var found: [[UInt8]] = []
        var size = 0
        for batch in batches[index(of: offset)...] {
            size += batch.bytes.count
            if !found.isEmpty, size > limit_bytes { break }
            found.append(batch.bytes)
        }
        return found
    }

    /// The bytes that a reader at `offset` has before it, roughly: at least `enough`, or what there is.
    func waiting(from offset: Int64, enough: Int) -> Int {
        guard (start..<end).contains(offset) else { return 0 }
        var size = 0
        for batch in batches[index(of: offset)...] where size < enough { size += batch.bytes.count }
        return size
    }

    /// Of the batch that holds `offset`.
    private func index(of offset: Int64) -> Int {
        if offset == end { return batches.count }
        var (low, high) = (head, batches.count)
        while low + 1 < high {
            let middle = (low + high) / 2
            if batches[middle].first <= offset { low = middle } else { high = middle }
        }
        return low
    }

    private mutating func dropOldest() {
        while bytes > limit_bytes, head + 1 < batches.count {
            bytes -= batches[head].bytes.count
            head += 1
            start = batches[head].first
            // Its memory goes now, its place with those of many others.
            batches[head - 1] = Batch(first: batches[head - 1].first, bytes: [])
        }
        guard head > 1_024, head * 2 > batches.count else { return }
        batches.removeFirst(head)
        head = 0
    }

    // MARK: idempotence

    /// Where a batch that was sent again is.
    private func place(of header: BatchHeader) throws(WireError) -> Int64? {
        guard header.producer >= 0, let sent = producers[header.producer], sent.epoch == header.epoch, let last = sent.batches.last else { return nil }
        if let known = sent.batches.first(where: { $0.first == header.sequence && $0.last == header.lastSequence }) { return known.offset }
        if header.sequence == last.last &+ 1 || header.sequence == 0 && last.last == .max { return nil }
        throw header.sequence <= last.last ? .duplicateSequence : .outOfOrderSequence
    }

    private mutating func note(_ header: BatchHeader, at offset: Int64) {
        guard header.producer >= 0 else { return }
        var sent = producers[header.producer] ?? Sent(epoch: header.epoch, batches: [])
        if sent.epoch != header.epoch { sent = Sent(epoch: header.epoch, batches: []) }
        sent.batches = sent.batches.suffix(4) + [(header.sequence, header.lastSequence, offset)]
        producers[header.producer] = sent
    }
}

/// What a broker looks at in a batch of Kafka's format 2; its records stay as they are.
struct BatchHeader {
    static let size = 61
    let lastDelta: Int32
    let producer: Int64
    let epoch: Int16
    let sequence: Int32

    var lastSequence: Int32 { Int32(truncatingIfNeeded: (Int64(sequence) + Int64(lastDelta)) % (Int64(Int32.max) + 1)) }

    /// Nil for what is no single batch of that format.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count >= Self.size else { return nil }
        func number<Number: FixedWidthInteger>(at place: Int, _: Number.Type = Number.self) -> Number {
            let start = bytes.startIndex + place
            return bytes[start..<start + MemoryLayout<Number>.size].reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
        }
        let (length, format): (Int32, Int8) = (number(at: 8), number(at: 16))
        lastDelta = number(at: 23)
        producer = number(at: 43)
        epoch = number(at: 51)
        sequence = number(at: 53)
        guard format == 2, Int(length) == bytes.count - 12, lastDelta >= 0 else { return nil }
    }
}
