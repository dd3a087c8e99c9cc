import Synchronization

/// What the embedded broker understands of Kafka's protocol: of each request one version, and no more than the cell's own clients and kcat need.
final class BrokerRequests: Sendable {
    enum Kind: Int16, CaseIterable {
        case produce = 0
        case fetch = 1
        case listOffsets = 2
        case metadata = 3
        case offsetCommit = 8
        case offsetFetch = 9
        case findCoordinator = 10
        case joinGroup = 11
        case heartbeat = 12
        case leaveGroup = 13
        case syncGroup = 14
        case apiVersions = 18
        case initProducerID = 22

        /// The version that is understood. Clients take the newest that both know; the older ones are shown too, since some clients want to see
        /// them before they believe that a broker can do a thing at all.
        var version: Int16 {
            switch self {
            case .produce: 3
            case .fetch: 4
            case .listOffsets, .metadata, .offsetFetch: 1
            case .offsetCommit: 2
            default: 0
            }
        }
    }

    static let node: Int32 = 1

    let topic: String
    let log: BrokerLog
    let groups = BrokerGroups()
    private let lastProducer = Atomic<Int64>(0)

    init(topic: String, log: BrokerLog) {
        self.topic = topic
        self.log = log
    }

    func close() {
        log.close()
        groups.close()
    }

    /// Answers a request, which may take as long as the client is ready to wait.
    /// - Parameter port: where the broker listens.
    /// - Returns: the answer with its length before it; nil ends the connection; empty: none is wanted.
    func answer(_ request: ArraySlice<UInt8>, port: UInt16) -> [UInt8]? {
        var reader = WireReader(request)
        var answer = WireWriter()
        do {
            let (key, version): (Int16, Int16) = (try reader.number(), try reader.number())
            let correlation: Int32 = try reader.number()
            guard let kind = Kind(rawValue: key) else { return nil }
            answer.number(Int32(0))
            answer.number(correlation)
            if kind == .apiVersions {
                versions(&answer, asked: version)
            } else {
                guard version == kind.version else { return nil }
                _ = try reader.text()
                guard try self.answer(kind, &reader, &answer, port) else { return [] }
            }
        } catch {
            return nil
        }
        answer.overwrite(Int32(answer.bytes.count - 4), at: 0)
        return answer.bytes
    }

    private func answer(_ kind: Kind, _ reader: inout WireReader, _ answer: inout WireWriter, _ port: UInt16) throws -> Bool {
        switch kind {
        case .produce: return try produce(&reader, &answer)
        case .fetch: try fetch(&reader, &answer)
        case .listOffsets: try listOffsets(&reader, &answer)
        case .metadata: try metadata(&reader, &answer, port)
        case .offsetCommit: try offsetCommit(&reader, &answer)
        case .offsetFetch: try offsetFetch(&reader, &answer)
        case .findCoordinator:
            answer.number(WireError.none.rawValue)
            answer.number(Self.node)
            answer.text("127.0.0.1")
            answer.number(Int32(port))
        case .joinGroup: try joinGroup(&reader, &answer)
        case .heartbeat: try heartbeat(&reader, &answer)
        case .leaveGroup: try leaveGroup(&reader, &answer)
        case .syncGroup: try syncGroup(&reader, &answer)
        case .initProducerID:
            answer.number(Int32(0))
            answer.number(WireError.none.rawValue)
            answer.number(lastProducer.add(1, ordering: .relaxed).newValue)
            answer.number(Int16(0))
        case .apiVersions: break
        }
        return true
    }

    /// A client that asks in a newer way is told so in the oldest one, and asks again.
    private func versions(_ answer: inout WireWriter, asked: Int16) {
        answer.number((asked == 0 ? WireError.none : .unsupportedVersion).rawValue)
        answer.list(Kind.allCases) { answer, kind in
            answer.number(kind.rawValue)
            answer.number(Int16(0))
            answer.number(kind.version)
        }
    }

    private func metadata(_ reader: inout WireReader, _ answer: inout WireWriter, _ port: UInt16) throws {
        // -1 is all topics.
        var asked = reader
        let count: Int32 = try asked.number()
        let names = try reader.list { try $0.text() ?? "" }
        answer.list([()]) { answer, _ in
            answer.number(Self.node)
            answer.text("127.0.0.1")
            answer.number(Int32(port))
            answer.text(nil)
        }
        answer.number(Self.node)
        answer.list(count < 0 ? [topic] : names) { answer, name in
            answer.number((name == topic ? WireError.none : .unknownTopicOrPartition).rawValue)
            answer.text(name)
            answer.number(Int8(0))
            answer.list(name == topic ? Array(0..<Int32(log.count)) : []) { answer, partition in
                answer.number(WireError.none.rawValue)
                answer.number(partition)
                answer.number(Self.node)
                answer.list([Self.node]) { $0.number($1) }
                answer.list([Self.node]) { $0.number($1) }
            }
        }
    }
}
