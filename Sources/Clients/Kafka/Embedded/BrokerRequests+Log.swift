// Writing and reading the log.
extension BrokerRequests {
    /// - Returns: false when the producer wants no answer.
    func produce(_ reader: inout WireReader, _ answer: inout WireWriter) throws -> Bool {
        _ = try reader.text()
        let acks: Int16 = try reader.number()
        let _: Int32 = try reader.number()
        let topics = try reader.list { reader in
            (name: try reader.text() ?? "", batches: try reader.list { (partition: try $0.number(Int32.self), batch: try $0.bytes()) })
        }
        answer.list(topics) { answer, topic in
            answer.text(topic.name)
            answer.list(topic.batches) { answer, batch in
                answer.number(batch.partition)
                do throws(WireError) {
                    guard topic.name == self.topic else { throw .unknownTopicOrPartition }
                    let offset = try log.append(batch.batch, to: batch.partition)
                    answer.number(WireError.none.rawValue)
                    answer.number(offset)
                } catch {
                    answer.number(error.rawValue)
                    answer.number(Int64(-1))
                }
                // The record's time is what its producer wrote.
                answer.number(Int64(-1))
            }
        }
        answer.number(Int32(0))
        return acks != 0
    }

    func fetch(_ reader: inout WireReader, _ answer: inout WireWriter) throws {
        let _: Int32 = try reader.number()
        let (wait_ms, atLeast, limit): (Int32, Int32, Int32) = (try reader.number(), try reader.number(), try reader.number())
        let _: Int8 = try reader.number()
        let topics = try reader.list { reader in
            (
                name: try reader.text() ?? "",
                wanted: try reader.list { reader in
                    BrokerLog.Wanted(partition: try reader.number(), offset: try reader.number(), limit_bytes: Int(try reader.number(Int32.self)))
                }
            )
        }
        var rest = Int(limit)
        answer.number(Int32(0))
        answer.list(topics) { answer, topic in
            answer.text(topic.name)
            let isKnown = topic.name == self.topic
            let found =
                isKnown
                ? log.read(topic.wanted, atLeast: Int(atLeast), wait: .milliseconds(Int64(wait_ms)))
                : topic.wanted.map { BrokerLog.Found(partition: $0.partition, error: .unknownTopicOrPartition) }
            answer.list(found) { answer, found in
                answer.number(found.partition)
                answer.number(found.error.rawValue)
                answer.number(found.end)
                answer.number(found.end)
                answer.number(Int32(0))
                answer.bytes(rest > 0 ? found.batches : [])
                rest -= found.batches.reduce(0) { $0 + $1.count }
            }
        }
    }

    /// By time there is no answer: as if everything were older.
    func listOffsets(_ reader: inout WireReader, _ answer: inout WireWriter) throws {
        let _: Int32 = try reader.number()
        let topics = try reader.list { reader in
            (name: try reader.text() ?? "", wanted: try reader.list { (partition: try $0.number(Int32.self), time: try $0.number(Int64.self)) })
        }
        answer.list(topics) { answer, topic in
            answer.text(topic.name)
            answer.list(topic.wanted) { answer, wanted in
                let bounds = topic.name == self.topic ? log.bounds(of: wanted.partition) : nil
                let offset =
                    switch wanted.time {
                    case -2: bounds?.start
                    case -1: bounds?.end
                    default: nil as Int64?
                    }
                answer.number(wanted.partition)
                answer.number((bounds == nil ? WireError.unknownTopicOrPartition : .none).rawValue)
                answer.number(Int64(-1))
                answer.number(offset ?? -1)
            }
        }
    }
}
