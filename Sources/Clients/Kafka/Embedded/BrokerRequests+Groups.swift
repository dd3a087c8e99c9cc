// Consumer groups.
extension BrokerRequests {
    func joinGroup(_ reader: inout WireReader, _ answer: inout WireWriter) throws {
        let group = try reader.text() ?? ""
        let session_ms: Int32 = try reader.number()
        let member = try reader.text() ?? ""
        _ = try reader.text()
        let protocols = try reader.list { (name: try $0.text() ?? "", metadata: try $0.bytes()) }
        do throws(WireError) {
            let (name, joined) = try groups.join(group, member, session_ms: Int64(session_ms), protocols)
            answer.number(WireError.none.rawValue)
            answer.number(joined.generation)
            answer.text(joined.protocol)
            answer.text(joined.leader)
            answer.text(name)
            answer.list(joined.members) { answer, member in
                answer.text(member.id)
                answer.bytes([Array(member.metadata)])
            }
        } catch {
            answer.number(error.rawValue)
            answer.number(Int32(-1))
            answer.text("")
            answer.text("")
            answer.text(member)
            answer.number(Int32(0))
        }
    }

    func syncGroup(_ reader: inout WireReader, _ answer: inout WireWriter) throws {
        let (group, generation, member): (String?, Int32, String?) = (try reader.text(), try reader.number(), try reader.text())
        let shares = try reader.list { (member: try $0.text() ?? "", share: try $0.bytes()) }
        do throws(WireError) {
            let share = try groups.sync(group ?? "", member ?? "", generation: generation, shares)
            answer.number(WireError.none.rawValue)
            answer.bytes([Array(share)])
        } catch {
            answer.number(error.rawValue)
            answer.number(Int32(0))
        }
    }

    func heartbeat(_ reader: inout WireReader, _ answer: inout WireWriter) throws {
        let (group, generation, member): (String?, Int32, String?) = (try reader.text(), try reader.number(), try reader.text())
        answer.number(
            outcome {
                () throws(WireError) in
                try groups.with(group ?? "") { group throws(WireError) in try group.heartbeat(member ?? "", generation: generation, at: monotonic_ms()) }
            })
    }

    func leaveGroup(_ reader: inout WireReader, _ answer: inout WireWriter) throws {
        let (group, member) = (try reader.text(), try reader.text())
        answer.number(
            outcome {
                () throws(WireError) in
                try groups.with(group ?? "") { group throws(WireError) in group.leave(member ?? "", at: monotonic_ms()) }
            })
    }

    func offsetCommit(_ reader: inout WireReader, _ answer: inout WireWriter) throws {
        let (group, generation, member): (String?, Int32, String?) = (try reader.text(), try reader.number(), try reader.text())
        let _: Int64 = try reader.number()
        let topics = try reader.list { reader in
            (
                name: try reader.text() ?? "",
                positions: try reader.list { (partition: try $0.number(Int32.self), offset: try $0.number(Int64.self), note: try $0.text()) }
            )
        }
        answer.list(topics) { answer, topic in
            answer.text(topic.name)
            answer.list(topic.positions) { answer, position in
                answer.number(position.partition)
                answer.number(
                    outcome {
                        () throws(WireError) in
                        guard topic.name == self.topic else { throw .unknownTopicOrPartition }
                        try groups.with(group ?? "") { group throws(WireError) in
                            try group.mayCommit(member ?? "", generation: generation, at: monotonic_ms())
                            group.commit(position.partition, position.offset, note: position.note)
                        }
                    })
            }
        }
    }

    func offsetFetch(_ reader: inout WireReader, _ answer: inout WireWriter) throws {
        let group = try reader.text() ?? ""
        let topics = try reader.list { reader in (name: try reader.text() ?? "", partitions: try reader.list { try $0.number(Int32.self) }) }
        let positions = try groups.with(group) { $0 }
        answer.list(topics) { answer, topic in
            answer.text(topic.name)
            answer.list(topic.partitions) { answer, partition in
                let position = topic.name == self.topic ? positions.position(of: partition) : nil
                answer.number(partition)
                answer.number(position?.offset ?? -1)
                answer.text(position?.note ?? "")
                answer.number(WireError.none.rawValue)
            }
        }
    }

    private func outcome(_ work: () throws(WireError) -> Void) -> Int16 {
        do throws(WireError) {
            try work()
            return WireError.none.rawValue
        } catch {
            return error.rawValue
        }
    }
}
